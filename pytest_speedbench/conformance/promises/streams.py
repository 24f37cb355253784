"""The shape of every answer, and its times."""

from __future__ import annotations

import itertools

from pytest_speedbench.conformance.asking import Answer
from pytest_speedbench.conformance.findings import BrokenPromiseError
from pytest_speedbench.conformance.subject import Subject

_CLOCK_S = 0.001
"""Two processes read the same monotonic clock; its reading may be rounded."""


async def streams_are_well_formed(subject: Subject) -> str:
    """One end after all emissions, no empty emission, and times in the order of events on our clock."""
    await subject.greedy(subject.pair)
    for answer in subject.log:
        fault = stream_fault(answer)
        if fault is not None:
            raise BrokenPromiseError(fault)
    latest = max(arrived - e.at_s for a in subject.log for e, arrived in zip(a.emissions, a.arrived_s, strict=True))
    return f"{len(subject.log)} requests; emissions reached us at most {1000 * latest:.0f} ms after their time"


def stream_fault(answer: Answer) -> str | None:
    """What is wrong with an answer's stream; ``None`` if nothing is."""
    times = [emission.at_s for emission in answer.emissions]
    if not times:
        return "a request ended without any emission"
    early = answer.began_s - times[0]
    late = max(at_s - arrived for at_s, arrived in zip(times, answer.arrived_s, strict=True))
    backwards = any(later < earlier for earlier, later in itertools.pairwise(times))
    faults = {
        f"{answer.after_finish} events came after the end of a request": answer.after_finish > 0,
        "an emission has no tokens": any(not emission.token_ids for emission in answer.emissions),
        f"a request ended with the reason {answer.finish.reason!r}": answer.finish.reason not in ("stop", "length"),
        "the times of a request's emissions run backwards": backwards,
        f"an emission is timed {early:.4f} s before its request was asked: not by time.perf_counter()": early > 0,
        f"an emission is timed {late:.4f} s after it arrived: not by time.perf_counter()": late > _CLOCK_S,
    }
    return next((words for words, found in faults.items() if found), None)
