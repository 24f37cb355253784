"""What cannot be answered is refused in words, and the engine stays well."""

from __future__ import annotations

from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.asking import ask, within
from pytest_speedbench.conformance.comparing import check_equal
from pytest_speedbench.conformance.findings import BrokenPromiseError
from pytest_speedbench.conformance.prompts import Ids
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.errors import EngineError

_SILENCE_S = 60.0
_TOKENS = 4
_SHOWN_CHARS = 90


async def errors_are_surfaced(subject: Subject) -> str:
    """Too long a prompt, an id that is no token, and no prompt at all each raise an EngineError that says so."""
    messages = [f"{what}: {await _refusal(subject, ids, what)!r}" for what, ids in (await _impossible(subject)).items()]
    return "; ".join(messages)


async def _impossible(subject: Subject) -> dict[str, Ids]:
    info, ids = (await subject.side()).info, subject.prompts.one_per_category[0]
    beyond = info.context_tokens + 1
    return {
        "a prompt longer than the context": (ids * (beyond // len(ids) + 1))[:beyond],
        "an id outside the vocabulary": (*ids[:-1], info.vocab_size),
        "an empty prompt": (),
    }


async def _refusal(subject: Subject, ids: Ids, what: str) -> str:
    """The engine's words.

    Raises:
        BrokenPromiseError: it answers, or says nothing, or does not work afterwards.
    """
    side, engine = await subject.side(), await subject.engine()
    silence_s = min(subject.silence_s, max(_SILENCE_S, 8 * side.pilot.seconds))
    try:
        answer = await within(
            ask(engine, ids, Sampling(_TOKENS), silence_s), 2 * silence_s, f"neither answered nor refused {what}"
        )
    except BrokenPromiseError as fault:
        raise BrokenPromiseError(f"{what} raises nothing: {fault}") from None
    except EngineError as error:
        if "neither answered" in error.problem or "emitted nothing" in error.problem:
            raise
        words = error.problem.strip()
    else:
        raise BrokenPromiseError(f"{what} raises nothing: it is answered with {len(answer.ids)} tokens")
    if not words:
        raise BrokenPromiseError(f"{what} raises an EngineError without words")
    try:
        again = await subject.ask(side.pilot.prompt_ids, side.pilot.sampling)
    except EngineError as error:
        await subject.discard()
        raise BrokenPromiseError(f"after {what} the engine works no more: {error.problem}") from None
    await check_equal(engine, side.info, [side.pilot], [again], f"after {what}")
    return words if len(words) <= _SHOWN_CHARS else words[:_SHOWN_CHARS] + "…"
