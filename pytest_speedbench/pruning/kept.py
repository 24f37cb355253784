"""Which tokens a pruned head keeps: the special ones, then the most frequent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.regular_files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from pytest_speedbench.pruning.counts import TokenCounts


def most_frequent(
    counts: TokenCounts, size: int, *, always: Iterable[int] = (), among: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """``size`` target ids in ascending order: those of ``always``, then by falling count, equal counts by rising id.

    A smaller vocabulary of the same counts lies inside a larger one.

    Args:
        counts: how often each target token occurs.
        size: how many tokens to keep.
        always: ids kept whatever their count, usually :func:`special_ids`.
        among: the ids to choose from, usually what the head can propose; all if left out.

    Raises:
        ConfigError: ``size`` has no room for ``always``, or is larger than the number of tokens that occur: beyond
            those the counts give no reason to keep one token rather than another.
    """
    frequency = np.zeros(counts.vocab_size, np.int64)
    ids = np.arange(counts.vocab_size) if among is None else among
    frequency[ids] = counts.array()[ids]
    forced = np.intersect1d(np.fromiter(always, np.int64), ids)
    frequency[forced] = 0
    ranked = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    if not len(forced) < size <= len(forced) + len(ranked):
        raise ConfigError(
            f"A draft vocabulary of {size} tokens cannot be chosen: {len(forced)} are always kept and {len(ranked)} "
            f"more occur in {counts.source}.",
            f"Ask for {len(forced) + 1} to {len(forced) + len(ranked)} tokens, or count more text.",
        )
    return np.sort(np.concatenate([forced, ranked[: size - len(forced)]]))


def special_ids(folder: Path) -> frozenset[int]:
    """The special and end-of-sequence tokens of a target, from the JSON files in its folder; empty if none is named."""
    tokenizer, settings = _object(folder / "tokenizer.json"), _object(folder / "tokenizer_config.json")
    found = {int(entry["id"]) for entry in tokenizer.get("added_tokens") or () if entry.get("special")}
    decoder: dict[str, Any] = settings.get("added_tokens_decoder") or {}
    found |= {int(token_id) for token_id, entry in decoder.items() if entry.get("special")}
    for name in ("config.json", "generation_config.json"):
        ends = _object(folder / name).get("eos_token_id")
        found |= set(ends) if isinstance(ends, list) else set() if ends is None else {ends}
    return frozenset(found)


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(read_regular(path))
    return content if isinstance(content, dict) else {}
