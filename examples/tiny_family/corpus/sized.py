"""Prompts that can be grown to any length with more of the same content: code, passages or story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .code_edits import draw_module
from .code_parts import draw_list_function
from .invented import draw_fact, draw_facts
from .palette import Palette
from .words import PLAIN_WORDS
from .writing import story_so_far
from .writing_phrases import BODIES, MIDDLES, VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .draw import Draw

ENTROPY_CLASSES: tuple[str, ...] = ("low_entropy", "mixed", "high_entropy")
"""SPEED-Bench's three classes of its throughput splits, from the most to the least predictable answer."""


@dataclass(frozen=True, slots=True)
class SizedPrompt:
    """A prompt with a body of as many units as wanted.

    ``render`` makes the prompt from the body's units and some ``small`` ones; ``start`` is the least body.
    """

    sub_category: str
    start: tuple[str, ...]
    unit: Callable[[], str]
    small: Callable[[], str]
    render: Callable[[list[str], list[str]], str]


def draw_sized_prompt(draw: Draw, entropy_class: str, number: int) -> SizedPrompt:
    """The prompt of kind ``number`` (they repeat in a cycle) of one of :data:`ENTROPY_CLASSES`."""
    if entropy_class == "low_entropy":
        return _code(draw, number)
    if entropy_class == "mixed":
        return _passages(draw, number)
    if entropy_class == "high_entropy":
        return _story(draw, number)
    raise ValueError(f"unknown entropy class {entropy_class!r}; there are {', '.join(ENTROPY_CLASSES)}")


def _code(draw: Draw, number: int) -> SizedPrompt:
    first = draw_module(draw, 2)
    new = f"{draw.pick(PLAIN_WORDS)}_{draw.pick(PLAIN_WORDS)}"
    sub_category, request = (
        ("rename variable", f"Rename the variable `{first[0].parameter}` to `{new}`:"),
        ("pick function", f"Show me only the function `{first[1].name}` from this file:"),
        ("add docstring", "Add a docstring to every function:"),
        ("rename function", f"Rename the function `{first[0].name}` to `{new}` and leave the rest as it is:"),
        ("add type hints", "Add type hints to this code:"),
        ("fix bug", f"The function `{first[1].name}` returns the wrong thing. Fix it:"),
    )[number % 6]
    codes = [function.code for function in first]
    if sub_category == "fix bug":
        codes[1] = codes[1].replace(f"return {first[1].result}", f"return {first[1].parameter}")

    def constant() -> str:
        suffix = draw.pick(("LIMIT", "SIZE", "COUNT", "RATE"))
        return f"{draw.pick(PLAIN_WORDS).upper()}_{suffix} = {draw.number(1, 9999)}"

    def render(units: list[str], small: list[str]) -> str:
        body = "\n\n\n".join(["\n".join(small), *units] if small else units)
        return f"{request}\n\n```python\n{body}\n```"

    return SizedPrompt(sub_category, tuple(codes), lambda: draw_list_function(draw).code, constant, render)


def _passages(draw: Draw, number: int) -> SizedPrompt:
    wanted = draw_facts(draw, 2)
    sub_category, before, after = (
        ("quote the passage", "Use the text to answer.\n\n", f"\n\nQuestion: {wanted[0].question}"),
        ("key sentences", "Summarize this text by its key sentences:\n\n", ""),
        ("question first", f"{wanted[1].question}\n\n", ""),
        ("bullet points", "Summarize the text as bullet points:\n\n", ""),
        ("two questions", "", f"\n\nAnswer both questions. {wanted[0].question} {wanted[1].question}"),
        ("about one subject", "", f"\n\nSummarize only what the text says about {wanted[1].subject}."),
    )[number % 6]
    numbered = sub_category in {"quote the passage", "question first", "two questions"}

    def render(units: list[str], small: list[str]) -> str:
        lines = [*units, *small]
        if numbered:
            lines = [f"Passage {place}: {line}" for place, line in enumerate(lines, 1)]
        return before + "\n".join(lines) + after

    def fact() -> str:
        return draw_fact(draw).sentence

    return SizedPrompt(sub_category, tuple(one.sentence for one in wanted), fact, fact, render)


def _story(draw: Draw, number: int) -> SizedPrompt:
    palette = Palette(draw)
    templates = (*MIDDLES, *VIEWS)
    request = (
        f"Continue this {palette.mood} story and end it:",
        f"How does this {palette.mood} story go on:",
        f"Finish this {palette.mood} tale:",
    )[number % 3]

    def render(units: list[str], small: list[str]) -> str:
        return f"{request}\n\n{' '.join([*units, *small])}"

    def spoken() -> str:
        return f'"{palette.phrase("spoken", BODIES)}"'

    return SizedPrompt(
        "continue a story",
        tuple(story_so_far(palette, 1)),
        lambda: spoken() if draw.chance(0.2) else palette.phrase("middle", templates),
        lambda: palette.phrase("middle", templates),
        render,
    )
