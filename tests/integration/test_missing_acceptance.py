"""An engine that does not report acceptance: absent is not zero, and not a pass."""

from __future__ import annotations

from tests.integration.conftest import Bench


def silence(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", "silent = true }", 1))


def test_it_cannot_become_a_baseline(bench: Bench) -> None:
    silence(bench)
    result = bench.run("--speedbench-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has no acceptance record for 36 of 36 prompts*"])
    assert not bench.baseline().exists()


def test_it_does_not_pass_a_gate(bench: Bench) -> None:
    bench.run("--speedbench-update")
    silence(bench)
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no acceptance*"])
