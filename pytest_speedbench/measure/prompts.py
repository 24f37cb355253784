"""Messages become token ids: by us, with the target's own chat template, never inside an engine or a timed region."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.chat_template import ChatTemplate, Message, left_out, no_template
from pytest_speedbench.splits.schema import Prompt

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


class ChatEncoder(Protocol):
    """Renders conversations to token ids and replies back to text."""

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation so far as text, special tokens written out, so that the assistant speaks next."""

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Ids of that text."""

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        """The text of a reply, special tokens left out unless they are asked for.

        Raises:
            EngineError: the tokenizer does not know an id.
        """


def dialogue(turns: Sequence[str], replies: Sequence[str], system: str = "") -> list[dict[str, str]]:
    """The messages of a conversation.

    Args:
        turns: of the user.
        replies: of the assistant between them.
        system: the message before all others; empty for none.
    """
    messages = [{"role": "system", "content": system}] if system else []
    for number, turn in enumerate(turns):
        if number:
            messages.append({"role": "assistant", "content": replies[number - 1]})
        messages.append({"role": "user", "content": turn})
    return messages


class TemplateEncoder:
    """A :class:`ChatEncoder` over a Hugging Face tokenizer folder with a chat template."""

    def __init__(self, tokenizer: Any, folder: Path) -> None:
        self.tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer, folder)

    @classmethod
    def load(cls, folder: Path) -> TemplateEncoder:
        """Load the tokenizer that lies beside the target's weights.

        Raises:
            EngineError: there is none, it cannot be read, it has no chat template that can be used.
        """
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise EngineError(
                "Prompts cannot be tokenized: the package transformers is not installed.",
                'Install it with: pip install "pytest-speedbench[transformers]".',
            ) from None
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise EngineError(
                f"The tokenizer in {folder} cannot be loaded: {reason}",
                "Put tokenizer.json and tokenizer_config.json beside the model's config.json.",
            ) from error
        return cls(tokenizer, folder)

    def render(self, messages: Sequence[Message]) -> str:
        """The text that :meth:`encode` tokenizes.

        Raises:
            EngineError: the template refuses these messages, or fails at them.
        """
        return self._template.render(messages)

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """Render and tokenize; the template alone decides about special tokens, so none is added twice.

        Raises:
            EngineError: as for :meth:`render`, or the text has characters that no tokenizer takes.
        """
        text = self.render(messages)
        try:
            encoded = self.tokenizer(text, padding=False, truncation=False, add_special_tokens=False)
        except (TypeError, UnicodeError):
            if not _has_surrogates(text):
                raise
            raise EngineError(
                "The text has half a character (a lone surrogate), which is no text that can be tokenized.",
                "Write the text anew as UTF-8.",
            ) from None
        return tuple(int(token) for token in encoded["input_ids"])

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        """The reply's text, without special tokens unless they are asked for.

        Raises:
            EngineError: the tokenizer does not know an id.
        """
        ids = list(token_ids)
        unknown = next((token for token in ids if not self._knows(token)), None)
        if unknown is not None:
            raise EngineError(
                f"The target's reply has the token id {unknown}, which its tokenizer does not know.",
                "Look at what the engine serves: another model, or one with another tokenizer, has such ids.",
            )
        return str(self.tokenizer.decode(ids, skip_special_tokens=not special))

    def _knows(self, token: int) -> bool:
        try:
            return self.tokenizer.convert_ids_to_tokens(token) is not None
        except (OverflowError, IndexError):
            return False


class LateEncoder:
    """The :class:`TemplateEncoder` of a folder, loaded when it is first needed.

    First turns that were tokenized before need none, and a large one takes seconds and half a gigabyte to load.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def loaded(self) -> TemplateEncoder:
        """The encoder itself.

        Raises:
            EngineError: as for :meth:`TemplateEncoder.load`.
        """
        return TemplateEncoder.load(self.folder)

    def render(self, messages: Sequence[Message]) -> str:
        """As the loaded one."""
        return self.loaded.render(messages)

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """As the loaded one."""
        return self.loaded.encode(messages)

    def decode(self, token_ids: Sequence[int], *, special: bool = False) -> str:
        """As the loaded one."""
        return self.loaded.decode(token_ids, special=special)


def encode_turn(encoder: ChatEncoder, prompt: Prompt, replies: Sequence[str]) -> tuple[int, ...]:
    """Ids of a prompt's turn that follows these replies, the conversation so far included.

    Raises:
        EngineError: the chat template refuses the conversation or leaves out a part of it; it names the prompt.
    """
    render_turn(encoder, prompt, replies)
    number = len(replies) + 1
    with naming(prompt, number):
        return encoder.encode(dialogue(prompt.turns[:number], replies, prompt.system))


def render_turn(encoder: ChatEncoder, prompt: Prompt, replies: Sequence[str]) -> str:
    """The text of which :func:`encode_turn` gives the ids.

    Raises:
        EngineError: as for :func:`encode_turn`.
    """
    number = len(replies) + 1
    messages = dialogue(prompt.turns[:number], replies, prompt.system)
    with naming(prompt, number):
        text = encoder.render(messages)
    missing = left_out(encoder.render, messages, text)
    if missing is not None:
        words = {"system": "the system message", "user": "the text", "assistant": "the target's own reply"}
        raise EngineError(
            f"The target's chat template leaves out {words[missing['role']]} of {prompt.question_id!r}"
            f"{f' (turn {number})' if number > 1 else ''}.",
            "Leave the system messages out of the split, or use a target whose template has them."
            if missing["role"] == "system"
            else "Mend the template: what it leaves out is not asked.",
        )
    return text


@contextmanager
def naming(prompt: Prompt, number: int) -> Iterator[None]:
    """Put the prompt's id and the turn's number before what is wrong with it."""
    try:
        yield
    except EngineError as error:
        raise EngineError(f"Turn {number} of {prompt.question_id!r}: {error.problem}", error.remedy) from error


def check_chat_template(folder: Path) -> None:
    """Refuse a model folder whose tokenizer is missing or has no chat template, from its files alone.

    Raises:
        EngineError: with the way out.
    """
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise EngineError(
            f"There is no tokenizer in {folder}.",
            "Put tokenizer.json and tokenizer_config.json beside the model's config.json.",
        )
    if any(
        (folder / name).exists() for name in ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
    ):
        return
    config = folder / "tokenizer_config.json"
    try:
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{config} cannot be read: {error}.", "Restore the tokenizer's files.") from None
    if not isinstance(settings, dict) or not settings.get("chat_template"):
        raise no_template(folder)


def ids_hash(token_ids: Sequence[int] | NDArray[np.uint32]) -> str:
    """SHA-256 (hex) of token ids, four bytes each, little-endian: what the target really read."""
    return hashlib.sha256(np.ascontiguousarray(token_ids, dtype="<u4").data).hexdigest()


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
