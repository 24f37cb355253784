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
from pytest_speedbench.measure.template_date import with_fixed_date
from pytest_speedbench.splits.schema import Prompt

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


class ChatEncoder(Protocol):
    """Renders conversations to token ids and replies back to text."""

    def encode(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Ids of the conversation so far, rendered so that the assistant speaks next."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a reply, special tokens left out."""


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

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> TemplateEncoder:
        """Load the tokenizer that lies beside the target's weights.

        Raises:
            EngineError: there is none, it cannot be read, it has no chat template, or one with a date that changes.
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
        if not getattr(tokenizer, "chat_template", None):
            raise _no_template(folder)
        tokenizer.chat_template = with_fixed_date(tokenizer.get_chat_template())
        return cls(tokenizer)

    def encode(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Render and tokenize; the template alone decides about special tokens, so none is added twice.

        Raises:
            EngineError: the template refuses these messages.
        """
        return tuple(int(token) for token in self._apply(messages, tokenize=True))

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """The text that :meth:`encode` tokenizes, special tokens written out.

        Raises:
            EngineError: the template refuses these messages.
        """
        return str(self._apply(messages, tokenize=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        """The reply's text, without special tokens."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def _apply(self, messages: Sequence[dict[str, str]], *, tokenize: bool) -> Any:
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=tokenize, return_dict=False
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise EngineError(
                f"The target's chat template refuses messages of {roles}: {str(error).rstrip('.')}.",
                "Leave such prompts (or their system messages) out, or use a target whose template takes them.",
            ) from error


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

    def encode(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """As the loaded one."""
        return self.loaded.encode(messages)

    def decode(self, token_ids: Sequence[int]) -> str:
        """As the loaded one."""
        return self.loaded.decode(token_ids)


def encode_turn(encoder: ChatEncoder, prompt: Prompt, replies: Sequence[str]) -> tuple[int, ...]:
    """Ids of a prompt's turn that follows these replies, the conversation so far included.

    Raises:
        EngineError: the chat template refuses the conversation; it names the prompt.
    """
    number = len(replies) + 1
    with _naming(prompt, number):
        return encoder.encode(dialogue(prompt.turns[:number], replies, prompt.system))


def render_first_turn(encoder: TemplateEncoder, prompt: Prompt) -> str:
    """The text of which :func:`encode_turn` without replies gives the ids.

    Raises:
        EngineError: the chat template refuses the prompt; it names it.
    """
    with _naming(prompt, 1):
        return encoder.render(dialogue(prompt.turns[:1], (), prompt.system))


@contextmanager
def _naming(prompt: Prompt, number: int) -> Iterator[None]:
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
        raise _no_template(folder)


def _no_template(folder: Path) -> EngineError:
    return EngineError(
        f"The tokenizer in {folder} has no chat template, so prompts cannot be rendered as the model expects.",
        "Add chat_template.jinja to the folder (or chat_template to tokenizer_config.json), "
        "or use the instruction-tuned checkpoint.",
    )


def ids_hash(token_ids: Sequence[int] | NDArray[np.uint32]) -> str:
    """SHA-256 (hex) of token ids, four bytes each, little-endian: what the target really read."""
    return hashlib.sha256(np.ascontiguousarray(token_ids, dtype="<u4").data).hexdigest()
