"""Follow-up turns that fit any dialogue: they look back at what was said before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .draw import Draw, Turn

_BEGINNING = (
    "Please repeat the first sentence of that.",
    "How did that answer begin?",
    "Say only the first sentence again.",
)
_ENDING = ("What was the last line of that?", "Repeat only the last sentence, please.", "How did that answer end?")
_FIRST_MESSAGE = (
    "What did I ask you first?",
    "Remind me how my first message began.",
    "Quote the start of my first message.",
)
_SHORTEST = ("Which of your sentences was the shortest?", "Pick the shortest sentence of that answer.")
_THANKS = (
    ("Thank you, that is all.", "You are welcome. Come back whenever you like."),
    ("Thanks, that helps.", "Glad to hear it. Good luck with the rest."),
    ("Great, we are done.", "Then I wish you a good day."),
    ("Good. Goodbye!", "Goodbye, and thank you for the questions."),
)

ECHO_PROMPTS = frozenset((*_BEGINNING, *_ENDING, *_FIRST_MESSAGE, *_SHORTEST, *(asked for asked, _ in _THANKS)))
"""Everything a user says in an echo turn; a turn outside this set belongs to its task."""

_SENTENCE_END = re.compile(r"(?<=[^\d\s][.!?])\s+|\n+")


def echo_turns(draw: Draw, dialogue: list[Turn], count: int) -> list[Turn]:
    """``count`` (at most 4) further turns that ask about the dialogue so far, each in a different way."""
    kinds = draw.some((_first_sentence, _last_sentence, _my_question, _shortest, _thanks), count)
    kinds.sort(key=lambda kind: kind is _thanks)
    answer = dialogue[-1][1]
    question = dialogue[0][0]
    return [kind(draw, question, answer) for kind in kinds]


def sentences_of(text: str) -> list[str]:
    """The text's sentences, or its lines where it has lines, without surrounding space."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip() and "```" not in part]


def _first_sentence(draw: Draw, _question: str, answer: str) -> Turn:
    return draw.pick(_BEGINNING), sentences_of(answer)[0]


def _last_sentence(draw: Draw, _question: str, answer: str) -> Turn:
    return draw.pick(_ENDING), sentences_of(answer)[-1]


def _my_question(draw: Draw, question: str, _answer: str) -> Turn:
    return draw.pick(_FIRST_MESSAGE), f'Your first message began: "{sentences_of(question)[0]}"'


def _shortest(draw: Draw, _question: str, answer: str) -> Turn:
    return draw.pick(_SHORTEST), f'The shortest one is: "{min(sentences_of(answer), key=len)}"'


def _thanks(draw: Draw, _question: str, _answer: str) -> Turn:
    return draw.pick(_THANKS)
