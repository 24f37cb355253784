"""Several small tasks in one message, answered one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .draw import Draw, Turn

Builder = Callable[[Draw], list[Turn]]


def combined(builders: Sequence[Builder], label: str) -> Builder:
    """A task that asks two or three of ``builders``' first questions at once, each under ``label`` and a number."""

    def build(draw: Draw) -> list[Turn]:
        parts = [builder(draw)[0] for builder in draw.some(builders, draw.choices((2, 3), (75, 25))[0])]
        prompt = "\n".join(f"{label} {number}: {asked}" for number, (asked, _) in enumerate(parts, 1))
        answer = "\n".join(f"{label} {number}: {told}" for number, (_, told) in enumerate(parts, 1))
        place = draw.number(1, len(parts))
        return [(prompt, answer), (f"Repeat your answer to {label.lower()} {place}.", parts[place - 1][1])]

    return build
