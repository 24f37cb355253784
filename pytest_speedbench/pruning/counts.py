"""How often each token of a target occurs: counted in text or in outputs, stored as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.pruning.text import tokenized_answers
from pytest_speedbench.regular_files import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pytest_speedbench.measure.run import Run

TEXT_SUFFIXES = (".jsonl", ".txt")


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Counts by target token id.

    Attributes:
        counts: occurrences of each token that occurs.
        vocab_size: of the target; every id is below it.
        source: what was counted, in words.
        tokenizer_sha256: of the tokenizer that made the ids, as :func:`~pytest_speedbench.engines.identity.
            tokenizer_sha256` hashes it.
        split_sha256: of the split whose answers were counted; ``None`` for other text.
    """

    counts: Mapping[int, int]
    vocab_size: int
    source: str
    tokenizer_sha256: str
    split_sha256: str | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= token < self.vocab_size or count < 0 for token, count in self.counts.items()):
            raise ValueError(f"counts belong to ids from 0 to {self.vocab_size - 1} and are never negative")

    def array(self) -> NDArray[np.int64]:
        """The count of every token id, ``vocab_size`` values."""
        values = np.zeros(self.vocab_size, np.int64)
        values[list(self.counts)] = list(self.counts.values())
        return values


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counts file. ``counts`` holds ``[id, count]`` pairs, the most frequent first."""

    source: str
    tokenizer_sha256: str
    vocab_size: int
    counts: list[tuple[int, int]]
    split_sha256: str | None = None


def load_counts(path: Path, target: Path) -> TokenCounts:
    """Counts from a file of counts (``.json``), or counted in text with the target's tokenizer.

    In ``.jsonl`` the assistant's messages of ``messages`` count, or else ``text``; in ``.txt`` every line. Only what
    the target would say belongs in there, for that is what a drafter proposes.

    Args:
        path: the file.
        target: the target's folder, whose tokenizer the ids must belong to.

    Raises:
        ConfigError: a file that cannot be read, holds nothing, or was counted with another tokenizer.
        EngineError: the target's tokenizer cannot be loaded.
    """
    from pytest_speedbench.engines.identity import tokenizer_sha256

    if not path.is_file():
        raise ConfigError(f"There is no file {path}.", "Give a file of counts (.json) or of text (.jsonl, .txt).")
    ours = tokenizer_sha256(target)
    if path.suffix in TEXT_SUFFIXES:
        tokens, vocab_size = tokenized_answers(path, target)
        counted: Counter[int] = Counter()
        for ids in tokens:
            counted.update(ids)
        return _not_empty(TokenCounts(dict(counted), vocab_size, path.name, ours), path)
    try:
        stored = msgspec.json.decode(read_regular(path), type=_File)
        counts = TokenCounts(
            dict(stored.counts), stored.vocab_size, stored.source, stored.tokenizer_sha256, stored.split_sha256
        )
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ConfigError(
            f"{path} is no file of token counts: {error}.", "Count text again: give a .jsonl or .txt file instead."
        ) from error
    if counts.tokenizer_sha256 != ours:
        raise ConfigError(
            f"{path} was counted with another tokenizer than the one in {target}: its ids mean other tokens.",
            "Count the text again with this target.",
        )
    return _not_empty(counts, path)


def write_counts(counts: TokenCounts, path: Path) -> None:
    """Write counts as JSON, the most frequent token first, one token a line."""
    ranked = sorted(counts.counts.items(), key=lambda item: (-item[1], item[0]))
    head = _File(counts.source, counts.tokenizer_sha256, counts.vocab_size, [], counts.split_sha256)
    text = msgspec.json.format(msgspec.json.encode(head), indent=1).decode()
    lines = ",\n".join(f"  [{token}, {count}]" for token, count in ranked)
    path.write_text(text.replace('"counts": []', f'"counts": [\n{lines}\n ]') + "\n", encoding="utf-8")


def count_outputs(run: Run) -> TokenCounts:
    """Count what the target itself said in a measurement: the text that drafters are for.

    Judge the vocabulary on other prompts than these, or it is judged on its own training data.
    """
    counted: Counter[int] = Counter()
    for conversation in run.conversations:
        for turn in conversation.turns:
            counted.update(turn.output_ids)
    return TokenCounts(
        counts=dict(counted),
        vocab_size=run.engine.vocab_size,
        source=f"the answers of {run.pair.model} to {run.split.name}",
        tokenizer_sha256=run.models.tokenizer_sha256,
        split_sha256=run.split.sha256,
    )


def _not_empty(counts: TokenCounts, path: Path) -> TokenCounts:
    if not any(counts.counts.values()):
        raise ConfigError(f"{path} holds no token.", "Give a file with text or with counts.")
    return counts
