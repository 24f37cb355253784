"""What the stand-in's model says, and how its drafter fares."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Script:
    """One run of the scripted model.

    Attributes:
        accepted: draft tokens accepted in each decode step, over and over; ``None`` for a step without a draft.
        length: output tokens until the end-of-sequence token, which is the last of them.
        ends_with: which of the end tokens it is: 0 for ``end_id``, 1 for the first of ``stop_token_ids``, …
        metrics: whether the speculative metrics are filled, as by the TRTLLMSampler, or zero.
        counts_cut: whether accepted tokens behind the end of the output are counted in them.
        finish: ends every request with this reason instead.
    """

    accepted: Sequence[int | None] = (2, 0, 3, 1)
    length: int = 1000
    ends_with: int = 0
    metrics: bool = False
    counts_cut: bool = True
    finish: str | None = None


@dataclass
class Current:
    """The script that counts now; tests replace it, other processes are told in the environment."""

    script: Script = field(
        default_factory=lambda: Script(**json.loads(os.environ.get("FAKE_TENSORRT_LLM_SCRIPT", "{}")))
    )


CURRENT = Current()


def continuation(prompt: Sequence[int]) -> Iterator[int]:
    """The target's greedy output, without end: a function of the prompt alone."""
    state = sum((place + 1) * token for place, token in enumerate(prompt))
    while True:
        state = (state * 1103 + 12345) % 65521
        yield 10 + state % 500
