"""An engine that does not report acceptance: inferred from the stream if it can be, and else absent and not a pass."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def silence(bench: Bench, what: str) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", f'silent = "{what}" }}', 1))


def test_nothing_at_all_cannot_become_a_baseline(bench: Bench) -> None:
    silence(bench, "steps")
    result = bench.run("--speedbench-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has no acceptance record for 36 of 36 prompts*"])
    assert not bench.baseline().exists()


def test_nothing_at_all_does_not_pass_a_gate(bench: Bench) -> None:
    bench.run("--speedbench-update")
    silence(bench, "steps")
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no acceptance*"])


def test_the_stream_is_labelled_and_not_compared_with_an_engines_record(bench: Bench) -> None:
    bench.run("--speedbench-update")
    silence(bench, "records")
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*not comparable*source of the acceptance records: engine in the baseline, stream now*",
            "*acceptance from stream, not from the engine's own per-request record*",
        ]
    )


@pytest.mark.parametrize("preempted", [0, 2])
def test_preempted_requests_are_counted_and_said(bench: Bench, preempted: int) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", f"preempted = {preempted} }}", 1))
    result = bench.run("--speedbench-update")
    result.assert_outcomes(passed=1)
    if preempted:
        result.stdout.fnmatch_lines(["*note: 36 requests were preempted, 72 times in all*"])
    else:
        result.stdout.no_fnmatch_line("*were preempted*")
