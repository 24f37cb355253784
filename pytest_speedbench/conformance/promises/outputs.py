"""Repeats, limits and ends."""

from __future__ import annotations

from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.asking import Answer
from pytest_speedbench.conformance.comparing import check_equal
from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError
from pytest_speedbench.conformance.prompts import Ids
from pytest_speedbench.conformance.subject import Side, Subject

_REPEATED = 3
_TEMPERATURE = 1.0
_SEED = 17
_BEYOND_END_TOKENS = 4
_LONG_TOKENS = 256


async def greedy_repeats(subject: Subject) -> str:
    """Asked again, greedy answers are the same, and so are their records."""
    side = await subject.side()
    first = (await subject.greedy(subject.pair))[:_REPEATED]
    again = [await subject.ask(answer.prompt_ids, answer.sampling) for answer in first]
    compared = await check_equal(await subject.engine(), side.info, first, again, "when asked again")
    same = [(a, b) for a, b in zip(first, again, strict=True) if a.ids == b.ids]
    changed = sum(a.finish.acceptance != b.finish.acceptance for a, b in same)
    if changed:
        raise BrokenPromiseError(
            f"{changed} of {len(same)} equal outputs have another acceptance record the second time"
        )
    return str(compared) + ("" if first[0].finish.acceptance is None else "; their records too")


async def seeds_repeat(subject: Subject) -> str:
    """A sample of the same seed is the same. Some may differ where rounding decides, all of them never."""
    side = await subject.side()
    sampling = Sampling(min(16, subject.effort.tokens), temperature=_TEMPERATURE, seed=_SEED)
    prompts = subject.prompts.open_ended[:_REPEATED]
    first = [await subject.ask(ids, sampling) for ids in prompts]
    again = [await subject.ask(ids, sampling) for ids in prompts]
    equal = sum(a.ids == b.ids for a, b in zip(first, again, strict=True))
    if not equal or (equal < len(prompts) and str(side.info.args.get("dtype")).removeprefix("torch.") == "float32"):
        raise BrokenPromiseError(f"{len(prompts) - equal} of {len(prompts)} samples changed with the same seed")
    return f"{equal} of {len(prompts)} samples at temperature {_TEMPERATURE:g} repeat with their seed"


async def limits_are_honoured(subject: Subject) -> str:
    """Around the sizes of a verify step the output is exactly as long as asked."""
    length = subject.pair.drafter.draft_length if subject.pair.drafter is not None else 3
    limits = sorted({1, 2, length, length + 1, length + 2, 2 * length + 3})
    for limit in limits:
        answer = await subject.ask(subject.prompts.one_per_category[0], Sampling(limit, ignore_eos=True))
        if len(answer.ids) != limit:
            raise BrokenPromiseError(f"a limit of {limit} tokens gave {len(answer.ids)}")
        if answer.finish.reason != "length":
            raise BrokenPromiseError(f"an output cut at {limit} tokens ended with the reason {answer.finish.reason!r}")
    return f"limits of {', '.join(map(str, limits))} tokens gave exactly as many"


async def end_is_honoured(subject: Subject) -> str:
    """The end token is emitted, once and last; with ``ignore_eos`` the output goes on."""
    side = await subject.side()
    ends = side.info.eos_token_ids
    await subject.greedy(subject.pair)
    for answer in subject.log:
        if not answer.sampling.ignore_eos and any(token in ends for token in answer.ids[:-1]):
            raise BrokenPromiseError(f"an output goes on after its end token for {len(answer.ids)} tokens in all")
    answer = await _ended(subject)
    if ends and answer.ids[-1] not in ends:
        raise BrokenPromiseError(
            f"an output ended with the reason 'stop' at token {answer.ids[-1]}, which is none of its end tokens {ends}"
        )
    tokens = len(answer.ids)
    further = await subject.ask(answer.prompt_ids, Sampling(tokens + _BEYOND_END_TOKENS, ignore_eos=True))
    if len(further.ids) <= tokens:
        raise BrokenPromiseError(f"with ignore_eos the output still ends after {len(further.ids)} tokens")
    await _check_cut(subject, side, answer)
    said = f"end token {answer.ids[-1]}" if ends else "end tokens not said"
    return f"stopped after {tokens} tokens, the last one the {said}; goes on with ignore_eos"


async def _ended(subject: Subject) -> Answer:
    for answer in await subject.greedy(subject.pair):
        if answer.finish.reason == "stop":
            return answer
    limit = min(_LONG_TOKENS, max(subject.effort.tokens, int(60 / subject.effort.token_s)))
    asked: tuple[Ids, ...] = (*subject.prompts.short_answers, *subject.prompts.one_per_category[:2])
    for ids in asked:
        answer = await subject.ask(ids, Sampling(limit))
        if answer.finish.reason == "stop":
            return answer
    raise AbsentError(f"none of {len(asked)} short questions was answered to its end within {limit} tokens")


async def _check_cut(subject: Subject, side: Side, answer: Answer) -> None:
    """Cut one token before its end, it is the same output without its end token."""
    if len(answer.ids) < 2:
        return
    cut = await subject.ask(answer.prompt_ids, Sampling(len(answer.ids) - 1))
    if cut.finish.reason != "length":
        raise BrokenPromiseError(
            f"cut one token before its end token, an output ended with the reason {cut.finish.reason!r}"
        )
    if any(token in side.info.eos_token_ids for token in cut.ids):
        raise BrokenPromiseError("cut one token before its end token, an output has one nevertheless")
