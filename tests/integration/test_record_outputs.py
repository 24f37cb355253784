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
    outputs = read_outputs(path, record_command="")
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


def test_sampled_outputs_are_not_recorded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter="def test_it(speedbench): speedbench.measure(temperature=0.8, prompts=11)")
    result = pytester.runpytest_inprocess("--speedbench-pair=tiny-draft", "--speedbench-record-outputs")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Sampled outputs cannot be recorded for replay*"])


def test_later_turns_are_kept_with_the_replies_before_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drafter="def test_it(speedbench): speedbench.measure(where='turns>=2', prompts=4)")
    pair = "--speedbench-pair=tiny-draft"
    pytester.runpytest_inprocess(pair, "--speedbench-record-outputs").assert_outcomes(passed=1)
    rows = read_outputs(pytester.path / "baselines" / "tiny-draft" / "mini.outputs", record_command="").rows
    # The template may close a reply with the end token that the output has already.
    answered = [row.prompt_ids + row.output_ids[:-1] for row in rows]
    followed = [row for row in rows for text in answered if row.prompt_ids[: len(text)] == text]
    assert len(followed) >= 4
