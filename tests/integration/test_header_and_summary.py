"""What a run says before and after."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.integration.conftest import Bench


def test_the_header_says_what_will_be_measured(bench: Bench) -> None:
    result = bench.run("--speedbench-prompts=6")
    result.stdout.fnmatch_lines(
        [
            "speedbench: good (scripted, bundled:target, ngram, K = 3) on small (6 of 36 prompts)",
            "speedbench: no baseline baselines/good/small.json yet; a gate will fail until one is recorded",
        ]
    )


def test_without_any_setting_the_header_follows_the_collection(bench: Bench) -> None:
    (bench.path / "pyproject.toml").write_text("[project]\nname = 'plain'\n")
    bench.write_test("def test_it(speedbench):\n    assert speedbench.pair.name == 'tiny-eagle3'")
    result = bench.run()
    result.stdout.fnmatch_lines(["collected 1 item", "speedbench: tiny-eagle3 (transformers,*on mini (176 prompts)"])


def test_progress_is_shown_while_output_is_captured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_speedbench.report.progress.LOG_INTERVAL_S", 0.0)
    bench.write_test("def test_it(speedbench):\n    speedbench.measure()\n    assert False")
    text = bench.run("--show-capture=no").stdout.str()
    assert "speedbench: good on small: 12/36 prompts, AL so far" in text
    assert "12/36" not in bench.run("--show-capture=all", "-q").stdout.str()


def test_the_header_says_what_it_is_compared_with(bench: Bench) -> None:
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines(["speedbench: baselines of passing tests will be written to baselines"])
    result = bench.run("--speedbench-tolerance=3%")
    result.stdout.fnmatch_lines(["speedbench: baseline baselines/good/small.json of 20??-??-??, tolerance 3.0%"])
    bench.baseline().write_text("{")
    bench.run().stdout.fnmatch_lines(["speedbench: The baseline *small.json is not valid JSON*"])


def test_the_summary_says_what_was_measured(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench):\n    speedbench.measure()")
    result = bench.run()
    result.stdout.fnmatch_lines(
        [
            "*= speedbench =*",
            "good: bundled:target + ngram, K = 3",
            "  scripted 1.0 on imagination; small: 36 prompts, 36 turns; greedy, *40 tokens a turn, concurrency 1",
            "*AL macro*AL pooled*AR@1*AR@2*AR@3*",
            "*coding*12*",
            "*overall*36*1440*",
            "*Output TPS *TTFT *ms*",
        ]
    )


def test_figures_are_recorded_even_without_a_gate(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench):\n    speedbench.measure()")
    bench.run("--junitxml=report.xml")
    names = {p.attrib["name"]: p.attrib["value"] for p in ET.parse(bench.path / "report.xml").iter("property")}
    assert 1 < float(names["speedbench.good.small.al_macro"]) < 4
    assert 1 < float(names["speedbench.good.small.math.al_macro"]) < 4
    assert float(names["speedbench.good.small.output_tps"]) > 0


def test_equal_measurements_are_made_and_shown_once(bench: Bench) -> None:
    bench.write_test(
        """
        def test_one(speedbench):
            speedbench.measure()

        def test_two(speedbench):
            assert speedbench.measure().run is speedbench.measure().run
            assert speedbench.measure().run is not speedbench.measure(fresh=True).run
        """
    )
    result = bench.run()
    result.assert_outcomes(passed=2)


def test_a_log_without_colours_and_a_narrow_terminal(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench):\n    speedbench.measure()")
    text = bench.run("--color=no").stdout.str()
    assert "\x1b[" not in text
    assert "…" not in text.split("= speedbench =")[1]


def test_the_header_says_what_was_collected_each_once(bench: Bench) -> None:
    bench.write_split("other.jsonl")
    bench.write_test(
        """
        import pytest

        def test_one(speedbench):
            speedbench.assert_no_regression("other.jsonl")

        @pytest.mark.speedbench(pair="weak", prompts=6)
        def test_two(speedbench):
            speedbench.measure()
            speedbench.measure()

        def test_three(speedbench):
            with pytest.raises(Exception):
                speedbench.measure("nothing")
        """
    )
    result = bench.run()
    lines = [line for line in result.outlines if line.startswith("speedbench: ") and " on " in line and "/" not in line]
    assert [line.partition(" (")[0] for line in lines] == ["speedbench: good", "speedbench: weak"]
    assert "on other (36 prompts)" in lines[0]
    assert "on small (6 of 36 prompts)" in lines[1]


def test_notes_keep_to_the_columns_that_are_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    wide = [line for line in bench.run().outlines if line.startswith("  note:")]
    assert max(map(len, wide)) > 80
    monkeypatch.setenv("COLUMNS", "80")
    lines = bench.run().outlines
    begin = next(place for place, line in enumerate(lines) if line.startswith("  note: The baseline is not calibrated"))
    assert all(len(line) <= 80 for line in lines[begin : begin + 3])
    assert lines[begin + 1].startswith("        ")
