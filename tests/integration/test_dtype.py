"""``--speedbench-dtype`` and the pair's dtype"""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def say(bench: Bench, words: str) -> None:
    """Have the pair ``good`` say something more."""
    path = bench.path / "pyproject.toml"
    path.write_text(
        path.read_text().replace("engine_args = { accept = 0.7 }", f"engine_args = {{ accept = 0.7 }}\n{words}")
    )


def test_the_engine_computes_in_it_and_the_record_says_so(bench: Bench) -> None:
    result = bench.run("--speedbench-dtype=bf16", "--speedbench-update")
    result.stdout.fnmatch_lines(
        ["speedbench: good (scripted, bundled:target, ngram, K = 3, bfloat16) on *", "  scripted 1.0 in bfloat16 on *"]
    )
    stored = json.loads(bench.baseline().read_text())
    assert (stored["acceptance_key"]["dtype"], stored["hardware_key"]["dtype"]) == ("bfloat16", "bfloat16")


def test_the_pairs_own_outlives_another_engine(bench: Bench) -> None:
    say(bench, 'dtype = "float32"')
    path = bench.path / "pyproject.toml"
    path.write_text(
        path.read_text().replace(
            '[tool.speedbench.pairs.good]\nengine = "scripted"', '[tool.speedbench.pairs.good]\nengine = "vllm"'
        )
    )
    result = bench.run("--speedbench-engine=scripted")
    result.stdout.fnmatch_lines(
        [
            "speedbench: engine_args.accept of the pair 'good' is for vllm, not scripted: left out. Say dtype, *",
            "speedbench: good (scripted, bundled:target, ngram, K = 3, float32) on *",
        ]
    )
    bench.write_test("def test_it(speedbench):\n    speedbench.measure()")
    bench.run("--speedbench-engine=scripted").stdout.fnmatch_lines(
        ["  scripted 1.0 in float32 on *", "  note: engine_args.accept of the pair 'good' is for vllm, not scripted*"]
    )


def test_two_dtypes_are_not_compared_in_silence(bench: Bench) -> None:
    say(bench, 'dtype = "float32"')
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    assert "computed in" not in bench.run().stdout.str()
    result = bench.run("--speedbench-dtype=bfloat16")
    result.assert_outcomes(passed=1)
    words = "The target computed in float32 in the baseline and in bfloat16 now: rounding turns near-ties over*"
    result.stdout.fnmatch_lines([f"  note: {words}"])


def test_a_failure_names_the_dtypes_too(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-dtype=float32").assert_outcomes(passed=1)
    result = bench.run("--speedbench-dtype=float16", "--speedbench-engine-args=weak=math,weak_accept=0.1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The target computed in float32 in the baseline and in float16 now:*"])


def test_a_baseline_that_knows_none(bench: Bench) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.run("--speedbench-dtype=float32").stdout.fnmatch_lines(
        ["  note: Whether both sides computed in one dtype is not known: it is float32 now, and the other side*"]
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--speedbench-dtype=float23"],
            "*--speedbench-dtype is 'float23'. Did you mean 'float32'? Give one of: *",
        ),
        (
            ["--speedbench-dtype=float32", "--speedbench-engine-args=dtype=bfloat16"],
            "*The pair 'good' says dtype = float32, and the engine argument dtype says bfloat16.*",
        ),
    ],
)
def test_what_cannot_be_meant(bench: Bench, args: list[str], words: str) -> None:
    result = bench.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([words])
