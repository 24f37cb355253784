"""The prompt that a server says it read."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.openai.tokenizer import TargetTokenizer
from pytest_speedbench.errors import EngineError

_WORD = re.compile(r"\w+")


class _PromptChoice(msgspec.Struct):
    prompt_token_ids: list[int] | None = None


class _PromptAnswer(msgspec.Struct):
    choices: list[_PromptChoice]


def prompt_in(answer: bytes) -> tuple[int, ...] | None:
    """The prompt's ids that vLLM and SGLang return with a choice."""
    try:
        read = msgspec.json.decode(answer, type=_PromptAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    ids = next((choice.prompt_token_ids for choice in read.choices if choice.prompt_token_ids), None)
    return tuple(ids) if ids else None


def check_arrived(read: Sequence[int], request: Request, tokenizer: TargetTokenizer) -> None:
    """Refuse a server whose chat template leaves out what was asked.

    What it makes of past replies is its own affair: a template may take thoughts out of them.

    Args:
        read: the prompt that the server says it made of the request's messages.
        request: what was asked.
        tokenizer: of the target.

    Raises:
        EngineError: a user's or the system message is not in it; it names the request.
    """
    if tuple(read) == request.prompt_ids:
        return
    text = tokenizer.decode(tuple(read)).casefold()
    letters, words = "".join(text.split()), set(_WORD.findall(text))
    for role, content in request.messages:
        asked = content.casefold()
        if role == "assistant" or "".join(asked.split()) in letters:
            continue
        # A template may escape a text: then most of its words are there all the same.
        wanted = set(_WORD.findall(asked))
        if 2 * len(words & wanted) > len(wanted):
            continue
        raise EngineError(
            f"The server's chat template leaves out a {role} message of the request {request.request_id}.",
            "Give the server the target's own chat template, or one that takes content as the server hands it over.",
        )
