from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_speedbench.cli import vocabulary
from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.gate import GatePolicy, Verdict
from pytest_speedbench.measure.run import Run
from pytest_speedbench.pruning import TokenCounts, draft_vocabulary
from pytest_speedbench.report.vocabulary import conclusion, vocabulary_json, vocabulary_lines
from pytest_speedbench.sweeps.vocabulary import Standing, VocabularySweep, cut_heads, judge, sweep_vocabulary
from pytest_speedbench.tolerance import parse_tolerance
from tests.unit.engines import tiny_models
from tests.unit.engines.tiny_models import VOCAB
from tests.unit.metrics.runs import conversation, run, turn

PROMPTS = 12
COUNTS = TokenCounts({token: 100 - token for token in range(40)}, VOCAB, "a test", "k" * 64)

Steps = Sequence[Sequence[int]]
"""What every prompt of a category accepted at each of its verify steps."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("family")
    target, head = tiny_models.write_llama(folder / "target"), tiny_models.write_head(folder / "head")
    return Pair("small", "fake", str(target), Drafter(DrafterMethod.EAGLE3, str(head), 3))


@pytest.fixture
def heads(pair: Pair, tmp_path: Path) -> dict[int, Pair]:
    return cut_heads(pair, [10, 20, 40], COUNTS, tmp_path)


def a_run(pair: Pair, categories: Mapping[str, Steps]) -> Run:
    conversations = [
        conversation(f"{category}-{number}", category, turn(steps))
        for category, prompts in categories.items()
        for number, steps in enumerate(prompts)
    ]
    return replace(run(conversations), pair=pair)


def same(*accepted: int, prompts: int = PROMPTS) -> Steps:
    return [list(accepted)] * prompts


def noisy(seed: int, *, rate: float = 0.7, prompts: int = PROMPTS) -> Steps:
    rng = np.random.default_rng(seed)
    return [rng.binomial(3, rate, size=20).tolist() for _ in range(prompts)]


GOOD, BAD = same(3, 3, 2), same(1, 0, 0)


def judged(
    pair: Pair, heads: Mapping[int, Pair], cells: Mapping[int, Mapping[str, Steps]], policy: GatePolicy | None = None
) -> VocabularySweep:
    """Judge runs given by size; 0 is the full head."""
    cut = {size: a_run(heads[size], categories) for size, categories in cells.items() if size}
    return judge(a_run(pair, cells[0]), cut, policy or GatePolicy())


def standings(sweep: VocabularySweep, name: str) -> list[Standing]:
    (row,) = (row for row in sweep.rows if row.name == name)
    return [cell.standing for cell in row.cells]


def test_every_category_gets_its_own_smallest_size(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"math": GOOD, "multilingual": GOOD}
    sweep = judged(
        pair,
        heads,
        {0: full, 40: full, 20: {"math": GOOD, "multilingual": BAD}, 10: {"math": BAD, "multilingual": BAD}},
    )
    assert sweep.sizes == (40, 20, 10)
    assert sweep.full_size == VOCAB
    assert standings(sweep, "math") == [Standing.SHOWN, Standing.SHOWN, Standing.REGRESSION]
    assert standings(sweep, "multilingual") == [Standing.SHOWN, Standing.REGRESSION, Standing.REGRESSION]
    assert [row.smallest_shown for row in sweep.rows] == [20, 40]
    assert [row.smallest_not_found for row in sweep.rows] == [20, 40]
    assert sweep.smallest_shown == sweep.smallest_not_found == 40


def test_a_size_counts_only_if_all_larger_ones_do(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"math": GOOD, "qa": GOOD}
    sweep = judged(pair, heads, {0: full, 40: full, 20: {"math": BAD, "qa": GOOD}, 10: full})
    assert standings(sweep, "math") == [Standing.SHOWN, Standing.REGRESSION, Standing.NOT_FOUND]
    assert [row.smallest_shown for row in sweep.rows] == [40, 10]
    assert [row.smallest_not_found for row in sweep.rows] == [40, 10]


def test_what_noise_hides_is_not_called_shown(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"math": noisy(0), "qa": GOOD}
    sweep = judged(pair, heads, {0: full, 40: full, 20: {**full, "math": noisy(1)}, 10: {**full, "math": noisy(2)}})
    math, qa = sweep.rows
    assert standings(sweep, "math") == [Standing.SHOWN, Standing.NOT_FOUND, Standing.NOT_FOUND]
    assert (math.smallest_shown, math.smallest_not_found) == (40, 10)
    assert qa.smallest_shown == 10
    assert (sweep.smallest_shown, sweep.smallest_not_found) == (40, 10)
    words = " ".join(conclusion(sweep))
    assert "40 tokens are the smallest size at which no regression is shown in any category" in words
    assert "10 tokens are the smallest size at which none is found; it may be too small" in words
    assert "down to the size that the table names, true drops of up to" in words


def test_a_regression_at_every_size_leaves_only_the_whole_head(pair: Pair, heads: dict[int, Pair]) -> None:
    sweep = judged(pair, heads, {0: {"qa": GOOD}, 40: {"qa": BAD}, 20: {"qa": BAD}, 10: {"qa": BAD}})
    assert sweep.smallest_shown is None
    assert sweep.smallest_not_found is None
    assert sweep.overall is None
    assert conclusion(sweep)[1] == "Even at 40 tokens a regression is found, or nothing can be judged, in: qa."


def test_a_loss_that_only_all_prompts_together_show_disqualifies_a_size(pair: Pair, heads: dict[int, Pair]) -> None:
    names = "abcdefgh"
    full = {name: noisy(i, prompts=4) for i, name in enumerate(names)}
    worse = {name: noisy(100 + i, rate=0.55, prompts=4) for i, name in enumerate(names)}
    sweep = judged(pair, heads, {0: full, 40: full, 10: worse})
    assert all(row.smallest_not_found == 10 for row in sweep.rows)
    assert sweep.overall is not None
    assert sweep.overall.smallest_not_found == 40
    assert sweep.smallest_not_found == 40


def test_untested_is_neither_shown_nor_not_found(pair: Pair, heads: dict[int, Pair]) -> None:
    few = {"math": same(3, 3, prompts=2), "qa": GOOD}
    sweep = judged(pair, heads, {0: few, 40: {**few, "math": same(3, 2, prompts=2)}})
    assert standings(sweep, "math") == [Standing.NOT_JUDGED]
    assert sweep.rows[0].smallest_not_found is None
    assert sweep.smallest_not_found is None


def test_missing_records_are_not_judged(pair: Pair, heads: dict[int, Pair]) -> None:
    full = a_run(pair, {"math": GOOD, "qa": GOOD})
    cut = a_run(heads[40], {"math": GOOD, "qa": GOOD})
    bare = tuple(
        replace(c, turns=tuple(replace(t, acceptance=None) for t in c.turns)) if c.category == "math" else c
        for c in cut.conversations
    )
    sweep = judge(full, {40: replace(cut, conversations=bare)}, GatePolicy())
    assert [row.cells[0].standing for row in sweep.rows] == [Standing.NOT_JUDGED, Standing.SHOWN]


def test_the_family_is_split_over_sizes_for_findings_and_over_rows_for_what_is_shown(
    pair: Pair, heads: dict[int, Pair]
) -> None:
    full = {"math": noisy(0), "qa": noisy(1)}
    cut = {"math": noisy(2), "qa": noisy(3)}
    one = judged(pair, heads, {0: full, 40: cut})
    three = judged(pair, heads, {0: full, 40: cut, 20: cut, 10: cut})
    assert one.gates[40].family_error == pytest.approx(0.01)
    assert three.gates[40].family_error == pytest.approx(0.01 / 3)
    before, after = one.rows[0].cells[0], three.rows[0].cells[0]
    bounds = [cell.gate.changes[0].upper for cell in (before, after)]
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert bounds[1] > bounds[0]
    assert after.lower == before.lower, "a fixed order of sizes needs no correction"


def false_statements(repetitions: int, ratio: float, policy: GatePolicy, pair: Pair, heads: dict[int, Pair]) -> int:
    """In how many sweeps of two categories and two sizes, truly lower by 1 − ratio, any size is called shown."""
    rng = np.random.default_rng(0)
    full_rate = 0.7
    cut_rate = (ratio * (1 + 3 * full_rate) - 1) / 3
    false = 0
    for _ in range(repetitions):
        seeds = rng.integers(0, 1 << 32, size=6)
        draw = [noisy(int(seed), rate=full_rate if i < 2 else cut_rate) for i, seed in enumerate(seeds)]
        sweep = judged(
            pair,
            heads,
            {
                0: {"math": draw[0], "qa": draw[1]},
                20: {"math": draw[2], "qa": draw[3]},
                10: {"math": draw[4], "qa": draw[5]},
            },
            policy,
        )
        false += any(row.smallest_shown is not None for row in sweep.rows)
    return false


def test_a_drop_just_beyond_the_tolerance_is_hardly_ever_called_harmless(pair: Pair, heads: dict[int, Pair]) -> None:
    """Three rows share 20 %, and the two categories' part of it is 13 %; 60 sweeps exceed 15 in 4 of 1,000 cases."""
    assert (
        false_statements(60, 0.95, GatePolicy(parse_tolerance("5%", "tolerance"), family_error=0.2), pair, heads) <= 15
    )


def test_coverage_stands_next_to_the_change(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"qa": GOOD}
    sweep = judged(pair, heads, {0: full, 40: full, 10: full})
    outputs = [token for c in sweep.full.conversations for t in c.turns for token in t.output_ids]
    known = set(draft_vocabulary(str(heads[10].drafter.model if heads[10].drafter else "")).tolist())
    expected = sum(token not in known for token in outputs) / len(outputs)
    assert 0 < expected < 1
    assert sweep.rows[0].cells[1].outside_share == pytest.approx(expected)


def test_runs_on_other_prompts_are_refused(pair: Pair, heads: dict[int, Pair]) -> None:
    with pytest.raises(ConfigError, match="not all asked the same prompts"):
        judged(pair, heads, {0: {"qa": GOOD}, 40: {"math": GOOD}})
    with pytest.raises(ConfigError, match="not all asked the same prompts"):
        judged(pair, heads, {0: {"qa": GOOD}})


def test_the_sweep_measures_the_full_head_and_every_cut_of_it(pair: Pair, tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def measure(one: Pair) -> Run:
        assert one.drafter is not None
        asked.append((one.name, len(draft_vocabulary(str(one.drafter.model)))))
        return a_run(one, {"qa": GOOD})

    sweep = sweep_vocabulary(measure, pair, [10, 40, 10], COUNTS, tmp_path)
    assert asked == [("small", VOCAB), ("small-40", 40), ("small-10", 10)]
    assert sweep.smallest_shown == 10
    assert sweep.notes == ()
    leaking = replace(COUNTS, split_sha256="s" * 64)
    assert "the same prompts judge" in sweep_vocabulary(measure, pair, [10], leaking, tmp_path).notes[0]


def test_the_ends_of_sequences_are_always_kept(pair: Pair, tmp_path: Path) -> None:
    counts = replace(COUNTS, counts={7: 3, 8: 2, 9: 1})
    (cut,) = cut_heads(pair, [3], counts, tmp_path).values()
    assert cut.drafter is not None
    assert draft_vocabulary(str(cut.drafter.model)).tolist() == [tiny_models.EOS, 7, 8]


@pytest.mark.parametrize(
    ("change", "sizes", "reason"),
    [
        (lambda p: replace(p, drafter=Drafter(DrafterMethod.NGRAM)), [10], "is ngram, which has no draft vocabulary"),
        (lambda p: replace(p, drafter=None), [10], "is none, which has no draft vocabulary"),
        (lambda p: p, [VOCAB], r"of 48 tokens is no cut of .* Give sizes from 1 to 47"),
        (lambda p: p, [], "is missing"),
        (lambda p: p, [45], "cannot be chosen"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    pair: Pair, tmp_path: Path, change: Callable[[Pair], Pair], sizes: list[int], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        cut_heads(change(pair), sizes, COUNTS, tmp_path / "heads")
    assert not (tmp_path / "heads").exists()


def test_counts_of_another_vocabulary_are_refused(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="counted over 50 tokens"):
        cut_heads(pair, [10], replace(COUNTS, vocab_size=50), tmp_path)


def test_the_tables_say_what_holds(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"math": noisy(0), "multilingual": GOOD}
    cut = {"math": noisy(1), "multilingual": BAD}
    sweep = judged(
        pair, heads, {0: full, 40: full, 20: full, 10: cut}, GatePolicy(parse_tolerance("math=2%", "tolerance"))
    )
    text = "\n".join(vocabulary_lines(sweep, width=120, colour=False))
    (multilingual, missed) = (line for line in text.splitlines() if line.lstrip().startswith("multilingual"))
    assert multilingual.split() == ["multilingual", "3.667", "+0.0%", "=", "+0.0%", "=", "-63.6%", "!", "20", "20"]
    assert all(share.endswith("%") for share in missed.split()[1:])
    (math, _) = (line for line in text.splitlines() if line.lstrip().startswith("math"))
    assert "?" in math
    assert math.split()[-2:] == ["20", "10"]
    assert "tolerance 1.0%, math 2.0%, family-wise error 1%" in text


def test_json_holds_every_cell(pair: Pair, heads: dict[int, Pair]) -> None:
    full = {"math": noisy(0), "qa": GOOD}
    sweep = judged(pair, heads, {0: full, 40: full, 10: {"math": noisy(1), "qa": BAD}})
    content = json.loads(vocabulary_json(sweep))
    assert content["schema"] == "speedbench-vocabulary/1"
    assert [row["name"] for row in content["rows"]] == ["math", "qa", "overall"]
    cell = content["rows"][1]["cells"][1]
    assert (cell["size"], cell["standing"]) == (10, "regression")
    assert cell["gate_upper"] < -0.01
    assert sweep.gates[10].rows[1].verdict is Verdict.REGRESSION
    assert content["acceptance"].keys() == {"48", "40", "10"}


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    vocabulary.register(parser.add_subparsers())
    return vocabulary.run(parser.parse_args(["vocabulary", *words]))


def test_the_command_refuses_what_it_cannot_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"There is no file counts\.json"):
        command("--sizes=10", "--counts=counts.json")
    (tmp_path / "counts.txt").write_text("some text\n")
    with pytest.raises(ConfigError, match="has no draft vocabulary to cut"):
        command("--sizes=10", "--counts=counts.txt", "--pair=tiny-ngram")


@pytest.mark.parametrize("sizes", ["a,b", "0", ""])
def test_the_command_reads_sizes(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(f"--sizes={sizes}", "--counts=counts.txt")
    assert "no list of sizes" in capsys.readouterr().err or sizes == "0"
