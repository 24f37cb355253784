"""SPEED-Bench: its configs, how many rows each has, and where a prepared file of one lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.splits.schema import Split

REPOSITORY = "nvidia/SPEED-Bench"
"""The dataset's id on the hub."""

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH"
"""How a row of the public dataset begins whose text must first be resolved by its authors' script."""

_QUALITATIVE = (
    "coding",
    "humanities",
    "math",
    "multilingual",
    "qa",
    "rag",
    "reasoning",
    "roleplay",
    "stem",
    "summarization",
    "writing",
)
_ENTROPIES = ("high_entropy", "low_entropy", "mixed")

ROWS: Mapping[str, Mapping[str, int]] = {
    "qualitative": dict.fromkeys(_QUALITATIVE, 80),
    **{f"throughput_{size}": dict.fromkeys(_ENTROPIES, 512) for size in ("1k", "2k", "8k", "16k", "32k")},
}
"""Rows of each category of each config."""

CONFIGS = tuple(ROWS)


def check_config(config: str) -> None:
    """Refuse what is no config of SPEED-Bench.

    Raises:
        SplitError: it is none.
    """
    if config not in ROWS:
        raise SplitError(
            f"SPEED-Bench has no config {config!r}.", f"{closest(config, CONFIGS)}It has: {', '.join(CONFIGS)}."
        )


def locate(config: str, root: Path) -> Path | None:
    """The prepared file of a config below a folder.

    Looks where the authors' script writes it from the folder's point of view (``data/speed/CONFIG/test.parquet`` and
    its tails) and for NeMo-Skills' ``CONFIG.jsonl``.

    Returns:
        The file; ``None`` if there is none.

    Raises:
        SplitError: no such config, or several files that could be meant.
    """
    check_config(config)
    parquet = Path(config, "test.parquet")
    places = (root / "data" / "speed" / parquet, root / "speed" / parquet, root / parquet, root / f"{config}.jsonl")
    found = [place for place in places if place.is_file()]
    if len(found) > 1:
        raise SplitError(
            f"{root} holds the SPEED-Bench config {config!r} more than once: {', '.join(map(str, found))}.",
            "Name the file that is meant.",
        )
    return found[0] if found else None


def check_counts(config: str, split: Split) -> None:
    """Refuse a split that claims to be a whole config and has not its rows.

    Raises:
        SplitError: no such config, or another number of rows in some category; it names them.
    """
    check_config(config)
    expected, counts = ROWS[config], split.counts()
    wrong = [
        f"{category} {counts.get(category, 0)} of {expected.get(category, 0)}"
        for category in sorted({*expected, *counts})
        if counts.get(category, 0) != expected.get(category, 0)
    ]
    if wrong:
        raise SplitError(
            f"{split.origin or split.name} is not the whole SPEED-Bench config {config!r}; rows by category: "
            f"{', '.join(wrong)}.",
            f"Prepare it anew with: speedbench prepare {config}.",
        )
