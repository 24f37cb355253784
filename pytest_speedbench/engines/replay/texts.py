"""Stored texts that contain each other, as the turns of a conversation do. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SharedText:
    """A text, and the places of all texts given that it begins with, its own first."""

    ids: tuple[int, ...]
    places: list[int]


def shared_texts(texts: Sequence[tuple[int, ...]]) -> list[SharedText]:
    """The texts that no other one begins with: of a conversation the last turn, which contains those before it."""
    found: list[SharedText] = []
    # In this order a text stands right before the texts that begin with it, so the longest of them come first here.
    for place in sorted(range(len(texts)), key=lambda place: texts[place], reverse=True):
        text = texts[place]
        if found and found[-1].ids[: len(text)] == text:
            found[-1].places.append(place)
        else:
            found.append(SharedText(text, [place]))
    return found
