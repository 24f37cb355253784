"""The acceptance records of all requests that the suite has asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, pool
from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.asking import Answer
from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.measure.counters import counted, read_counters
from pytest_speedbench.metrics.acceptance import tokens_per_decode_step

_COUNTED = 3
_COUNTERS_LAG_S = 5.0
_POLL_S = 0.25


async def records_hold(subject: Subject) -> str:
    """Every request has a record, and every record its identities."""
    length = subject.draft_length
    await subject.greedy(subject.pair)
    records = [answer.finish.acceptance for answer in subject.log]
    known = [record for record in records if record is not None]
    if not known:
        raise AbsentError("the engine gives no acceptance record with its requests")
    if len(known) < len(records):
        raise BrokenPromiseError(f"{len(records) - len(known)} of {len(records)} requests have no acceptance record")
    for answer, record in zip(subject.log, known, strict=True):
        fault = record_fault(record, len(answer.ids), length)
        if fault is not None:
            raise BrokenPromiseError(f"a request of {len(answer.ids)} output tokens: {fault}")
    total = pool(known)
    if total is None or not total.verify_steps:
        raise BrokenPromiseError(f"{len(known)} requests were decoded without a single verify step")
    return f"{len(known)} requests: {_figures(total)}; source {total.source.value}"


def record_fault(record: AcceptanceRecord, output_tokens: int, draft_length: int) -> str | None:
    """What is wrong with a request's record; ``None`` if nothing is.

    The identity is n = 1 + S + A + U − discarded: one token of the prefill, accepted + 1 of every verify step, one of
    every step without a draft. Where U or the discarded tokens are unknown it bounds them.
    """
    if record.draft_length != draft_length:
        return f"its record is of a draft length of {record.draft_length}, and {draft_length} was asked"
    if record.source is AcceptanceSource.COUNTERS:
        return "its record is of the engine's counters, which know no requests"
    verified, most = record.verify_steps + record.accepted_tokens, draft_length
    expected = record.expected_output_tokens()
    if expected is not None and expected != output_tokens:
        return (
            f"1 + S {record.verify_steps} + A {record.accepted_tokens} + U {record.undrafted_steps} − "
            f"discarded {record.discarded_tokens} = {expected}"
        )
    if record.undrafted_steps is None:
        return None if 1 + verified - most <= output_tokens else f"S + A = {verified} are too many tokens"
    discarded = 1 + verified + record.undrafted_steps - output_tokens
    if not 0 <= discarded <= most:
        return f"its steps imply {discarded} discarded tokens, and the last one can discard 0 to {most}"
    return None


async def steps_agree(subject: Subject) -> str:
    """Where every emission is one step, the emissions' sizes are the record's histogram."""
    _ = subject.draft_length
    await subject.greedy(subject.pair)
    single: list[Answer] = []
    merged = split = unsaid = 0
    for answer in subject.log:
        record = answer.finish.acceptance
        if record is None or record.undrafted_steps is None:
            unsaid += 1
            continue
        steps = len(answer.emissions) - 1
        if steps == record.verify_steps + record.undrafted_steps and len(answer.emissions[0].token_ids) == 1:
            _check_sizes(answer, record)
            single.append(answer)
        elif steps > record.verify_steps + record.undrafted_steps:
            split += 1
        else:
            merged += 1
    counts = {"merged steps": merged, "steps in pieces": split, "no count of their steps": unsaid}
    others = ", ".join(f"{count} have {what}" for what, count in counts.items() if count)
    if not single:
        raise AbsentError(f"of {len(subject.log)} requests {others}")
    return f"{len(single)} requests agree: {_both(single)}" + (f"; of the others {others}" if others else "")


def _check_sizes(answer: Answer, record: AcceptanceRecord) -> None:
    """Each step emits accepted + 1 tokens, the last one less what was discarded."""
    sizes = [len(emission.token_ids) for emission in answer.emissions[1:]]
    counts = Counter({accepted + 1: steps for accepted, steps in enumerate(record.histogram) if steps})
    counts[1] += record.undrafted_steps or 0
    whole = Counter(sizes[:-1])
    rest = +(counts - whole)
    fits = not sizes or (not +(whole - counts) and rest.total() == 1 and next(iter(rest)) >= sizes[-1])
    if not fits:
        raise BrokenPromiseError(
            f"a request's decode steps emitted {sizes} tokens, and its record has the histogram "
            f"{list(record.histogram)} and {record.undrafted_steps} steps without a draft"
        )


def _both(answers: Sequence[Answer]) -> str:
    """Tokens per decode step by record and by stream; the last step's cut makes the stream's a little lower."""
    total = pool(record for answer in answers if (record := answer.finish.acceptance) is not None)
    sizes = [len(emission.token_ids) for answer in answers for emission in answer.emissions[1:]]
    by_record = tokens_per_decode_step(total) if total is not None else None
    if by_record is None or not sizes:
        return "none of them has a decode step"
    return f"{by_record:.3f} tokens per decode step by record, {sum(sizes) / len(sizes):.3f} by stream, ends cut off"


async def counters_agree(subject: Subject) -> str:
    """The counters grow by exactly what the requests' records say."""
    _ = subject.draft_length
    engine = await subject.engine()
    before = await read_counters(engine)
    if before is None:
        raise AbsentError("the engine has no counters")
    sampling = Sampling(subject.effort.tokens)
    prompts = subject.prompts.one_per_category[:_COUNTED]
    answers = [await subject.ask(ids, sampling) for ids in prompts]
    records = pool(record for answer in answers if (record := answer.finish.acceptance) is not None)
    if records is None or records.source is AcceptanceSource.STREAM:
        raise AbsentError("the engine has counters, and no records of its own to hold them against")
    expected = (records.verify_steps, records.accepted_tokens, records.proposed_tokens)
    deadline = asyncio.get_running_loop().time() + _COUNTERS_LAG_S
    while True:
        grown = counted(before, await read_counters(engine), subject.pair)
        found = None if grown is None else (grown.verify_steps, grown.accepted_tokens, grown.proposed_tokens)
        if found is not None and all(a == b for a, b in zip(found, expected, strict=True) if None not in (a, b)):
            return f"{len(answers)} requests: S {found[0]}, A {found[1]} in both"
        if asyncio.get_running_loop().time() > deadline:
            raise BrokenPromiseError(f"the counters grew by (S, A, D) = {found}, and the records have {expected}")
        await asyncio.sleep(_POLL_S)


def _figures(record: AcceptanceRecord) -> str:
    undrafted = "U not said" if record.undrafted_steps is None else f"U {record.undrafted_steps}"
    proposed = "D not said" if record.proposed_tokens is None else f"D {record.proposed_tokens}"
    return f"S {record.verify_steps}, A {record.accepted_tokens}, {proposed}, {undrafted}, AL {_al(record)}"


def _al(record: AcceptanceRecord | None) -> str:
    return "not said" if record is None or record.al is None else f"{record.al:.3f}"
