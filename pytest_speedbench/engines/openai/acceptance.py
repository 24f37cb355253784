"""What a server says of drafting, in whichever dialect, as an acceptance record."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import isfinite
from typing import Any

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.engines.counts import count
from pytest_speedbench.engines.http.served import check_draft_length
from pytest_speedbench.engines.llamacpp.record import StepLog, TokenEvent
from pytest_speedbench.engines.openai.answer import Reported
from pytest_speedbench.engines.openai.payload import Timings
from pytest_speedbench.engines.sglang.record import DraftShape
from pytest_speedbench.engines.sglang.record import acceptance_record as sglang_record
from pytest_speedbench.engines.trtllm.record import Drafts, Response
from pytest_speedbench.engines.trtllm.record import acceptance_record as trtllm_record
from pytest_speedbench.engines.vllm.record import acceptance_record as vllm_record
from pytest_speedbench.errors import EngineError

_GUESSING = (DrafterMethod.NGRAM, DrafterMethod.SUFFIX)
"""Methods that often propose less than they may."""
_REPORT = "Report it with the server's name and version."
_ROUNDING = 1e-5
"""The average is a float of four bytes."""


def acceptance_of(reported: Reported, drafter: Drafter | None, shape: DraftShape | None) -> AcceptanceRecord | None:
    """The record of one finished request; ``None`` if the server says nothing of it.

    Args:
        reported: by the answer.
        drafter: the pair's.
        shape: how an SGLang server drafts, if it said so.

    Raises:
        EngineError: the counts contradict each other, or the server speculates otherwise than the pair says.
    """
    wanted = drafter.draft_length if drafter is not None else None
    tokens = sum(reported.step_tokens) if reported.output_tokens is None else reported.output_tokens
    if reported.vllm is not None:
        record = vllm_record(reported.vllm, reported.step_tokens, tokens)
        check_draft_length(record.draft_length, wanted)
        return record
    if reported.sglang is not None and drafter is not None:
        return _from_sglang(reported.sglang, drafter, shape, tokens)
    if reported.trtllm and drafter is not None:
        return _from_trtllm(reported, drafter)
    if reported.llamacpp and drafter is not None:
        return _from_llamacpp(reported, drafter)
    return None


def _from_sglang(
    details: Mapping[str, Any], drafter: Drafter, shape: DraftShape | None, tokens: int
) -> AcceptanceRecord | None:
    # What SGLang does not know of a request it writes as zero or as an empty list.
    known = {name: value for name, value in details.items() if value}
    steps, proposed = _counted(details, "spec_verify_ct"), _counted(details, "spec_num_proposed_drafts")
    if known and "spec_verify_ct" in known:
        known.setdefault("spec_num_correct_drafts", 0)
    if shape is None:
        nodes = proposed // steps if steps and proposed else drafter.draft_length
        shape = DraftShape(
            draft_length=drafter.draft_length,
            tree_tokens=nodes if nodes > drafter.draft_length else None,
            full_drafts=drafter.method not in _GUESSING,
            verifies_always=False,
        )
    else:
        check_draft_length(shape.draft_length, drafter.draft_length)
    return sglang_record(known, shape, tokens)


def _from_trtllm(reported: Reported, drafter: Drafter) -> AcceptanceRecord | None:
    """From its average of tokens by iterations so far, of which the iterations so far are known at every emission."""
    if len(reported.trtllm) != len(reported.step_tokens):
        return None
    responses: list[Response] = []
    so_far = list(accumulate(reported.step_tokens))
    for tokens, total, average in zip(reported.step_tokens, so_far, reported.trtllm, strict=True):
        # An end of sequence may be counted and not emitted.
        counts = (total, total + 1) if total == so_far[-1] else (total,)
        iterations = next((round(n / average) for n in counts if _whole(n / average)), None)
        if iterations is None:
            return None
        responses.append(Response(iterations, tokens))
    return trtllm_record(responses, None, Drafts(drafter.draft_length))


def _counted(details: Mapping[str, Any], name: str) -> int:
    try:
        return count(details.get(name) or 0, name)
    except ValueError as error:
        raise EngineError(f"The server's account of its drafts cannot be read: {error}.", _REPORT) from error


def _whole(number: float) -> bool:
    return isfinite(number) and abs(number - round(number)) < _ROUNDING * number


def _from_llamacpp(reported: Reported, drafter: Drafter) -> AcceptanceRecord | None:
    """From its counts at every chunk. A token that ends within a character has no chunk of its own."""
    counted, stated = max(now.predicted_n for now in reported.llamacpp), reported.output_tokens
    if stated is not None and counted > stated:
        raise EngineError(
            f"The server's timings count {counted} tokens of an answer that has {stated} by its usage.", _REPORT
        )
    log = StepLog(drafter.draft_length)
    last, within_step = Timings(), False
    for now in reported.llamacpp:
        for token in range(last.predicted_n, now.predicted_n):
            kept_back = token < now.predicted_n - 1
            if kept_back and not within_step and now.draft_n != last.draft_n:
                return None  # of the last step's kind or of the next
            counts = last if kept_back and within_step else now
            event = TokenEvent(token, 0.0, counts.draft_n, counts.draft_n_accepted)
            within_step = log.add(event) is None
        last = now
    return log.record()
