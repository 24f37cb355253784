"""What the multilingual tasks know about a language: small word lists and whole sentence patterns."""

from __future__ import annotations

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]
"""Phrases of the language, each with its English counterpart."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language as the templates see it.

    Patterns are whole sentences with slots (``{name}``, ``{act}``, ``{place}``, ``{time}``, ...); lists hold phrases
    that fit the slots without further inflection.
    """

    name: str
    script: str
    people: Pairs
    acts: Pairs
    places: Pairs
    times: Pairs
    nouns: Pairs
    numbers: tuple[str, ...]
    days: tuple[str, ...]
    weather: tuple[str, ...]
    act: str
    what: str
    at: str
    where: str
    ask_at: str
    yes: str
    no: str
    full: str
    tell: tuple[str, str]
    opening: tuple[str, str]
    ending: tuple[str, str, str]
    list_them: str
    count_on: str
    next_day: str
    next_day_is: str
    hello: str
    hello_back: str
    thanks: str
    welcome: str
    comma: str = ", "
    joiner: str = " "


def pairs(text: str) -> Pairs:
    """Parse ``phrase=english; phrase=english``; a phrase without ``=`` is its own counterpart."""
    result = []
    for part in text.split(";"):
        native, _, english = part.strip().partition("=")
        result.append((native, english or native))
    return tuple(result)


def phrases(text: str, separator: str = ";") -> tuple[str, ...]:
    """Parse ``a; b; c``."""
    return tuple(part.strip() for part in text.split(separator))
