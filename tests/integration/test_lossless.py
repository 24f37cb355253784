"""``assert_lossless``"""

from __future__ import annotations

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
