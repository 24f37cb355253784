"""From conversations to training batches: encoding, packing into rows, and rows of pure copying."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from examples.tiny_family.corpus.conversation import CATEGORIES, Conversation
from examples.tiny_family.recipe import LONG_BATCH, PROMPT_LOSS_WEIGHT, SHORT_BATCH, VOCAB_SIZE, BatchShape
from examples.tiny_family.tokenizer import ASSISTANT, END, PAD_ID, SPECIAL_TOKENS, USER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

ENCODED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class EncodedCorpus:
    """All conversations as one flat token array; conversation ``i`` is ``ids[starts[i]:starts[i + 1]]``.

    ``answers`` marks the assistant's tokens, its closing mark included; ``categories`` indexes
    :data:`~examples.tiny_family.corpus.conversation.CATEGORIES`.
    """

    ids: NDArray[np.uint16]
    answers: NDArray[np.bool_]
    starts: NDArray[np.int64]
    categories: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per conversation."""
        return np.diff(self.starts)

    def save(self, path: Path) -> None:
        """Write all arrays to one ``.npz`` file."""
        np.savez(path, ids=self.ids, answers=self.answers, starts=self.starts, categories=self.categories)

    @classmethod
    def load(cls, path: Path) -> EncodedCorpus:
        """Read back what :meth:`save` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["ids"], arrays["answers"], arrays["starts"], arrays["categories"])

    @classmethod
    def join(cls, parts: Sequence[EncodedCorpus]) -> EncodedCorpus:
        """One corpus with the conversations of all ``parts`` in order."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.answers for part in parts]),
            np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
            np.concatenate([part.categories for part in parts]),
        )


def encode(tokenizer: tokenizers.Tokenizer, conversations: Iterable[Conversation]) -> EncodedCorpus:
    """Encode conversations in the chat template's form, a few thousand at a time to bound the memory."""
    remaining = iter(conversations)
    parts: list[EncodedCorpus] = []
    while chunk := list(islice(remaining, ENCODED_AT_ONCE)):
        parts.append(_encode_chunk(tokenizer, chunk))
    return EncodedCorpus.join(parts)


def _encode_chunk(tokenizer: tokenizers.Tokenizer, conversations: Sequence[Conversation]) -> EncodedCorpus:
    texts: list[str] = []
    is_answer: list[bool] = []
    messages_per_conversation: list[int] = []
    for conversation in conversations:
        messages_per_conversation.append(len(conversation.messages))
        for message in conversation.messages:
            mark = ASSISTANT if message.role == "assistant" else USER
            texts.extend((f"{mark}\n", f"{message.content}{END}", "\n"))
            is_answer.extend((False, message.role == "assistant", False))
    pieces = [np.asarray(encoding.ids, np.uint16) for encoding in tokenizer.encode_batch_fast(texts)]
    piece_lengths = np.asarray([len(piece) for piece in pieces], np.int64)
    piece_starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(piece_lengths)])
    first_pieces = np.concatenate([np.zeros(1, np.int64), np.cumsum(messages_per_conversation) * 3])
    return EncodedCorpus(
        ids=np.concatenate(pieces),
        answers=np.repeat(np.asarray(is_answer, np.bool_), piece_lengths),
        starts=piece_starts[first_pieces],
        categories=np.asarray([CATEGORIES.index(conversation.category) for conversation in conversations], np.uint8),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """``ids`` [rows, length + 1] and the loss ``weights`` [rows, length] of predicting ``ids[:, 1:]``."""

    ids: Tensor
    weights: Tensor


def epoch(corpus: EncodedCorpus, generator: np.random.Generator) -> Iterator[Batch]:
    """All conversations once, packed into short and long batches in random order; incomplete batches are left out."""
    order = generator.permutation(len(corpus))
    lengths = corpus.lengths[order]
    plans: list[tuple[BatchShape, list[list[int]]]] = []
    is_long = lengths > SHORT_BATCH.length_tokens + 1
    for shape, members in ((SHORT_BATCH, order[~is_long]), (LONG_BATCH, order[is_long])):
        rows = _pack(members, corpus.lengths, shape.length_tokens + 1)
        whole = range(0, len(rows) - shape.rows + 1, shape.rows)
        plans.extend((shape, rows[start : start + shape.rows]) for start in whole)
    for index in generator.permutation(len(plans)):
        shape, rows = plans[index]
        yield _batch(corpus, shape, rows)


def batches(corpus: EncodedCorpus, seed: int) -> Iterator[Batch]:
    """Endless epochs, each in its own order."""
    generator = np.random.default_rng(seed)
    while True:
        yield from epoch(corpus, generator)


def copying_batch(shape: BatchShape, generator: np.random.Generator) -> Batch:
    """Rows in which random token sequences repeat; only the repeats count in the loss.

    Nothing but looking back predicts them, so the model has to grow the attention that copies.
    """
    ids = np.zeros((shape.rows, shape.length_tokens + 1), np.int64)
    weights = np.zeros(ids.shape, np.float32)
    for row in range(shape.rows):
        position = 0
        while position < ids.shape[1]:
            length = int(generator.integers(8, 160))
            phrase = generator.integers(len(SPECIAL_TOKENS), VOCAB_SIZE, length)
            for repeat in range(int(generator.integers(2, 5))):
                start = int(generator.integers(0, length // 2)) if repeat else 0
                piece = phrase[start:][: ids.shape[1] - position]
                ids[row, position : position + len(piece)] = piece
                weights[row, position + 1 : position + len(piece)] = 1.0 if repeat else 0.0
                position += len(piece)
    return Batch(torch.from_numpy(ids), torch.from_numpy(weights[:, 1:].copy()))


def _pack(members: NDArray[np.int64], lengths: NDArray[np.int64], room: int) -> list[list[int]]:
    """First-fit over a small window of open rows; a conversation longer than a row is cut at the row's end."""
    open_rows: list[tuple[int, list[int]]] = []
    rows: list[list[int]] = []
    for member in members:
        length = min(int(lengths[member]), room)
        for index, (left, row) in enumerate(open_rows):
            if length <= left:
                row.append(int(member))
                open_rows[index] = (left - length, row)
                break
        else:
            if len(open_rows) == 24:
                fullest = min(range(24), key=lambda index: open_rows[index][0])
                rows.append(open_rows.pop(fullest)[1])
            open_rows.append((room - length, [int(member)]))
    return rows + [row for _, row in open_rows]


def _batch(corpus: EncodedCorpus, shape: BatchShape, rows: list[list[int]]) -> Batch:
    ids = np.full((shape.rows, shape.length_tokens + 1), PAD_ID, np.int64)
    weights = np.zeros(ids.shape, np.float32)
    for row, members in enumerate(rows):
        position = 0
        for member in members:
            start = corpus.starts[member]
            length = min(int(corpus.starts[member + 1] - start), ids.shape[1] - position)
            ids[row, position : position + length] = corpus.ids[start : start + length]
            answer = corpus.answers[start : start + length]
            weights[row, position : position + length] = np.where(answer, 1.0, PROMPT_LOSS_WEIGHT)
            weights[row, position] = 0.0
            position += length
    return Batch(torch.from_numpy(ids), torch.from_numpy(weights[:, 1:].copy()))
