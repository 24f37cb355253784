"""The values of a row: of the right type, with text in them, and on one line where they name something."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import Any

import msgspec

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.forms import NUMBERED_TURNS, Form, Place, Row
from pytest_speedbench.splits.speed_bench import PLACEHOLDER
from pytest_speedbench.splits.unaskable import check_askable, unaskable_names

_NAMES: dict[str, Any] = {"question_id": str | int | float, "category": str, "sub_category": str | None}

_SENDERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant"}
"""The roles of ShareGPT's rows; others are called as ours."""
_MAX_NAME = 200
_CONTROLS = {"Cc", "Zl", "Zp"}


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a row asks.

    Attributes:
        turns: the user's messages.
        system: the system message; empty for none.
        replies: how many messages of the assistant were left out.
    """

    turns: tuple[str, ...]
    system: str
    replies: int = 0

    @property
    def is_placeholder(self) -> bool:
        """Whether the text of a turn must be fetched first."""
        return any(turn.startswith(PLACEHOLDER) for turn in self.turns)


def name_of(row: Row, form: Form, column: str, place: Place, *, optional: bool = False) -> str:
    """An id or a category: a text of one line, which tables and logs can show.

    Raises:
        SplitError: it is of another type, empty (unless optional), long, or has blanks around or control characters.
    """
    value = _label(row, form, column, place, _NAMES[column])
    if optional and not value:
        return ""
    if not value or value.isspace():
        raise SplitError(f"{place}: {column} is empty.", "Give every row one.")
    if len(value) > _MAX_NAME:
        raise SplitError(
            f"{place}: {column} has {len(value):,} characters; at most {_MAX_NAME} are allowed.",
            "It names a row of tables and baselines; is it the right column?",
        )
    if value != value.strip():
        raise SplitError(f"{place}: {column} {value!r} has blanks around it.", "Remove them.")
    if not value.isprintable() and any(unicodedata.category(character) in _CONTROLS for character in value):
        raise SplitError(f"{place}: {column} {value!r} has control characters.", "Remove them.")
    return value


def label_of(row: Row, form: Form, column: str, place: Place) -> str:
    """A text or a number that nobody computes with, as text; empty if there is none.

    Raises:
        SplitError: it is of another type.
    """
    return _label(row, form, column, place, str | int | float | None)


def conversation_of(row: Row, form: Form, place: Place) -> Conversation:
    """What a row asks, from any of the columns that can hold it.

    Raises:
        SplitError: it is of another type, has no user message, an empty one, or a message that cannot be asked.
    """
    system = ""
    if "system" in form.theirs:
        system = _typed(row[form.theirs["system"]], str | None, form.theirs["system"], place) or ""
    if form.holds_messages:
        conversation = _from_messages(row, form, place, system)
    else:
        conversation = Conversation(tuple(_turns(row, form, place)), system)
    _check_texts(conversation, place)
    return conversation


def _turns(row: Row, form: Form, place: Place) -> list[str]:
    if form.text == NUMBERED_TURNS:
        texts = [_typed(row[name], str | None, name, place) or "" for name in form.text_columns]
        while texts and not texts[-1]:
            texts.pop()
        return texts
    name = form.text_columns[0]
    types = {"turns": str | list[str] if form.mapped else list[str], "prompt": str | list[str], "text": str}
    value: str | list[str] = _typed(row[name], types[form.text], name, place)
    return [value] if isinstance(value, str) else value


def _from_messages(row: Row, form: Form, place: Place, system: str) -> Conversation:
    name = form.text_columns[0]
    turns: list[str] = []
    replies = 0
    written: list[dict[str, Any]] = _typed(row[name], list[dict[str, Any]], name, place)
    messages: list[_Message] = _typed([_in_our_words(message) for message in written], list[_Message], name, place)
    for position, message in enumerate(messages):
        where = f"{place}: {name}[{position}]"
        check_askable(written[position], unaskable_names(written[position]), where)
        if message.role == "assistant":
            replies += 1
        elif message.role == "user":
            turns.append(_content(message, where))
        elif message.role in {"system", "developer"}:
            if position or system:
                raise SplitError(
                    f"{where} is a system message, and not the only one at the beginning.",
                    "Give one system message, before all others.",
                )
            system = _content(message, where)
        else:
            raise SplitError(
                f"{where} has the role {message.role[:_MAX_NAME]!r}.",
                "Only messages of system, user and assistant can be asked; leave tools out.",
            )
    return Conversation(tuple(turns), system, replies)


def _in_our_words(message: dict[str, Any]) -> dict[str, Any]:
    """A message as role and content, also of ShareGPT's kind, which says from and value."""
    sender = message.get("from")
    if message.get("role") is not None or not isinstance(sender, str):
        return message
    return {"role": _SENDERS.get(sender.casefold(), sender), "content": message.get("value")}


def _content(message: _Message, where: str) -> str:
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        raise SplitError(f"{where} has no content.", "Give it text or remove it.")
    texts = []
    for part in message.content:
        kind, text = part.get("type"), part.get("text")
        if kind != "text" or not isinstance(text, str):
            raise SplitError(f"{where} has a part of the type {str(kind)[:_MAX_NAME]!r}.", "Only text can be asked.")
        texts.append(text)
    return "".join(texts)


def _check_texts(conversation: Conversation, place: Place) -> None:
    if not conversation.turns:
        raise SplitError(f"{place}: the row has no turns.", "Give at least one user message.")
    if conversation.system.isspace():
        raise SplitError(f"{place}: the system message is blank.", "Remove it or give it text.")
    for number, turn in enumerate(conversation.turns, start=1):
        if not turn or turn.isspace():
            raise SplitError(f"{place}: the row has an empty turn (number {number}).", "Remove it or give it text.")
    if any("\0" in text for text in (conversation.system, *conversation.turns)):
        raise SplitError(f"{place}: the text has a NUL character.", "Remove it: it is a sign of data that is no text.")


def _label(row: Row, form: Form, column: str, place: Place, kind: Any) -> str:
    theirs = form.theirs.get(column)
    if theirs is None:
        return ""
    value: str | int | float | None = _typed(row[theirs], kind, theirs, place)
    if isinstance(value, float):
        if not value.is_integer():
            # Table readers write a missing number as NaN.
            return "" if math.isnan(value) else str(value)
        value = int(value)
    return "" if value is None else str(value)


def _typed(value: object, kind: Any, column: str, place: Place) -> Any:
    try:
        if isinstance(value, msgspec.Raw):
            return msgspec.json.decode(value, type=kind)
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = str(error)
        at = problem.replace("`$", f"`{column}") if "`$" in problem else f"{problem} - at `{column}`"
        raise SplitError(f"{place}: {at}.", "docs/splits.md says what each column holds.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SplitError(
            f"{place}: {column} cannot be read: {error}.", "Write it as JSON: a list of texts in double quotes."
        ) from None
