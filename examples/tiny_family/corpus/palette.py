"""Free word choice under a mood and a place: every text draws from its own palette and never repeats a word soon."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from .draw import Draw, article, sentence
from .scenes import MOODS, PLACES, PREPOSITIONS, ROLES, TIMES
from .words import FIRST_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

FAVOUR = 0.45
"""How steeply a text prefers its favourite words; 0.45 gives the first of them a share of 36 %."""


class Palette:
    """Draws words for one text.

    The mood and the place, told in the prompt, decide which words are likely; within that the choice is free.
    """

    def __init__(self, draw: Draw, mood: str | None = None, place: str | None = None, name: str | None = None) -> None:
        self.draw = draw
        self.mood = mood or draw.pick(tuple(MOODS))
        self.place = place or draw.pick(tuple(PLACES))
        self.name = name or draw.pick(FIRST_NAMES)
        self.role = draw.pick(ROLES)
        self.time = draw.pick(TIMES)
        self._used: dict[str, set[str]] = {}

    def _fresh(self, kind: str, options: Sequence[str]) -> str:
        used = self._used.setdefault(kind, set())
        left = [option for option in options if option not in used]
        if not left:
            used.clear()
            left = list(options)
        left.sort(key=lambda option: crc32(f"{self.mood}|{self.place}|{option}".encode()))
        word = left[min(int(self.draw.expovariate(FAVOUR)), len(left) - 1)]
        used.add(word)
        return word

    @property
    def at(self) -> str:
        """``in the forest``, ``on the ship``: where the text is set."""
        return f"{PREPOSITIONS[self.place]} the {self.place}"

    def adjective(self) -> str:
        """An adjective of the mood."""
        return self._fresh("adjective", MOODS[self.mood]["adjective"])

    def verb(self) -> str:
        """A verb of the mood, in the past tense, without object."""
        return self._fresh("verb", MOODS[self.mood]["verb"])

    def adverb(self) -> str:
        """An adverb of the mood."""
        return self._fresh("adverb", MOODS[self.mood]["adverb"])

    def feeling(self) -> str:
        """A noun without article that carries the mood."""
        return self._fresh("feeling", MOODS[self.mood]["feeling"])

    def noun(self) -> str:
        """A thing of the place."""
        return self._fresh("noun", PLACES[self.place][0])

    def being(self) -> str:
        """A person or an animal of the place."""
        return self._fresh("being", PLACES[self.place][1])

    def thing(self) -> str:
        """A noun with an adjective, without article."""
        return f"{self.adjective()} {self.noun()}"

    def phrase(self, kind: str, templates: Sequence[str]) -> str:
        """One of ``templates``, unused so far in this text, with its slots filled and its first letter raised."""
        return sentence(self.fill(self._fresh(kind, templates)))

    def fill(self, template: str) -> str:
        """The template with ``{adj}``, ``{noun}``, ``{thing}``, ``{a_thing}`` and the like filled one by one."""
        parts = template.split("{")
        text = [parts[0]]
        for part in parts[1:]:
            slot, rest = part.split("}", 1)
            text.append(self._slot(slot))
            text.append(rest)
        return "".join(text)

    def _slot(self, slot: str) -> str:
        fixed = {
            "name": self.name,
            "place": self.place,
            "role": self.role,
            "mood": self.mood,
            "time": self.time,
            "at": self.at,
        }
        if slot in fixed:
            return fixed[slot]
        if slot == "a_thing":
            return article(self.thing())
        if slot == "a_noun":
            return article(self.noun())
        if slot == "a_being":
            return article(f"{self.adjective()} {self.being()}")
        made = {
            "being": self.being,
            "adj": self.adjective,
            "verb": self.verb,
            "adv": self.adverb,
            "feeling": self.feeling,
            "noun": self.noun,
        }
        return self.thing() if slot == "thing" else made[slot]()
