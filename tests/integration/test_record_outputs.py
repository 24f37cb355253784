"""``--speedbench-record-outputs``: what the target put out, beside the baseline."""

from __future__ import annotations

import pytest

from pytest_speedbench.outputs import read_outputs

MEASURE = """
    def test_drafter(speedbench):
        run = speedbench.measure(prompts=11).run
        assert all(turn.acceptance for c in run.conversations for turn in c.turns)
"""


def test_a_recorded_run_can_be_replayed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter=MEASURE)
    pair = "--speedbench-pair=tiny-draft"
    pytester.runpytest_inprocess(pair, "--speedbench-record-outputs").assert_outcomes(passed=1)
    path = pytester.path / "baselines" / "tiny-draft" / "mini.outputs"
    outputs = read_outputs(path)
    assert (outputs.head.pair, outputs.head.split, outputs.head.dtype) == ("tiny-draft", "mini", "float32")
    assert len(outputs.rows) >= 11
    for row in outputs.rows:
        assert len(row.overhang_ids) == outputs.head.overhang
        assert row.margins_nats is not None
        assert min(row.margins_nats) >= 0  # greedy: the target preferred what it put out
        assert row.stopped == (row.output_ids[-1] in outputs.head.eos_token_ids)
    result = pytester.runpytest_inprocess(pair, "--speedbench-mode=replay")
    result.assert_outcomes(passed=1)


def test_nothing_is_recorded_unless_asked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter="def test_it(speedbench): speedbench.measure(prompts=11, categories=['math'])")
    pytester.runpytest_inprocess("--speedbench-pair=tiny-draft").assert_outcomes(passed=1)
    assert not (pytester.path / "baselines").exists()


SAMPLED = """
    def test_drafter(speedbench):
        speedbench.measure(temperature={}, top_p=0.9, seed={}, prompts=11, max_tokens=16).assert_no_regression()
"""


def test_sampled_outputs_are_recorded_and_replayed_as_they_were_asked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter=SAMPLED.format(0.8, 5))
    pair = "--speedbench-pair=tiny-draft"
    pytester.runpytest_inprocess(pair, "--speedbench-record-outputs", "--speedbench-update").assert_outcomes(passed=1)
    outputs = read_outputs(pytester.path / "baselines" / "tiny-draft" / "mini.outputs")
    assert (outputs.head.temperature, outputs.head.top_p, outputs.head.seed) == (0.8, 0.9, 5)
    assert len({row.seed for row in outputs.rows}) == len(outputs.rows)
    for row in outputs.rows:
        assert row.margins_nats is None
        assert row.log_probabilities_nats is not None
        assert len(row.log_probabilities_nats) == len(row.output_ids) + outputs.head.overhang

    replay = (pair, "--speedbench-mode=replay")
    result = pytester.runpytest_inprocess(*replay)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*note: the outputs are those of transformers *, sampled; the drafts are greedy."])
    result = pytester.runpytest_inprocess(*replay, "--speedbench-engine-args=draft_sampling=probabilistic")
    result.stdout.fnmatch_lines(["*sampled; the drafts are drawn, and every record is one draw."])
    result.stdout.no_fnmatch_line("*not comparable*")

    for temperature, seed, words in (
        (0.7, 5, "*recorded with temperature 0.8 and top_p 0.9, and the run asks for temperature 0.7 and top_p 0.9*"),
        (0.0, 5, "*recorded with temperature 0.8 and top_p 0.9, and the run asks for greedy decoding*"),
        (0.8, 6, "*sampled with the seed 5, and the run asks for another*"),
    ):
        pytester.makepyfile(test_drafter=SAMPLED.format(temperature, seed))
        result = pytester.runpytest_inprocess(*replay)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([words])
        result.stdout.no_fnmatch_line("*Traceback*")


def test_later_turns_are_kept_with_the_replies_before_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter="def test_it(speedbench): speedbench.measure(where='turns>=2', prompts=4)")
    pair = "--speedbench-pair=tiny-draft"
    pytester.runpytest_inprocess(pair, "--speedbench-record-outputs").assert_outcomes(passed=1)
    rows = read_outputs(pytester.path / "baselines" / "tiny-draft" / "mini.outputs").rows
    # The template may close a reply with the end token that the output has already.
    answered = [row.prompt_ids + row.output_ids[:-1] for row in rows]
    followed = [row for row in rows for text in answered if row.prompt_ids[: len(text)] == text]
    assert len(followed) >= 4


def test_a_failing_test_replaces_no_outputs_and_other_checks_leave_none_of_their_own(pytester: pytest.Pytester) -> None:
    measure = """
        def test_it(speedbench):
            measurement = speedbench.measure(prompts=11, max_tokens={}, categories=["math"])
            measurement.assert_lossless(prompts=2)
            assert {}
    """
    pytester.makepyfile(test_drafter=measure.format(16, "True"))
    args = ("--speedbench-pair=tiny-draft", "--speedbench-record-outputs")
    result = pytester.runpytest_inprocess(*args)
    result.stdout.fnmatch_lines(["outputs written: baselines/tiny-draft/mini.outputs", "  new: * requests of *"])
    folder = pytester.path / "baselines"
    path = folder / "tiny-draft" / "mini.outputs"
    assert [*folder.rglob("*")] == [path.parent, path]
    before = path.read_bytes()

    pytester.makepyfile(test_drafter=measure.format(8, "False"))
    result = pytester.runpytest_inprocess(*args)
    result.stdout.fnmatch_lines(["no baseline or outputs written: *"])
    assert path.read_bytes() == before
    pytester.makepyfile(test_drafter=measure.format(8, "True"))
    result = pytester.runpytest_inprocess(*args)
    result.stdout.fnmatch_lines(
        ["  requests 19 -> 19, 0 of them with *", "  changed with it: max output tokens 16 -> 8"]
    )
