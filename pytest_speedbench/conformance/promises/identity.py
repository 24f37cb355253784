"""What the engine says of itself, and whether it reads exactly the ids it is given."""

from __future__ import annotations

from pytest_speedbench.config import Sampling
from pytest_speedbench.conformance.asking import within
from pytest_speedbench.conformance.findings import AbsentError, BrokenPromiseError
from pytest_speedbench.conformance.prompts import Ids
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.engines.base import Engine, RanksTokens, ReadsBack

_PROMPTS = 3
_RANKED = 5
_LEAST_NATS = 1e-6
_TOKENS = 16


async def info_is_filled(subject: Subject) -> str:
    """The fields that measurements rest on are there and possible."""
    info = (await subject.side()).info
    largest = max(max(ids) for ids in subject.prompts.one_per_category)
    faults = [
        words
        for wrong, words in (
            (
                info.name != subject.pair.engine,
                f"it calls itself {info.name!r}, and its name is {subject.pair.engine!r}",
            ),
            (not info.version.strip(), "it has no version"),
            (not info.device.strip(), "it names no device"),
            (info.device_count < 1, f"it uses {info.device_count} devices"),
            (info.vocab_size <= largest, f"its vocabulary of {info.vocab_size} lacks the tokenizer's id {largest}"),
            (info.context_tokens < 2, f"its context holds {info.context_tokens} tokens"),
            (info.max_concurrency is not None and info.max_concurrency < 1, "it decodes no request at a time"),
            (any(not 0 <= token < info.vocab_size for token in info.eos_token_ids), "an end token is no token"),
        )
        if wrong
    ]
    if faults:
        raise BrokenPromiseError("; ".join(faults))
    ends = ", ".join(map(str, info.eos_token_ids)) or "not said"
    at_once = "no limit said" if info.max_concurrency is None else info.max_concurrency
    dtype = info.args.get("dtype", "not said")
    return (
        f"vocabulary {info.vocab_size}, context {info.context_tokens}, end tokens {ends}, at once: {at_once}, "
        f"dtype {dtype}"
    )


async def ids_are_seen(subject: Subject) -> str:
    """By the engine's own account, and by what changing, or leaving out, the first or the last id does."""
    engine = await subject.engine()
    prompts = subject.prompts.one_per_category[:_PROMPTS]
    account = await _read_back(engine, subject, prompts)
    behaviour = await _behaviour(engine, subject, prompts)
    if account is None and behaviour is None:
        raise AbsentError(
            "the engine does not say what it read or how likely its tokens are, and its output says nothing either"
        )
    return "; ".join((account or "by its own account: absent", behaviour or "by behaviour: absent"))


async def _read_back(engine: Engine, subject: Subject, prompts: tuple[Ids, ...]) -> str | None:
    if not isinstance(engine, ReadsBack):
        return None
    cases = [(ids, "") for ids in prompts] + _bos_cases(subject, prompts[0])
    for ids, what in cases:
        read = await within(engine.prompt_as_read(ids), subject.silence_s, "not said what it read")
        if read is None:
            return None
        if read != ids:
            raise BrokenPromiseError(f"of a prompt{what} of {len(ids)} ids it says it read {_how(ids, read)}")
    return f"{len(cases)} prompts read back as they are{', with and without BOS' if len(cases) > len(prompts) else ''}"


def _bos_cases(subject: Subject, ids: Ids) -> list[tuple[Ids, str]]:
    bos = subject.prompts.bos_id
    if bos is None:
        return []
    if ids[0] == bos:
        return [(ids[1:], " without BOS")]
    return [((bos, *ids), " that begins with BOS")]


def _how(ids: Ids, read: Ids) -> str:
    if len(read) != len(ids):
        return f"{len(read)}: {_ends(read)} in place of {_ends(ids)}"
    place = next(place for place, (sent, seen) in enumerate(zip(ids, read, strict=True)) if sent != seen)
    return f"{read[place]} in place of {ids[place]} at place {place + 1}"


def _ends(ids: Ids) -> str:
    return f"{list(ids[:2])} … {list(ids[-2:])}"


async def _behaviour(engine: Engine, subject: Subject, prompts: tuple[Ids, ...]) -> str | None:
    """Whether each change of a prompt changes what comes after it."""
    least: dict[str, float] = {}
    for ids in prompts:
        own = await _ranking(engine, subject, ids)
        if not own:
            return await _by_output(subject, prompts)
        for what, changed in _changed(ids, prompts[0] if ids is not prompts[0] else prompts[-1]).items():
            distance = _distance(own, await _ranking(engine, subject, changed))
            least[what] = min(distance, least.get(what, distance))
    for what, distance in least.items():
        if distance <= _LEAST_NATS:
            raise BrokenPromiseError(f"{what} changes nothing in what the engine holds likely after it")
    smallest = min(least.values())
    what = (
        "the ranking of next tokens"
        if smallest == float("inf")
        else f"log-probabilities, by {smallest:.1e} nats or more"
    )
    return f"another or no first or last id changes {what}"


def _changed(ids: Ids, other: Ids) -> dict[str, Ids]:
    """The prompt with its ends changed for an ordinary id of another one, and without its first id."""
    strange = next(token for token in other[len(other) // 2 :] if token not in (ids[0], ids[-1]))
    return {
        "another first id": (strange, *ids[1:]),
        "another last id": (*ids[:-1], strange),
        "leaving out the first id": ids[1:],
        "leaving out the last id": ids[:-1],
    }


async def _ranking(engine: Engine, subject: Subject, ids: Ids) -> dict[int, float]:
    if not isinstance(engine, RanksTokens):
        return {}
    return dict(await within(engine.next_tokens(ids, _RANKED), subject.silence_s, "not ranked tokens"))


def _distance(one: dict[int, float], other: dict[int, float]) -> float:
    """The largest change of a log-probability; infinite if other tokens are ranked."""
    if one.keys() != other.keys():
        return float("inf")
    return max(abs(one[token] - other[token]) for token in one)


async def _by_output(subject: Subject, prompts: tuple[Ids, ...]) -> str | None:
    """A changed output proves that an id was seen; an unchanged one proves nothing."""
    seen: set[str] = set()
    sampling = Sampling(min(_TOKENS, subject.effort.tokens))
    for ids in prompts:
        own = await subject.ask(ids, sampling)
        changes = _changed(ids, prompts[0] if ids is not prompts[0] else prompts[-1])
        for what, changed in changes.items():
            if (await subject.ask(changed, sampling)).ids != own.ids:
                seen.add(what)
        if len(seen) == len(changes):
            return "another or no first or last id changes the output"
    return None
