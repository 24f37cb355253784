"""Finds out how a server can be asked, with a few tiny requests before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.http.client import RefusedError, ServerClient
from pytest_speedbench.engines.openai.answer import StreamedAnswer, UnreadableError
from pytest_speedbench.engines.openai.dialects import CHAT_DIALECTS, DIALECTS, Dialect, Prompt
from pytest_speedbench.engines.openai.tokenizer import TargetTokenizer
from pytest_speedbench.errors import EngineError

_TOKENS = 4
_PROMPT = (100,) * 5
"""No tokenizer writes a text so: a server that makes text of it, and tokens of that, counts others."""
_TEXT = "One, two, three, four,"
_OF_RENDERING = frozenset(
    {"chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "reasoning_effort"}
    | {"tools", "tool_choice", "documents"}
)
"""Fields that say how a conversation is rendered; where prompts are token ids they say nothing."""


class RouteRefusedError(EngineError):
    """A server that has no such route, or refused every request there."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a server is asked; ``tokenizer`` is there if its text must be tokenized."""

    dialect: Dialect
    tokenizer: TargetTokenizer | None


async def find_dialect(
    client: ServerClient,
    model: str,
    extra_body: Mapping[str, Any],
    load_tokenizer: Callable[[], TargetTokenizer],
    route: str | None,
) -> Found:
    """The first dialect in which the server reads the tokens that were sent, and tells which it gave.

    If it refuses all of them, one in which it tells at least which it gave: of a conversation that it renders itself.

    Args:
        client: of the server.
        model: the served model's name.
        extra_body: fields that the user adds to every request.
        load_tokenizer: loads the target's tokenizer, if it comes to that.
        route: ``completions`` or ``chat`` for one of the two only.

    Raises:
        EngineError: there is no such dialect; the server's own words are in it.
        ServerDownError: the server does not answer.
    """
    if route == "chat":
        return await _first(client, model, extra_body, load_tokenizer, CHAT_DIALECTS)
    try:
        return await _first(client, model, extra_body, load_tokenizer, DIALECTS)
    except RouteRefusedError as failure:
        if route is not None:
            raise
        try:
            return await _first(client, model, extra_body, load_tokenizer, CHAT_DIALECTS)
        except RouteRefusedError:
            raise failure from None


def check_heard(extra_body: Mapping[str, Any], dialect: Dialect) -> None:
    """Refuse added fields that the server takes and that change nothing.

    Raises:
        EngineError: prompts are rendered here, and a field says how the server is to do so.
    """
    unheard = sorted(extra_body.keys() & _OF_RENDERING)
    if unheard and dialect.prompt != "templated by the server":
        raise EngineError(
            f"The field {unheard[0]} in extra_body changes nothing: the server gets prompts that are rendered already, "
            "with the target's own chat template.",
            'Leave it out, or have the server render them: the engine argument route = "chat".',
        )


async def _first(
    client: ServerClient,
    model: str,
    extra_body: Mapping[str, Any],
    load_tokenizer: Callable[[], TargetTokenizer],
    dialects: Sequence[Dialect],
) -> Found:
    tokenizer: TargetTokenizer | None = None
    failures: list[EngineError] = []
    for dialect in dialects:
        if dialect.output_ids == "retokenized" and tokenizer is None:
            tokenizer = load_tokenizer()
        found = Found(dialect, tokenizer if dialect.output_ids == "retokenized" else None)
        try:
            await _try(client, model, extra_body, found)
        except RefusedError as refusal:
            if refusal.status in (404, 405):
                raise RouteRefusedError(
                    f"The server at {client.url} has no {dialect.route} for the model {model!r}: {refusal.problem}",
                    "Use a server that has this route.",
                ) from refusal
            failures.append(refusal)
        except UnreadableError as failure:
            failures.append(failure)
        else:
            return found
    last = failures[-1]
    if all(isinstance(failure, RefusedError) for failure in failures):
        raise RouteRefusedError(last.problem, last.remedy)
    raise EngineError(
        f"The server at {client.url} cannot be measured, because what it reads or what it gives is not known as token "
        f"ids: {last.problem}",
        'Use a server that takes and gives token ids, or its chat template: the engine argument route = "chat".',
    ) from last


async def _try(client: ServerClient, model: str, extra_body: Mapping[str, Any], found: Found) -> None:
    dialect, tokenizer = found.dialect, found.tokenizer
    prompt: Prompt = _PROMPT
    ids: tuple[int, ...] = _PROMPT
    if dialect.prompt == "text" and tokenizer is not None:
        prompt, ids = _TEXT, tokenizer.encode(_TEXT).ids
    if dialect.prompt == "templated by the server":
        prompt = [{"role": "user", "content": _TEXT}]
    request = Request("before the measurement", ids, Sampling(_TOKENS))
    answer = StreamedAnswer(request, dialect, tokenizer)
    body = {**dialect.request(model, prompt, request.sampling), **extra_body}
    async with aclosing(client.events(dialect.route, body)) as events:
        async for data, at_s in events:
            answer.read(data, at_s)
    answer.end()
