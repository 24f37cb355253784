"""The prompt that a server says it read."""

from __future__ import annotations

import msgspec


class _PromptChoice(msgspec.Struct):
    prompt_token_ids: list[int] | None = None


class _PromptAnswer(msgspec.Struct):
    choices: list[_PromptChoice]


def prompt_in(answer: bytes) -> tuple[int, ...] | None:
    """The prompt's ids that vLLM and SGLang return with a choice."""
    try:
        read = msgspec.json.decode(answer, type=_PromptAnswer)
    except msgspec.DecodeError:
        return None
    ids = next((choice.prompt_token_ids for choice in read.choices if choice.prompt_token_ids), None)
    return tuple(ids) if ids else None
