"""The shape in which every corpus module hands over its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CATEGORIES: tuple[str, ...] = (
    "coding",
    "humanities",
    "math",
    "multilingual",
    "qa",
    "rag",
    "reasoning",
    "roleplay",
    "stem",
    "summarization",
    "writing",
)
"""SPEED-Bench's eleven categories, in alphabetical order."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, as chat templates take it."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole training conversation: user and assistant take turns, the user begins, the assistant ends.

    ``category`` is one of :data:`CATEGORIES`; ``sub_category`` names the task template that made it.
    """

    category: str
    sub_category: str
    messages: tuple[Message, ...]
