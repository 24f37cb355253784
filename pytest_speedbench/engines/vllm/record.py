"""vLLM's per-request metrics become the acceptance record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_speedbench.acceptance import AcceptanceRecord, VerifyStep
from pytest_speedbench.engines.counts import count, counts
from pytest_speedbench.errors import EngineError

_REPORT = "Report it with vLLM's version and the request's settings."


def acceptance_record(
    metrics: Mapping[str, Any], step_tokens: Sequence[int] | None, output_tokens: int, *, single_steps: bool = False
) -> AcceptanceRecord:
    """The record of one finished request.

    vLLM counts verify steps only, and counts them before it cuts the output at its end. Steps without a draft and
    tokens that were cut off follow from how many tokens each step emitted.

    Args:
        metrics: the payload of ``metrics.speculative_decoding``: ``acceptance_histogram`` (K + 1 counts),
            ``num_draft_tokens``, ``num_spec_tokens`` (K) and, if detailed, ``per_step_accepted`` and
            ``per_step_drafted``, one per verify step: K may depend on how many requests a step decodes.
        step_tokens: tokens of every emission, the prefill's first; ``None`` if unknown. Emissions that hold several
            steps are noticed, if the metrics are detailed; undrafted steps and discarded tokens then stay unknown.
        output_tokens: n, the tokens emitted in all.
        single_steps: whether every emission is known to be one step, so that what does not match the metrics in detail
            is a contradiction.

    Raises:
        EngineError: the counts contradict each other.
    """
    try:
        histogram = counts(metrics["acceptance_histogram"], "acceptance_histogram")
        draft_length = count(metrics["num_spec_tokens"], "num_spec_tokens")
        proposed = count(metrics["num_draft_tokens"], "num_draft_tokens")
        detail = metrics.get("per_step_accepted")
        accepted = None if detail is None else counts(detail, "per_step_accepted")
        _check_steps(histogram, accepted)
        undrafted = None
        if step_tokens is not None and (accepted is not None or not any(histogram)):
            undrafted = undrafted_steps(accepted or (), step_tokens)
            _check_emitted(undrafted, accepted or (), step_tokens if single_steps else None)
        discarded = None
        if undrafted is not None:
            decoded = sum((j + 1) * steps for j, steps in enumerate(histogram)) + undrafted
            discarded = 1 + decoded - output_tokens
        drafted = metrics.get("per_step_drafted")
        if drafted is None or accepted is None or proposed == sum(histogram) * draft_length:
            return AcceptanceRecord(draft_length, histogram, proposed, undrafted, discarded)
        steps = _steps(accepted, counts(drafted, "per_step_drafted"), proposed)
        record = AcceptanceRecord.from_steps(steps, draft_length=draft_length, discarded_tokens=discarded)
        # Steps whose draft was taken back before it was verified are listed too, with nothing drafted.
        without = None if undrafted is None else undrafted + (record.undrafted_steps or 0)
        return replace(record, undrafted_steps=without)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"vLLM's acceptance metrics contradict themselves: {error}.", _REPORT) from error


def undrafted_steps(per_step_accepted: Sequence[int], step_tokens: Sequence[int]) -> int | None:
    """How many decode steps emitted a token without any draft; ``None`` when emissions are not single steps.

    A verify step that accepted j tokens emits j + 1, the last one perhaps fewer; a step without a draft emits one.
    Taking the first possible match is enough, since only steps of a single token can be mistaken for each other.
    """
    wanted = [accepted + 1 for accepted in per_step_accepted]
    undrafted = matched = 0
    decode_steps = step_tokens[1:]
    if step_tokens and step_tokens[0] != 1:
        return None
    for index, tokens in enumerate(decode_steps):
        last = index == len(decode_steps) - 1
        expected = wanted[matched] if matched < len(wanted) else None
        if expected is not None and (tokens == expected or (last and tokens < expected)):
            matched += 1
        elif tokens == 1:
            undrafted += 1
        else:
            return None
    return undrafted if matched == len(wanted) else None


def _steps(accepted: Sequence[int], drafted: Sequence[int], proposed: int) -> list[VerifyStep]:
    if len(drafted) != len(accepted) or sum(drafted) != proposed:
        raise ValueError(f"its steps drafted {list(drafted)}, and it states {proposed} draft tokens")
    return [VerifyStep(proposals, taken) for proposals, taken in zip(drafted, accepted, strict=True)]


def _check_emitted(undrafted: int | None, accepted: Sequence[int], single_steps: Sequence[int] | None) -> None:
    if undrafted is None and single_steps is not None:
        raise ValueError(f"its steps accepted {list(accepted)}, and they emitted {list(single_steps)} tokens")


def _check_steps(histogram: Sequence[int], per_step_accepted: Sequence[int] | None) -> None:
    if per_step_accepted is None:
        return
    counted = Counter(per_step_accepted)
    if counted != {accepted: steps for accepted, steps in enumerate(histogram) if steps}:
        raise ValueError(f"its steps accepted {list(per_step_accepted)}, and it states the histogram {list(histogram)}")
