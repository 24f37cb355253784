"""Many conversations to token ids at once: as fast as the machine can, and the same ids as one by one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.measure.prompts import TemplateEncoder, encode_turn, render_turn
from pytest_speedbench.splits.schema import Prompt

Ids = NDArray[np.uint32]
_EncodeTexts = Callable[[list[str]], Iterator[Ids]]

_CHUNK_CHARS = 8 * 2**20
"""Texts that are rendered and encoded together: enough for every core, little beside the ids."""
_SAMPLES = 8


def encode_in_bulk(encoder: TemplateEncoder, prompts: Sequence[Prompt]) -> tuple[list[Ids], tuple[str, ...]]:
    """Ids of the first turn of every prompt, as the tokenizer gives them one by one.

    The package fastokens is used where it is installed and knows this kind of tokenizer, else the tokenizer's own
    batches. Whichever it was, evenly spaced prompts, the longest and the one with most text beyond ASCII are encoded
    one by one as well; where one of them differs, the next way is taken for all.

    Returns:
        The ids of each first turn, and a sentence for every way that was given up.

    Raises:
        EngineError: the chat template refuses a prompt.
    """
    expected = {place: encode_turn(encoder, prompts[place], ()) for place in _sample(prompts)}
    notes: list[str] = []
    for name, encode_texts in _ways(encoder.tokenizer):
        try:
            found = list(_in_chunks(encoder, prompts, encode_texts))
        except (ValueError, RuntimeError) as error:
            notes.append(f"{name} failed ({error}), so its token ids are not used.")
            continue
        differing = [place for place, ids in expected.items() if tuple(found[place].tolist()) != ids]
        if not differing:
            return found, tuple(notes)
        notes.append(
            f"{name} gave other token ids than the tokenizer itself for {len(differing)} of {len(expected)} prompts "
            "that were checked, so its ids are not used."
        )
    return [np.array(encode_turn(encoder, prompt, ()), dtype=np.uint32) for prompt in prompts], tuple(notes)


def _sample(prompts: Sequence[Prompt]) -> list[int]:
    """Places of the prompts to check."""
    texts = [prompt.turns[0] for prompt in prompts]
    places = range(len(texts))
    even = {round(step * (len(texts) - 1) / (_SAMPLES - 1)) for step in range(_SAMPLES)}
    beyond_ascii = [0 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) - len(text) for text in texts]
    return sorted({*even, max(places, key=lambda n: len(texts[n])), max(places, key=beyond_ascii.__getitem__)})


def _in_chunks(encoder: TemplateEncoder, prompts: Sequence[Prompt], encode_texts: _EncodeTexts) -> Iterator[Ids]:
    texts: list[str] = []
    chars = 0
    for prompt in prompts:
        texts.append(render_turn(encoder, prompt, ()))
        chars += len(texts[-1])
        if chars >= _CHUNK_CHARS:
            yield from encode_texts(texts)
            texts, chars = [], 0
    if texts:
        yield from encode_texts(texts)


def _ways(tokenizer: Any) -> Iterator[tuple[str, _EncodeTexts]]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return
    split_special = bool(getattr(tokenizer, "split_special_tokens", False))
    fast = _fastokens(backend, split_special=split_special)
    if fast is not None:
        yield "fastokens", fast
    yield "The package tokenizers", _batched(backend, split_special=split_special)


def _fastokens(backend: Any, *, split_special: bool) -> _EncodeTexts | None:
    """The package fastokens on this tokenizer; ``None`` if it is not installed or does not know such tokenizers."""
    try:
        fastokens: Any = importlib.import_module("fastokens")
        fast = fastokens.Tokenizer.from_json_str(backend.to_str())
        encode_flat = fast.encode_batch_flat
    except (ImportError, AttributeError, ValueError):
        return None
    fast.no_truncation()

    def encode(texts: list[str]) -> Iterator[Ids]:
        flat, starts = encode_flat(texts, add_special_tokens=False, split_special_tokens=split_special)
        ids = np.frombuffer(flat, dtype="<u4").astype(np.uint32, copy=False)
        for start, end in pairwise(np.frombuffer(starts, dtype="<u8").tolist()):
            yield ids[start:end]

    return encode


def _batched(backend: Any, *, split_special: bool) -> _EncodeTexts:
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = split_special

    def encode(texts: list[str]) -> Iterator[Ids]:
        for encoding in backend.encode_batch_fast(texts, add_special_tokens=False):
            yield np.array(encoding.ids, dtype=np.uint32)

    return encode
