"""``Comparison.speed``, ``Comparison.assert_no_slowdown``, ``Measurement.speedup`` and ``Measurement.speed_gate``

The speeds are real times, on whatever machine this runs on: what is slower is so by far. The scripted engine's first
token comes at once, so that its TTFT is the machine's noise and is let off where it would count.
"""

from __future__ import annotations

import pytest

from tests.integration.conftest import PYPROJECT, Bench

PAIRS = """
[tool.speedbench.pairs.fast]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 1.0, slow_s = 0.004 }

[tool.speedbench.pairs.alike]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 1.0, slow_s = 0.004, other = true }

[tool.speedbench.pairs.steady]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 1.0, slow_s = 0.015 }

[tool.speedbench.pairs.slow]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 1.0, slow_s = 0.04 }

[tool.speedbench.pairs.breaks]
engine = "scripted"
model = "bundled:target"
drafter = "ngram"
engine_args = { accept = 1.0, slow_s = 0.004, fail_at = 10 }
"""
OPTIONS = ("--speedbench-prompts=6", "--speedbench-concurrency=6", "--speedbench-max-tokens=21")


@pytest.fixture
def speeds(bench: Bench) -> Bench:
    """The project with pairs of known speed."""
    bench.pytester.makepyprojecttoml(PYPROJECT + PAIRS)
    return bench


def test_a_slower_pair_fails_and_the_message_says_by_how_much(speeds: Bench) -> None:
    speeds.write_test(
        """
        def test_speed(speedbench):
            speedbench.compare("fast", "slow").assert_no_slowdown()
        """
    )
    result = speeds.run(*OPTIONS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "slow is slower than fast in * of 5 figures.",
            "  Output TPS at concurrency 6: * -> * tok/s, -*% [[]-*%, -*%[]], 6 rounds a side*",
            "    tolerance 5.0%: regression",
            "Intervals and verdicts hold for all 5 tests together, at an error level of 1.0%.",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_equal_pair_passes_and_a_faster_one_too(speeds: Bench) -> None:
    speeds.write_test(
        """
        def test_equal(speedbench):
            speedbench.compare("fast", "alike").assert_no_slowdown(tolerance="20%,ttft=1abs")

        def test_faster(speedbench):
            speedbench.compare("slow", "fast").assert_no_slowdown(3, tolerance="ttft=1abs")
        """
    )
    speeds.run(*OPTIONS).assert_outcomes(passed=2)


def test_engines_start_in_turn_and_every_start_warms_up(speeds: Bench) -> None:
    speeds.write_test(
        """
        import tests.scripted_engine as scripted

        def test_order(speedbench, monkeypatch):
            comparison = speedbench.compare("fast", "alike")
            started, create = [], scripted.create

            def watched(pair):
                started.append((pair.name, create(pair)))
                return started[-1][1]

            monkeypatch.setattr(scripted, "create", watched)
            result = comparison.speed(4)
            assert [name for name, _ in started] == ["fast", "alike", "fast", "alike", "fast", "alike"]
            # A warm-up of six prompts, then six more in every round.
            assert [engine._requests for _, engine in started] == [12, 18, 12, 12, 18, 12]
            assert [(row.metric, row.concurrency) for row in result.rows] == [
                (metric, 6) for metric in ("output_tps", "user_tps", "ttft", "e2e", "step_time")
            ]
            assert {(row.reference_rounds, row.candidate_rounds) for row in result.rows} == {(4, 4)}
        """
    )
    speeds.run(*OPTIONS).assert_outcomes(passed=1)


def test_the_settings_say_how_many_rounds_and_the_call_at_which_concurrencies(speeds: Bench) -> None:
    speeds.write_test(
        """
        def test_rounds(speedbench):
            result = speedbench.compare("fast", "alike").speed(concurrency=[1, 3])
            assert [row.concurrency for row in result.rows] == [1] * 5 + [3] * 5
            assert {row.candidate_rounds for row in result.rows} == {3}
            assert result.family == 10
        """
    )
    speeds.run(*OPTIONS, "--speedbench-rounds=3").assert_outcomes(passed=1)


def test_an_engine_that_breaks_down_says_so(speeds: Bench) -> None:
    speeds.write_test(
        """
        def test_speed(speedbench):
            speedbench.compare("fast", "breaks").assert_no_slowdown(3)
        """
    )
    result = speeds.run(*OPTIONS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The scripted engine broke down. Repair it."])


def test_the_speedup_over_the_target_alone(speeds: Bench) -> None:
    """The scripted engine takes as long for a step with a draft as without: 20 steps of one token against 5."""
    speeds.write_test(
        """
        import pytest
        from pytest_speedbench import ConfigError

        def test_speedup(speedbench):
            measurement = speedbench.measure(pair="steady")
            speedup = measurement.speedup(6)
            assert 1 < speedup.lower < speedup.ratio < speedup.upper
            assert speedup.error == 0.1

        def test_nothing_to_compare_with(speedbench):
            with pytest.raises(ConfigError, match="with and without its drafter"):
                speedbench.measure(pair="fast", drafter="none").speedup()
        """
    )
    speeds.run(*OPTIONS, "--speedbench-family-error=10%").assert_outcomes(passed=2)


def test_against_a_stored_baseline(speeds: Bench) -> None:
    record = "def test_record(speedbench):\n    speedbench.measure(pair='fast').assert_no_regression()\n"
    speeds.write_test(record)
    speeds.run(*OPTIONS, "--speedbench-update", "--speedbench-repeat=5").assert_outcomes(passed=1)
    speeds.write_test(
        """
        def test_same(speedbench):
            result = speedbench.measure(pair="fast").speed_gate(3, tolerance="60%,ttft=1abs")
            assert not result.failed
            assert len(result.rows) == 5
            assert result.rows[0].reference_rounds == 5

        def test_slower(speedbench):
            result = speedbench.measure(pair="slow").speed_gate(3, baseline="fast", tolerance="10%")
            assert result.failed
            assert result.rows[0].verdict.value == "regression"

        def test_other_load(speedbench):
            result = speedbench.measure(pair="fast", concurrency=2).speed_gate(baseline="fast")
            assert not result.rows
            assert not result.failed
            (note,) = result.notes
            assert note.startswith("Throughput is not gated: the baseline of ")
            assert note.endswith("was recorded on other hardware: concurrency: 6 in the baseline, 2 now.")

        def test_other_prompts(speedbench):
            result = speedbench.measure(pair="fast", prompts=5, concurrency=6).speed_gate(baseline="fast")
            assert "other prompts" in result.notes[0]
        """
    )
    speeds.run(*OPTIONS).assert_outcomes(passed=4)
