"""Small runs made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.measure.run import Conversation, Run, SplitIdentity, Turn

DRAFTER = Drafter(DrafterMethod.EAGLE3, "head", 3)
STEP_S = 0.5
TTFT_S = 0.25


def turn(
    accepted: Sequence[int | None],
    *,
    draft_length: int = 3,
    start_s: float = 0.0,
    record: bool = True,
    discarded: int = 0,
    prompt_sha256: str = "p",
) -> Turn:
    """A turn whose verify steps accepted that many draft tokens each; ``None`` is a step without a draft."""
    steps = [VerifyStep(0 if a is None else draft_length, a or 0) for a in accepted]
    lengths = [1, *(step.accepted_tokens + 1 for step in steps)]
    lengths[-1] -= discarded
    times = accumulate([STEP_S] * len(steps), initial=start_s + TTFT_S)
    return Turn(
        prompt_tokens=7,
        prompt_sha256=prompt_sha256,
        output_ids=tuple(range(sum(lengths))),
        finish_reason="length",
        start_s=start_s,
        emissions=tuple(zip(times, lengths, strict=True)),
        acceptance=AcceptanceRecord.from_steps(steps, draft_length=draft_length, discarded_tokens=discarded)
        if record
        else None,
    )


def conversation(question_id: str, category: str, *turns: Turn) -> Conversation:
    return Conversation(question_id, category, f"{category}-sub", turns)


def run(conversations: Sequence[Conversation], *, driver: str | None = None, device_count: int = 1) -> Run:
    return Run(
        pair=Pair("small", "fake", "target", DRAFTER),
        engine=EngineInfo(
            name="fake",
            version="1.0",
            args={"dtype": "float32", "tensor_parallel_size": 2},
            device="H100" if driver else "CPU",
            device_count=device_count,
            driver=driver,
            max_concurrency=None,
            vocab_size=100,
            context_tokens=1000,
            eos_token_ids=(0,),
        ),
        models=ModelIdentity("t" * 64, "k" * 64, "c" * 64, "d" * 64),
        split=SplitIdentity("split", "s" * 64, len(conversations)),
        sampling=Sampling(max_output_tokens=64),
        load=Load(4),
        conversations=tuple(conversations),
        environment={"python": "3.11"},
    )


def without_drafter(measured: Run) -> Run:
    return replace(measured, pair=replace(measured.pair, drafter=None))
