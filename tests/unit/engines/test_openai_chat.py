"""The chat route: what the server parts, what its template makes of a conversation, and what it is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiohttp import web

from pytest_speedbench.config import EngineArg
from tests.mock_server import TOKENIZER, MockServer, event, stream
from tests.unit.engines.test_openai_engine import STEPS, ask, refused


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize(("thought", "answer"), [("one two", " three four five six"), ("one two three", "")])
def test_a_thought_that_the_server_gives_apart_is_none_of_the_answer(field: str, thought: str, answer: str) -> None:
    """A client puts the answer alone into the conversation, and so do we."""
    server = MockServer(probes=1)

    async def respond(asked: web.Request) -> web.StreamResponse:
        body = await asked.json()
        chunks = list(server.payloads(body))
        deltas = [{field: thought}, {"content": None, field: " "}, {"content": answer}]
        for chunk, delta in zip(chunks, deltas, strict=False):
            if chunk["choices"]:
                chunk["choices"][0]["delta"] = delta
        return await stream(asked, [*map(event, chunks), event("[DONE]")])

    server.respond = respond
    server.steps = STEPS[:3]
    _, emissions, finish = asyncio.run(ask(server, route="chat"))
    assert tuple(emissions) == STEPS[:3]
    assert finish.answer == answer


@pytest.mark.parametrize("name", ["chat_template_kwargs", "reasoning_effort", "documents"])
def test_fields_for_a_template_are_refused_where_prompts_are_rendered_here(name: str) -> None:
    body: Mapping[str, EngineArg] = {name: "x"}
    refused(MockServer(), f"The field {name} in extra_body changes nothing", extra_body=body)
    server = MockServer()
    asyncio.run(ask(server, route="chat", extra_body=body))
    assert server.asked[-1][name] == "x"


def prompt_read_as(text: str) -> MockServer:
    """vLLM, which says with an answer's first chunk what its chat template made of the conversation."""
    server = MockServer(probes=1)

    async def respond(asked: web.Request) -> web.StreamResponse:
        first, *chunks = server.payloads(await asked.json())
        first["prompt_token_ids"] = list(TOKENIZER.encode(text).ids)
        return await stream(asked, [*map(event, (first, *chunks)), event("[DONE]")])

    server.respond = respond
    return server


@pytest.mark.parametrize(
    "text",
    [
        "<|system|>\nBe brief.<|end|>\n<|user|>\nCount to six:<|end|>\n<|assistant|>\n",
        "SYSTEM: be brief.  USER:count  to six: ASSISTANT:",
        'system: "Be brief." user: "Count \\u0074o six:"',
    ],
)
def test_a_server_whose_template_renders_otherwise_is_measured(text: str) -> None:
    _, emissions, _ = asyncio.run(ask(prompt_read_as(text), route="chat"))
    assert tuple(emissions) == STEPS


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("<|user|>\nCount to six:<|end|>\n<|assistant|>\n", "system"),
        ("<|system|>\nBe brief.<|end|>\n<|user|>\n<|end|>\n<|assistant|>\n", "user"),
        ("<|system|>\nBe brief.<|end|>\n<|user|>\nCount<|end|>\n<|assistant|>\n", "user"),
    ],
)
def test_a_server_whose_template_leaves_out_what_is_asked_is_refused(text: str, role: str) -> None:
    refused(prompt_read_as(text), f"leaves out a {role} message of the request r1", route="chat")


def test_an_answer_without_a_thought_is_not_parted() -> None:
    _, _, finish = asyncio.run(ask(MockServer(), route="chat"))
    assert finish.answer is None
