"""``--speedbench-mode=replay``: a gate on stored outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
GATE = """
    def test_drafter(speedbench):
        speedbench.assert_no_regression()
"""


def replay(pytester: pytest.Pytester, *args: str, test: str = GATE) -> pytest.RunResult:
    pytester.makepyfile(test_drafter=test)
    return pytester.runpytest_inprocess(
        "-p", "no:randomly", "--speedbench-mode=replay", f"--speedbench-baseline-dir={BASELINES}", *args
    )


def test_an_unchanged_drafter_passes_and_the_run_is_marked(pytester: pytest.Pytester) -> None:
    result = replay(pytester, "--speedbench-pair=tiny-eagle3", "--speedbench-prompts=22")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "speedbench: tiny-eagle3 (replay, *",
            "  replay * on *mini: 22 of 176 prompts*",
            "*replayed on stored outputs, not decoded: neither speed nor what batching does is seen*",
            "*Output TPS –, User TPS – (median), TTFT – (median)*",
        ]
    )
    result.stdout.no_fnmatch_line("*not comparable*")


def test_it_says_by_whose_rule_ngrams_were_looked_up(pytester: pytest.Pytester) -> None:
    args = "--speedbench-pair=tiny-eagle3", "--speedbench-drafter=ngram", "--speedbench-prompts=11"
    result = replay(pytester, *args, test="def test_it(speedbench): speedbench.measure()")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  note: *n-grams were looked up by the rule of vLLM and transformers; rounding*"])


def test_a_worse_drafter_is_found(pytester: pytest.Pytester) -> None:
    worse = ("--speedbench-pair=tiny-eagle3", "--speedbench-drafter=eagle3:bundled:eagle3-pruned")
    result = replay(pytester, *worse, "--speedbench-categories=multilingual,math")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["* math * undecided *", "* multilingual * -38.7% * regression*"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--speedbench-update"], "*replayed run cannot become a baseline*"),
        (["--speedbench-record-outputs"], "*replayed run cannot record outputs*"),
        (["--speedbench-drafter=none"], "*has no drafter to replay*"),
        (["--speedbench-drafter=suffix"], "*drafter 'suffix' cannot be replayed*"),
        (["--speedbench-mode=decoded"], "*Did you mean 'decode'?*"),
        (["--speedbench-drafter=ngram", "--speedbench-engine=sglang"], "*With overlapping schedules SGLang*"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_anything_runs(
    pytester: pytest.Pytester, args: list[str], words: str
) -> None:
    result = replay(pytester, "--speedbench-pair=tiny-eagle3", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([words])
    result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--speedbench-pair=tiny-draft"], "*There are no stored outputs*tiny-draft*mini.outputs*"),
        (["--speedbench-pair=tiny-eagle3", "--speedbench-max-tokens=32"], "*output limit of 64 tokens, and 32 are*"),
        (
            ["--speedbench-pair=tiny-eagle3", "--speedbench-draft-length=17"],
            "*judge drafts of at most 16 tokens, and the pair drafts 17*",
        ),
        (["--speedbench-pair=tiny-eagle3", "--speedbench-isl=40"], "*no stored outputs*mini-isl40.outputs*"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(pytester: pytest.Pytester, args: list[str], words: str) -> None:
    result = replay(pytester, *args)
    assert result.ret != 0
    result.stdout.fnmatch_lines([words])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_sampled_run_is_no_replay_of_greedy_outputs(pytester: pytest.Pytester) -> None:
    test = "def test_it(speedbench): speedbench.measure(temperature=0.8, prompts=11)"
    result = replay(pytester, "--speedbench-pair=tiny-eagle3", test=test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*outputs were recorded with greedy decoding, and the run asks for temperature 0.8*"])


def test_a_test_replays_another_drafter_on_what_it_measured(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_drafter="""
            def test_it(speedbench):
                decoded = speedbench.measure(prompts=11)
                again, pruned = decoded.replay("eagle3:bundled:eagle3"), decoded.replay("eagle3:bundled:eagle3-pruned")
                assert again.al_macro == decoded.al_macro
                assert pruned.al_macro < decoded.al_macro
                assert again.run.engine.name == "replay"
        """
    )
    args = ("--speedbench-pair=tiny-eagle3", f"--speedbench-baseline-dir={BASELINES}")
    pytester.runpytest_inprocess("-p", "no:randomly", *args).assert_outcomes(passed=1)
