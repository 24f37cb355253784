"""A server that is running already is held to what is known of the pair's target, before everything is measured."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench

ENDPOINT = "--speedbench-endpoint=http://localhost:1"
OTHER = "--speedbench-engine-args=dtype=float32,other_target=1000"


@pytest.fixture
def drafting(bench: Bench) -> Bench:
    """A project whose drafter remembers nothing, with a baseline."""
    project = bench.path / "pyproject.toml"
    text = project.read_text().replace('drafter = "ngram"', 'drafter = "eagle3:bundled:eagle3"')
    project.write_text(text.replace("accept = 0.7 }", 'accept = 0.7, dtype = "float32" }', 1))
    bench.write_test("def test_gate(speedbench):\n    speedbench.assert_no_regression()\n")
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    return bench


def test_a_server_of_another_target_is_refused_before_it_is_measured(drafting: Bench) -> None:
    result = drafting.run(ENDPOINT, OTHER)
    result.assert_outcomes(failed=1)
    text = " ".join(result.stdout.str().split())
    assert "The server at http://localhost:1 does not answer as 'bundled:target' did: 12 of 12 answers open" in text
    assert "otherwise than those in the baseline of good on small (the first is coding-0 (coding))." in text
    assert "Name the model that is served" in text
    assert "AL macro" not in text
    drafting.run(ENDPOINT).assert_outcomes(passed=1)


def test_it_is_not_written_under_the_targets_hash_either(drafting: Bench) -> None:
    before = drafting.baseline().read_bytes()
    drafting.run(ENDPOINT, OTHER, "--speedbench-update").assert_outcomes(failed=1)
    assert drafting.baseline().read_bytes() == before


def test_a_pair_without_a_baseline_is_held_to_another_pairs_of_its_target(drafting: Bench) -> None:
    args: tuple[str, ...] = (
        "--speedbench-model=bundled:target",
        "--speedbench-drafter=draft_model:bundled:draft",
        ENDPOINT,
    )
    args += ("--speedbench-engine=scripted", "--speedbench-update")
    drafting.run(*args, OTHER).assert_outcomes(failed=1)
    result = drafting.run(*args)
    result.assert_outcomes(passed=1)
    assert "taken from the pair" not in result.stdout.str()


def test_where_nothing_is_known_the_new_baseline_says_so(drafting: Bench) -> None:
    drafting.baseline().unlink()
    result = drafting.run(ENDPOINT, "--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["baseline written: *that bundled:target is served is taken from the pair: there was no record of it to *"]
    )


def test_a_baseline_that_keeps_no_openings_cannot_be_asked(drafting: Bench) -> None:
    stored = json.loads(drafting.baseline().read_text())
    for prompt in stored["prompts"]:
        del prompt["opening_sha256"]
    drafting.baseline().write_text(json.dumps(stored))
    result = drafting.run(ENDPOINT, OTHER)
    result.assert_outcomes(failed=1)
    assert "greedy outputs differ from those of" in result.stdout.str(), "found, but only by measuring"


def test_who_takes_note_only_goes_on(drafting: Bench) -> None:
    drafting.run(ENDPOINT, OTHER, "--speedbench-outputs=note").assert_outcomes(passed=1)


def test_a_drafter_that_remembers_what_was_asked_is_not_asked_before(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    result = bench.run(ENDPOINT, "--speedbench-engine-args=other_target=1000")
    result.assert_outcomes(failed=1)
    assert "greedy outputs differ from those of" in result.stdout.str()


def test_a_server_may_round_as_one_of_an_unknown_dtype_does(drafting: Bench) -> None:
    few = "--speedbench-engine-args=other_target=4"
    drafting.run(ENDPOINT, few).assert_outcomes(passed=1)
    result = drafting.run(ENDPOINT, few, "--speedbench-outputs=equal")
    result.assert_outcomes(failed=1)
    assert "4 of 12 answers open otherwise" in " ".join(result.stdout.str().split())
