"""``--speedbench-pair`` and ``[tool.speedbench.pairs]``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_the_pair_is_measured_under_its_name(bench: Bench) -> None:
    result = bench.run("--speedbench-pair=weak", "--speedbench-update")
    result.assert_outcomes(passed=1)
    assert bench.baseline("weak").exists()


def test_by_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEEDBENCH_PAIR", "weak")
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    assert bench.baseline("weak").exists()


def test_an_unknown_pair(bench: Bench) -> None:
    result = bench.run("--speedbench-pair=wek")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*There is no pair named 'wek'. Did you mean 'weak'? Known are: good, tiny-draft,*"])


def test_a_pair_has_its_own_model(bench: Bench) -> None:
    result = bench.run("--speedbench-pair=weak", "--speedbench-model=bundled:target")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--speedbench-pair and --speedbench-model contradict each other*"])


def test_the_fixtures_give_pairs(bench: Bench) -> None:
    bench.write_test(
        """
        def test_pairs(speedbench_pair, speedbench_pairs):
            assert speedbench_pair.name == "good"
            assert speedbench_pairs["weak"].engine_args["weak"] == "multilingual"
            assert "tiny-eagle3-pruned" in speedbench_pairs
        """
    )
    bench.run().assert_outcomes(passed=1)


def test_a_misspelt_key_in_a_pair(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("drafter =", "drafer ="))
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*There is no setting 'drafer' in ?tool.speedbench.pairs.good?. Did you mean 'drafter'?*"]
    )


def test_a_pyproject_that_is_no_toml(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    bench.pytester.makeini("[pytest]\n")
    path.write_text(path.read_text() + "\nbroken =\n")
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
