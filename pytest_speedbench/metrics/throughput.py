"""Throughput and latency of a run, in tokens per second and seconds. One request is one turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_speedbench.metrics.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.engines.base import EngineInfo
    from pytest_speedbench.measure.run import Conversation, Run, Turn


_MOST_LEFT_OUT = 0.05
"""Of requests without step times: they are those for which the reader was late, and the others would look too good."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a run was. What cannot be known is ``None``.

    Attributes:
        requests: turns asked.
        without_output: turns that emitted nothing; they enter no figure but ``requests``.
        generated_tokens: tokens of all requests, end-of-sequence tokens included.
        duration_s: from the first request's start to the last token of all.
        output_tps: Output TPS: ``generated_tokens / duration_s``, the system's throughput.
        output_tps_per_gpu: Output TPS divided by the accelerators used; ``None`` on a CPU, which is not one.
        user_tps: per request, (n − 1) / (last token − first token): the speed that one reader sees. Requests of one
            token, or whose tokens all came at once, have none.
        e2e_s: per request, last token − start.
        ttft_s: per request, first token − start.
        step_time_s: over all requests, the gaps between consecutive emissions of a request. The prefill is no step.
            Requests whose emissions are no single steps (several came in one read, or were merged on their way) have
            none; ``None`` where that is more than a twentieth of all.
        output_tokens: per request, tokens emitted.
        prompt_tokens: per request, tokens of the rendered prompt.
    """

    requests: int
    without_output: int
    generated_tokens: int
    duration_s: float | None
    output_tps: float | None
    output_tps_per_gpu: float | None
    user_tps: Distribution | None
    e2e_s: Distribution | None
    ttft_s: Distribution | None
    step_time_s: Distribution | None
    output_tokens: Distribution | None
    prompt_tokens: Distribution | None


def throughput(run: Run) -> Throughput:
    """Throughput of a whole run; of one that was not timed only the numbers of tokens are known."""
    measured = throughput_of(run.conversations, accelerators(run.engine))
    if run.engine.timed:
        return measured
    return replace(
        measured,
        duration_s=None,
        output_tps=None,
        output_tps_per_gpu=None,
        user_tps=None,
        e2e_s=None,
        ttft_s=None,
        step_time_s=None,
    )


def throughput_of(conversations: Iterable[Conversation], gpus: int | None) -> Throughput:
    """Throughput of conversations that ran together on ``gpus`` accelerators (``None`` for a CPU).

    Of a part of a run, only the per-request figures mean anything: the rest of the run took its share of the time.
    """
    turns = [turn for conversation in conversations for turn in conversation.turns]
    done = [turn for turn in turns if turn.emissions]
    tokens = sum(len(turn.output_ids) for turn in done)
    duration_s = max(t.last_token_s for t in done) - min(t.start_s for t in turns) if done else None
    output_tps = tokens / duration_s if duration_s else None
    return Throughput(
        requests=len(turns),
        without_output=len(turns) - len(done),
        generated_tokens=tokens,
        duration_s=duration_s,
        output_tps=output_tps,
        output_tps_per_gpu=output_tps / gpus if output_tps is not None and gpus else None,
        user_tps=Distribution.of(tps for turn in done if (tps := user_tps(turn)) is not None),
        e2e_s=Distribution.of(turn.last_token_s - turn.start_s for turn in done),
        ttft_s=Distribution.of(turn.first_token_s - turn.start_s for turn in done),
        step_time_s=_step_times_s(done),
        output_tokens=Distribution.of(len(turn.output_ids) for turn in done),
        prompt_tokens=Distribution.of(turn.prompt_tokens for turn in turns),
    )


def user_tps(turn: Turn) -> float | None:
    """(n − 1) / (last token − first token) of one request; ``None`` below two tokens or without a span of time."""
    tokens = len(turn.output_ids)
    if tokens < 2 or not turn.emissions:
        return None
    span_s = turn.last_token_s - turn.first_token_s
    return (tokens - 1) / span_s if span_s > 0 else None


def step_times_s(turn: Turn) -> list[float] | None:
    """Seconds between consecutive emissions of one request; ``None`` where they are no single steps.

    Chunks that are read together have one time: the gap of nothing between them is no step's.
    """
    gaps = [after[0] - before[0] for before, after in pairwise(turn.emissions)]
    sizes = [tokens for _, tokens in turn.emissions[1:]]
    record = turn.acceptance
    most = 1 if record is None else record.draft_length + 1
    if any(gap <= 0 for gap in gaps) or any(tokens > most for tokens in sizes):
        return None
    steps = None if record is None else record.decode_steps
    return gaps if steps is None or steps == len(gaps) else None


def _step_times_s(turns: Sequence[Turn]) -> Distribution | None:
    known = [times for turn in turns if (times := step_times_s(turn)) is not None]
    if len(turns) - len(known) > _MOST_LEFT_OUT * len(turns):
        return None
    return Distribution.of(gap for times in known for gap in times)


def accelerators(engine: EngineInfo) -> int | None:
    """Accelerators used, or ``None`` on a CPU (an engine without an accelerator driver)."""
    return engine.device_count if engine.driver is not None and engine.device_count > 0 else None
