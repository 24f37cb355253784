"""Controlled input length: first turns cut or filled with real text to a number of tokens."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, cycle
from typing import NamedTuple, TypeVar

from pytest_speedbench.errors import ConfigError, SplitError
from pytest_speedbench.splits.rows import content_hash
from pytest_speedbench.splits.schema import Prompt, Split, TextTokenizer
from pytest_speedbench.splits.texts import compact

BETWEEN = "\n\n"
"""What separates a prompt from the texts in front of it."""
_ROUNDS = 6
_END_CHARS = 32
_A = TypeVar("_A")
_B = TypeVar("_B")
_COUNT = re.compile(r"(\d{1,15})(k?)")
_SHOWN = 40
MAX_TOKENS = 10_000_000
"""Of a prompt: the longest context of any target that is known."""


def parse_count(text: str) -> int | None:
    """A whole number such as ``8192``, or ``8k`` for 8000, as SPEED-Bench counts; ``None`` for anything else."""
    match = _COUNT.fullmatch(text.strip())
    return int(match[1]) * (1000 if match[2] else 1) if match else None


def parse_tokens(text: str) -> int:
    """A length in tokens, at least 1.

    Raises:
        ConfigError: it is no such number.
    """
    tokens = parse_count(text)
    if not tokens:
        raise ConfigError(
            f"{text[:_SHOWN]!r} is no length in tokens.", "Write a whole number such as 8192, or 8k for 8000 tokens."
        )
    if tokens > MAX_TOKENS:
        raise ConfigError(f"{tokens} tokens are asked of a prompt.", f"No target takes more than {MAX_TOKENS:,}.")
    return tokens


def fit(split: Split, tokens: int, tokenizer: TextTokenizer, *, served: bool = True) -> Split:
    """The split with every first turn cut or filled to ``tokens`` tokens, as nearly as its text allows and never more.

    A longer turn keeps its beginning. In front of a shorter one come the first turns of other prompts, of its category
    as long as they last and then of the whole split, the last of them cut; so the task stays last. Each prompt is
    filled with other neighbours, and what it is filled with begins in the middle of a text: a prefix cache finds
    nothing in it that it would not find in the split as it was. The choice depends on nothing but the ids.
    ``Prompt.isl_tokens`` is the count reached. Later turns stay as they are.

    Args:
        split: a whole split: taken from a subset, prompts would be filled with other texts.
        tokens: at least 1, counted in the first turn alone, without the chat template.
        tokenizer: counts and cuts.
        served: whether the tokenizer is the target's own; its name is part of the split's otherwise.

    Raises:
        SplitError: a prompt begins with a character that has more tokens than asked for.
    """
    prompts = split.prompts
    first_turns = [prompt.turns[0] for prompt in prompts]
    cuts = [_Text(*cut) for cut in _map(lambda text: tokenizer.cut(text, tokens), first_turns)]
    for prompt, cut in zip(prompts, cuts, strict=True):
        if not cut.text.strip():
            raise SplitError(
                f"The first turn of {prompt.question_id!r} has no text left when it is cut to {tokens} "
                f"{tokenizer.name} tokens.",
                "Ask for more tokens.",
            )
    short = [
        place
        for place, (text, cut) in enumerate(zip(first_turns, cuts, strict=True))
        if cut.text == text and cut.tokens < tokens
    ]
    fitted, repeated = list(cuts), 0
    if short:
        filler = _Filler(prompts, cuts, tokens, tokenizer)
        for place, filled in zip(short, _map(filler.fill, short), strict=True):
            fitted[place] = filled.text
            repeated += filled.repeats
    done = tuple(
        replace(prompt, turns=compact((text.text, *prompt.turns[1:])), isl_tokens=text.tokens)
        for prompt, text in zip(prompts, fitted, strict=True)
    )
    cut_count = sum(cut.text != text for text, cut in zip(first_turns, cuts, strict=True))
    return replace(
        split,
        name=f"{split.name}-isl{tokens}" + ("" if served else f"-{tokenizer.name}"),
        prompts=done,
        sha256=content_hash(done),
        total=len(done),
        notes=(*split.notes, *_notes(tokens, tokenizer.name, fitted, cut_count, len(short), repeated)),
    )


class _Text(NamedTuple):
    text: str
    tokens: int


class _Filled(NamedTuple):
    text: _Text
    repeats: bool


class _Filler:
    """Puts the text of other prompts in front of one that is too short.

    Args:
        prompts: of the whole split.
        texts: their first turns, none longer than ``tokens``.
        tokens: to be reached.
        tokenizer: counts and cuts.
    """

    def __init__(
        self, prompts: Sequence[Prompt], texts: Sequence[_Text], tokens: int, tokenizer: TextTokenizer
    ) -> None:
        self._texts = texts
        self._tokens = tokens
        self._tokenizer = tokenizer
        ranked = sorted(range(len(prompts)), key=lambda place: _rank(prompts[place].question_id))
        self._everywhere = _Ring(ranked)
        by_category: dict[str, list[int]] = {}
        for place in ranked:
            by_category.setdefault(prompts[place].category, []).append(place)
        rings = {category: _Ring(places) for category, places in by_category.items()}
        self._near = [rings[prompt.category] for prompt in prompts]
        self._between = tokenizer.count(BETWEEN)
        self._fillers = [(text.text, self._cost(text)) for text in texts]

    def fill(self, place: int) -> _Filled:
        """The prompt at this place, filled: the closest to the length that a few attempts reach without passing it."""
        task = self._texts[place]
        others = self._others(place)
        best, repeats = task, False
        budget, tried = self._tokens - task.tokens, set[int]()
        fillers = [self._fillers[other] for other in others]
        opening = _second_half(fillers[0][0]) if fillers else ""
        first = (opening, self._cost(_Text(opening, self._tokenizer.count(opening))))
        while fillers and budget > 0 and budget not in tried and len(tried) < _ROUNDS:
            tried.add(budget)
            pieces = self._pieces([first, *fillers[1:]], fillers, budget)
            text = BETWEEN.join([*pieces, task.text])
            count = self._tokenizer.count(text)
            if best.tokens < count <= self._tokens:
                best, repeats = _Text(text, count), len(pieces) > len(others)
            # Texts have some tokens more or less together than each by itself.
            budget += self._tokens - count
        return _Filled(best, repeats)

    def _pieces(self, fillers: Sequence[tuple[str, int]], repeats: Sequence[tuple[str, int]], budget: int) -> list[str]:
        """Texts of about so many tokens, each given with its cost: the fillers in their order, then the repeats."""
        pieces: list[str] = []
        for text, cost in chain(fillers, cycle(repeats)):
            if cost > budget:
                piece, _ = self._tokenizer.cut(text, max(0, budget - self._between))
                return [*pieces, piece] if piece.strip() else pieces
            pieces.append(text)
            budget -= cost
        return pieces

    def _others(self, place: int) -> list[int]:
        """Places of all other prompts: those of its category first, each part beginning behind this one."""
        near = self._near[place].after(place)
        known = set(near)
        return [*near, *(other for other in self._everywhere.after(place) if other not in known)]

    def _cost(self, text: _Text) -> int:
        """Tokens of the text with what separates it from the next, as its end alone tells; at least 1."""
        end = text.text[-_END_CHARS:]
        return max(1, text.tokens + self._tokenizer.count(end + BETWEEN) - self._tokenizer.count(end))


class _Ring:
    """Places in an order without an end, so that everyone has other neighbours."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._index = {place: index for index, place in enumerate(places)}

    def after(self, place: int) -> list[int]:
        """All others, from the one behind this place on."""
        start = self._index[place]
        return [*self._places[start + 1 :], *self._places[:start]]


def _second_half(text: str) -> str:
    """From the first space behind the middle: else the prompt would begin as the one from which the text is."""
    half = text[len(text) // 2 :]
    rest = half.split(maxsplit=1)
    return rest[1] if len(rest) == 2 else half


def _rank(question_id: str) -> bytes:
    return hashlib.sha256(question_id.encode()).digest()


def _notes(
    tokens: int, tokenizer: str, fitted: Sequence[_Text], cut: int, short: int, repeated: int
) -> tuple[str, ...]:
    below = [tokens - text.tokens for text in fitted if text.tokens < tokens]
    notes = [
        f"First turns were brought to {tokens} {tokenizer} tokens: {cut} were cut and {short} filled with the text of "
        "other prompts."
    ]
    if below:
        notes.append(f"{len(below)} of them miss {tokens} tokens, by {max(below)} at most.")
    if repeated:
        notes.append(f"{repeated} of them repeat text: all other prompts together have too little.")
    return tuple(notes)


def _map(function: Callable[[_A], _B], items: Sequence[_A]) -> list[_B]:
    """On all cores: tokenizers let other threads run."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(function, items))
