"""The training text of the tiny family: our own sentences, drawn from templates of eleven kinds of task."""

from __future__ import annotations

from .conversation import CATEGORIES, Conversation, Message
from .stream import heldout_conversations, is_held_out, sub_categories, training_conversations

__all__ = [
    "CATEGORIES",
    "Conversation",
    "Message",
    "heldout_conversations",
    "is_held_out",
    "sub_categories",
    "training_conversations",
]
