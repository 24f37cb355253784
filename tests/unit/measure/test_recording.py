"""What is kept of a run, and what is asked after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import pytest

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.measure.recording import Witness, stored_outputs
from pytest_speedbench.outputs import StoredOutput

INFO = EngineInfo(
    name="counting",
    version="1",
    args={},
    device="none",
    device_count=1,
    driver=None,
    max_concurrency=None,
    vocab_size=100,
    context_tokens=12,
    eos_token_ids=(0,),
)


@dataclass
class Counting:
    """Puts out numbers from its request's seed on."""

    asked: list[Request] = field(default_factory=list)
    tokens: int | None = None

    async def start(self) -> EngineInfo:
        return INFO

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        self.asked.append(request)
        limit = request.sampling.max_output_tokens if self.tokens is None else self.tokens
        for token in range(request.sampling.seed, request.sampling.seed + limit):
            yield Emission((token,), 0.0)
        yield Finish("length", None)

    async def stop(self) -> None:
        pass


class Knowing(Counting):
    """Says of a token that it was the less probable the larger it is."""

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...]:  # noqa: ARG002
        return tuple(map(float, output_ids))

    async def log_probabilities_nats(
        self,
        prompt_ids: tuple[int, ...],  # noqa: ARG002
        output_ids: tuple[int, ...],
        sampling: Sampling,
    ) -> tuple[float, ...]:
        return tuple(-token / sampling.temperature for token in output_ids)


def recorded(engine: Counting, *requests: Request, overhang: int = 2) -> tuple[StoredOutput, ...]:
    async def run() -> tuple[StoredOutput, ...]:
        witness = Witness(engine)
        for request in requests:
            _ = [event async for event in witness.generate(request)]
        return await stored_outputs(engine, INFO, witness.seen, overhang, 1)

    return asyncio.run(run())


SAMPLED = Sampling(3, temperature=0.5, top_p=0.9, seed=5)


def test_sampled_outputs_are_continued_by_other_draws_and_scored_past_the_end() -> None:
    engine = Knowing()
    rows = recorded(engine, Request("a", (1, 2), SAMPLED))
    assert rows == (
        StoredOutput(
            (1, 2), (5, 6, 7), (6, 7), stopped=False, seed=5, log_probabilities_nats=(-10.0, -12.0, -14.0, -12.0, -14.0)
        ),
    )
    further = engine.asked[1]
    assert further.prompt_ids == (1, 2, 5, 6, 7)
    assert further.sampling == replace(SAMPLED, max_output_tokens=2, seed=6, ignore_eos=True)


def test_greedy_outputs_have_margins_and_no_seed() -> None:
    (row,) = recorded(Knowing(), Request("a", (1, 2), Sampling(3, seed=5)))
    assert (row.seed, row.log_probabilities_nats, row.margins_nats) == (None, None, (5.0, 6.0, 7.0))


def test_what_an_engine_cannot_say_is_absent() -> None:
    (sampled,) = recorded(Counting(), Request("a", (1, 2), SAMPLED))
    (greedy,) = recorded(Counting(), Request("a", (1, 2), Sampling(3)))
    assert (sampled.seed, sampled.log_probabilities_nats, greedy.margins_nats) == (5, None, None)


def test_a_prompt_that_is_asked_twice_has_two_outputs_where_they_are_sampled() -> None:
    sampled = [Request(str(seed), (1, 2), replace(SAMPLED, seed=seed)) for seed in (5, 6)]
    assert [row.output_ids[0] for row in recorded(Counting(), *sampled)] == [5, 6]
    greedy = [Request(name, (1, 2), Sampling(3, seed=seed)) for name, seed in (("a", 5), ("b", 6))]
    assert len(recorded(Counting(), *greedy)) == 1


def test_the_context_ends_the_overhang() -> None:
    (row,) = recorded(Counting(), Request("a", tuple(range(8)), SAMPLED))
    assert len(row.overhang_ids) == INFO.context_tokens - 8 - 3
    (row,) = recorded(Counting(), Request("a", tuple(range(9)), SAMPLED))
    assert row.overhang_ids == ()


def test_an_engine_that_does_not_go_on_is_refused() -> None:
    with pytest.raises(OutputsError, match="gave 1 tokens past an output's end, and 2 were asked"):
        recorded(Counting(tokens=1), Request("a", (1,), SAMPLED))


def test_more_tokens_past_the_end_than_asked_are_refused() -> None:
    with pytest.raises(EngineError, match="has 3 tokens by now, and at most 2 were asked"):
        recorded(Counting(tokens=3), Request("a", (1,), SAMPLED))
