"""The gate's table in a terminal or a log, and the entry it is made of."""

from __future__ import annotations

from dataclasses import replace

from pytest_speedbench.gate import GatePolicy, GateResult, Pairing, PromptPair, compare
from pytest_speedbench.report.entries import GateEntry, from_plain, to_plain
from pytest_speedbench.report.gate import gate_entry
from pytest_speedbench.report.terminal import gate_lines, note_lines
from pytest_speedbench.tolerance import parse_tolerance
from tests.unit.gate.pairs import pairing, record

BEFORE = [2.0, 2.2, 1.8, 2.4, 2.6, 1.9]
AFTER = [1.6, 1.8, 1.5, 1.9, 2.0, 1.5]
NOISY = [2.1, 2.3, 1.6, 2.2, 2.7, 2.0]


def lines(result: GateResult) -> list[str]:
    return gate_lines(gate_entry("test", "small", result), width=160, colour=False)


def cells(result: GateResult, name: str) -> list[str]:
    text = "\n".join(lines(result))
    return next(line for line in text.splitlines() if line.split()[:1] == [name]).split()


def test_every_category_has_both_lengths_and_its_verdict() -> None:
    result = compare(pairing({"a": (BEFORE, AFTER), "b": (BEFORE, BEFORE), "c": (BEFORE, NOISY)}))
    dropped = cells(result, "a")
    assert dropped[:5] == ["a", "6", "2.150", "1.717", "-20.2%"]
    assert dropped[-2:] == ["1.0%", "regression"]
    assert dropped.count("-20.2%") == 2
    same = cells(result, "b")
    assert same[4:8] == ["+0.0%", "+0.0%", "…", "+0.0%"]
    assert same[-2:] == ["no", "regression"]
    unsure = " ".join(cells(result, "c"))
    assert "undecided (sees drops from 9." in unsure
    assert cells(result, "overall")[1] == "18"


def test_the_title_says_against_what_and_how_sure() -> None:
    data = pairing({"a": (BEFORE, BEFORE)})
    title = "small against the baseline: acceptance length, family-wise error 1%"
    assert lines(compare(data))[0] == title
    assert lines(compare(data, GatePolicy(mode="prove")))[0] == f"{title}, policy prove"


def test_gated_rates_have_lines_of_their_own() -> None:
    before, after = [record(40, 40, 20, 20)] * 9, [record(60, 10, 0, 50)] * 9
    policy = GatePolicy(parse_tolerance("1%,ar1=5%", "tolerance"))
    result = compare(pairing({"qa": (before, after)}), policy)
    rate = cells(result, "AR1")
    assert rate[:4] == ["AR1", "0.667", "0.500", "-25.0%"]
    assert rate[-2:] == ["5.0%", "regression"]
    assert cells(result, "qa")[-1] == "regression", "the worst of its figures"


def test_what_could_not_be_compared_says_why() -> None:
    data = pairing({"a": (BEFORE, BEFORE), "b": (BEFORE[:2], AFTER[:2])})
    pairs = (*data.pairs, PromptPair("x", "c", None, None, problem="the baseline does not have this category"))
    result = compare(replace(data, pairs=pairs, notes=("A note.",)))
    assert "missing data: 1 of 1 prompts: the baseline" in " ".join(cells(result, "c"))
    assert cells(result, "c")[2:6] == ["–"] * 4
    assert cells(result, "b")[4:6] == ["-19.0%", "–"]
    assert "undecided: fewer than 3 prompts" in " ".join(cells(result, "b"))
    assert lines(result)[-1] == "  note: A note."


def test_a_part_of_the_prompts_and_an_early_decision_are_shown() -> None:
    data = replace(pairing({"a": (BEFORE, AFTER)}), baseline_prompts={"a": 80})
    result = compare(data)
    assert cells(result, "a")[1] == "6/80"
    stopped = replace(result, rows=tuple(replace(row, stopped=True) for row in result.rows))
    assert "regression (decided early)" in " ".join(cells(stopped, "a"))


def test_the_entry_travels_as_plain_data() -> None:
    result = compare(pairing({"a": (BEFORE, AFTER), "b": (BEFORE[:2], BEFORE[:2])}))
    entry = gate_entry("test", "small", result)
    assert isinstance(entry, GateEntry)
    assert from_plain(to_plain(entry)) == entry
    assert [row.name for row in entry.rows] == ["a", "b", "overall"]
    change = entry.rows[0].changes[0]
    assert (change.metric, change.change, change.verdict) == (
        "al_macro",
        result.rows[0].changes[0].change,
        "regression",
    )
    assert (entry.mode, entry.basis, entry.family_error) == ("detect", "paired", 0.01)
    assert gate_entry("test", "small", compare(Pairing(()))).rows == []


def test_notes_keep_to_the_width() -> None:
    notes = note_lines(["word " * 80, "short"], 100)
    assert all(len(line) <= 100 for line in notes)
    assert notes[0].startswith("  note: word")
    assert all(line.startswith("        word") for line in notes[1:-1])
    assert notes[-1] == "  note: short"
