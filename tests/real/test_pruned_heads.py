"""Heads cut by this package, measured beside those that come with it."""

from __future__ import annotations

from pathlib import Path

from pytest_speedbench import Measurement, Speedbench
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.pruning import draft_vocabulary, load_counts, most_frequent, prune_head, special_ids

TARGET = BUNDLED_FOLDER / "target"
COUNTS = Path(__file__).parents[2] / "examples" / "vocab_pruning" / "counts" / "english.json"
PROMPTS = 33


def measure(speedbench: Speedbench, head: str) -> Measurement:
    return speedbench.measure("mini", pair="tiny-eagle3", drafter=f"eagle3:{head}", prompts=PROMPTS)


def records(measurement: Measurement) -> list[object]:
    return [(turn.output_ids, turn.acceptance) for c in measurement.run.conversations for turn in c.turns]


def test_a_cut_that_keeps_every_token_is_the_full_head(speedbench: Speedbench, tmp_path: Path) -> None:
    prune_head("bundled:eagle3", range(4096), tmp_path)
    assert records(measure(speedbench, str(tmp_path))) == records(measure(speedbench, "bundled:eagle3"))


def test_the_shipped_pruned_head_is_what_the_counts_give(speedbench: Speedbench, tmp_path: Path) -> None:
    kept = most_frequent(load_counts(COUNTS, TARGET), 1024, always=special_ids(TARGET))
    prune_head("bundled:eagle3", kept, tmp_path)
    assert records(measure(speedbench, str(tmp_path))) == records(measure(speedbench, "bundled:eagle3-pruned"))


def test_a_cut_of_a_cut_is_the_smaller_cut(speedbench: Speedbench, tmp_path: Path) -> None:
    kept = most_frequent(load_counts(COUNTS, TARGET), 256, among=draft_vocabulary("bundled:eagle3-pruned"))
    prune_head("bundled:eagle3-pruned", kept, tmp_path / "twice")
    prune_head("bundled:eagle3", kept, tmp_path / "once")
    twice, once = (measure(speedbench, str(tmp_path / name)) for name in ("twice", "once"))
    assert records(twice) == records(once)
    assert twice.run.models == once.run.models


def test_a_cut_head_changes_the_speed_and_never_the_answer(speedbench: Speedbench, tmp_path: Path) -> None:
    kept = most_frequent(load_counts(COUNTS, TARGET), 256, always=special_ids(TARGET))
    prune_head("bundled:eagle3", kept, tmp_path)
    measurement = measure(speedbench, str(tmp_path))
    full = measure(speedbench, "bundled:eagle3")
    assert [t.output_ids for c in measurement.run.conversations for t in c.turns] == [
        t.output_ids for c in full.run.conversations for t in c.turns
    ]
    assert measurement.al_macro is not None
    assert full.al_macro is not None
    assert measurement.al_macro < 0.9 * full.al_macro
