"""``speedbench.compare``"""

from __future__ import annotations

from tests.integration.conftest import Bench


def test_two_pairs_of_one_session(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench, speedbench_pairs):
            difference = speedbench.compare(speedbench_pairs["good"], "weak")
            difference.assert_no_regression(tolerance={"multilingual": "80%"})
            difference.assert_no_regression()
        """
    )
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["weak against good*", "*multilingual*80.0%*no regression*", "*multilingual*regression*"]
    )
    assert not (bench.path / "baselines").exists()
