"""A candidate named for a server that goes on with the old drafter does not pass."""

from __future__ import annotations

from tests.integration.conftest import Bench


def test_a_candidate_behind_an_endpoint_must_have_drafted(bench: Bench) -> None:
    project = bench.path / "pyproject.toml"
    project.write_text(project.read_text().replace('drafter = "ngram"', 'drafter = "eagle3:bundled:eagle3"'))
    bench.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    args = (
        "--speedbench-pair=good",
        "--speedbench-drafter=eagle3:bundled:eagle3-pruned",
        "--speedbench-endpoint=http://localhost:1",
    )
    result = bench.run(*args, "--speedbench-engine-args=accept=0.7")
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "the server at http://localhost:1 seems to draft with the old one still" in text
    assert bench.run(*args, "--speedbench-engine-args=accept=0.72").parseoutcomes() == {"passed": 1}
