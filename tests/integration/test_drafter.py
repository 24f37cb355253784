"""``--speedbench-drafter``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_a_candidate_is_gated_against_the_pairs_baseline(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-pair=good", "--speedbench-drafter=draft_model:bundled:draft")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["good: bundled:target + draft_model:bundled:draft, K = 3"])


@pytest.mark.parametrize("written", [["--speedbench-drafter=ngram"], ["--speedbench-drafter", "ngram"]])
def test_a_candidate_is_not_what_the_pairs_baseline_is_recorded_from(bench: Bench, written: list[str]) -> None:
    result = bench.run("--speedbench-pair=good", *written, "-k", "gate")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Record one with: pytest * --speedbench-pair=good -k gate --speedbench-update*"])


def test_an_unknown_method(bench: Bench) -> None:
    result = bench.run("--speedbench-drafter=eagel3:/h")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Unknown drafter 'eagel3:/h'. Write one of: draft_model:MODEL, eagle:MODEL, *"])


def test_the_target_alone_has_no_acceptance_to_gate(bench: Bench) -> None:
    bench.run("--speedbench-update")
    result = bench.run("--speedbench-pair=good", "--speedbench-drafter=none")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no acceptance: nothing was drafted or the engine reports none"])
