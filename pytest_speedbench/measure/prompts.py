"""Messages become token ids: by us, with the target's own chat template, never inside an engine or a timed region."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pytest_speedbench.errors import EngineError

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


class ChatEncoder(Protocol):
    """Renders conversations to token ids and replies back to text."""

    def encode(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Ids of the conversation so far, rendered so that the assistant speaks next."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a reply, special tokens left out."""


def dialogue(turns: Sequence[str], replies: Sequence[str]) -> list[dict[str, str]]:
    """The messages of a conversation: ``turns`` of the user with the assistant's ``replies`` between them."""
    messages: list[dict[str, str]] = []
    for number, turn in enumerate(turns):
        if number:
            messages.append({"role": "assistant", "content": replies[number - 1]})
        messages.append({"role": "user", "content": turn})
    return messages


class TemplateEncoder:
    """A :class:`ChatEncoder` over a Hugging Face tokenizer folder with a chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> TemplateEncoder:
        """Load the tokenizer that lies beside the target's weights.

        Raises:
            EngineError: there is none, it cannot be read, or it has no chat template.
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
        return cls(tokenizer)

    def encode(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Render and tokenize; the template alone decides about special tokens, so none is added twice."""
        ids = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return tuple(int(token) for token in ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The reply's text, without special tokens."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True))


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


def ids_hash(token_ids: Sequence[int]) -> str:
    """SHA-256 (hex) of token ids: what the target really read."""
    return hashlib.sha256(b"".join(token.to_bytes(4, "little") for token in token_ids)).hexdigest()
