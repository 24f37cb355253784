"""``assert_lossless``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

TEST = """
def test_lossless(speedbench):
    speedbench.measure().assert_lossless()
"""


def test_equal_outputs_pass(bench: Bench) -> None:
    bench.write_test(TEST)
    result = bench.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["good: all 36 greedy outputs equal the target's own"])


def test_the_first_difference_is_shown(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", 'lossy = "math-4/1" }', 1))
    bench.write_test(TEST)
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "good is not lossless: 1 of 36 greedy outputs differ from the target's own.",
            "  first in 'math-4', turn 1, output token 21",
            "  the target alone emits '*' (id *), the pair *(id 32)",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_coarse_dtype_is_named_as_a_possible_reason(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", 'lossy = "math-4/1", dtype = "bfloat16" }', 1))
    bench.write_test(TEST)
    bench.run().stdout.fnmatch_lines(["  In bfloat16 a pass over a whole draft*", "  Measure in float32 to tell that*"])


@pytest.mark.parametrize(
    ("margin", "near_ties", "passes"), [(0.1, True, True), (0.1, False, False), (0.4, True, False)]
)
def test_near_ties_are_told_from_faults(bench: Bench, margin: float, near_ties: bool, passes: bool) -> None:
    path = bench.path / "pyproject.toml"
    args = f'lossy = "math-4/1", dtype = "bfloat16", margin = {margin}'
    path.write_text(path.read_text().replace("accept = 0.7 }", f"{args} }}", 1))
    bench.write_test(f"def test_it(speedbench):\n    speedbench.measure().assert_lossless(near_ties={near_ties})")
    result = bench.run()
    if passes:
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(
            ["good: 1 of 36 greedy outputs differ from the target's own, 1 of them at a near-tie"]
        )
    elif margin < 0.25:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "  first in 'math-4', turn 1, output token 21 (near-tie: +0.1000 nats)",
                "  In all of them the target's two tokens are within 0.25 nats, which rounding in bfloat16*",
            ]
        )
    else:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["  1 of all are no near-ties of the target's logits: rounding does not explain them."]
        )


def test_a_part_is_compared_on_demand(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench):\n    speedbench.measure(prompts=9).assert_lossless(prompts=6)")
    bench.run().stdout.fnmatch_lines(["good: all 6 greedy outputs equal the target's own"])
    bench.write_test("def test_it(speedbench):\n    speedbench.measure(prompts=9).assert_lossless(prompts=12)")
    bench.run().stdout.fnmatch_lines(["good: all 9 greedy outputs equal the target's own"])


def test_sampled_runs_cannot_be_compared(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench):\n    speedbench.measure(temperature=0.5).assert_lossless()")
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["A sampled run cannot be compared token by token. Measure it at temperature 0."])
