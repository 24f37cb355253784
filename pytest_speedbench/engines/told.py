"""What a pair says of every engine alike, in the words of its own engine, and whether the engine did as it was told.

A pair's ``engine_args`` belong to one engine. Its dtype, its tensor parallelism and its context length mean the same
everywhere, so they are settings of the pair, which outlive a change of engine, and every adapter says here how its
engine is told them. Nothing that a pair says is dropped without a word: what an engine cannot be told is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pytest_speedbench.config import SHARED_SETTINGS, EngineArg, Pair, canonical_dtype
from pytest_speedbench.engines.base import EngineFactory, EngineInfo
from pytest_speedbench.errors import EngineError

Address = Literal["python", "endpoint", "command"]


@dataclass(frozen=True, slots=True)
class Told:
    """How an engine is told what means the same everywhere: the module's ``TOLD``.

    Attributes:
        dtype: the engine's own argument for it; ``None`` where files or servers decide, so that it can only be checked.
        tensor_parallel: likewise.
        context_tokens: likewise.
        lacks: settings of these that the engine has no like of.
        reads: where the engine is, as far as it takes a pair's word for that.
        asks_only: whether its arguments say how a server is asked, so that they hold for one that runs already.
    """

    dtype: str | None = None
    tensor_parallel: str | None = None
    context_tokens: str | None = None
    lacks: tuple[str, ...] = ()
    reads: tuple[Address, ...] = ()
    asks_only: bool = False


def told_of(factory: EngineFactory) -> Told | None:
    """What a factory says of itself; ``None`` for one that says nothing."""
    told = getattr(factory, "TOLD", None)
    return told if isinstance(told, Told) else None


def in_own_words(pair: Pair, factory: EngineFactory) -> Pair:
    """The pair with all that it says in ``engine_args``, as its engine's adapter reads it.

    Raises:
        EngineError: the engine has no such thing, or an engine argument says otherwise.
    """
    told = told_of(factory)
    _check_addresses(pair, told)
    args = dict(pair.engine_args)
    for setting in SHARED_SETTINGS:
        value: EngineArg = getattr(pair, setting)
        if value is None:
            continue
        if told is None and value == "auto":
            continue
        if told is None:
            raise EngineError(
                f"The engine {pair.engine!r} does not say how it is told the pair's {setting}.",
                "Leave it out (a dtype may be auto), and give the engine's own argument for it.",
            )
        if setting in told.lacks:
            if value == 1:
                continue
            raise EngineError(f"The {pair.engine} engine has no {setting}, and the pair says {value}.", "Leave it out.")
        name: str | None = getattr(told, setting)
        if name is None or (pair.server is not None and not told.asks_only):
            continue
        if name in args and not _same(setting, args[name], value):
            raise EngineError(
                f"The pair {pair.name!r} says {setting} = {value}, and the engine argument {name} says {args[name]}.",
                f"Leave the engine argument out; --speedbench-{setting.replace('_', '-')} changes it for one run.",
            )
        args.setdefault(name, value)
    return replace(pair, engine_args=MappingProxyType(args), dtype=None, tensor_parallel=None, context_tokens=None)


def check_told(pair: Pair, factory: EngineFactory, info: EngineInfo) -> None:
    """See that a started engine does what the pair says, as far as it tells; a replay decodes nothing, and may differ.

    Raises:
        EngineError: it computes in another dtype, on another number of devices, or takes shorter sequences.
    """
    if not info.timed:
        return
    told = told_of(factory)
    for setting in SHARED_SETTINGS:
        wanted: EngineArg = getattr(pair, setting)
        name = getattr(told, setting) if told is not None else None
        found = info.args.get(name or setting)
        if setting == "context_tokens":
            wrong = isinstance(wanted, int) and info.context_tokens < wanted
            found = info.context_tokens
        else:
            wrong = wanted not in (None, "auto") and found is not None and not _same(setting, found, wanted)
        if wrong:
            raise EngineError(
                f"The pair {pair.name!r} says {setting} = {wanted}, and the engine runs with {found}.",
                f"Correct the pair or the engine; --speedbench-{setting.replace('_', '-')} changes it for one run.",
            )


def _same(setting: str, one: EngineArg, other: EngineArg) -> bool:
    if setting == "dtype":
        return canonical_dtype(str(one)) == canonical_dtype(str(other))
    return one == other


def _check_addresses(pair: Pair, told: Told | None) -> None:
    given: tuple[Address, ...] = ("python", "endpoint", "command")
    unread = [name for name in given if getattr(pair, name) is not None and told is not None and name not in told.reads]
    if unread:
        raise EngineError(
            f"The pair {pair.name!r} names {' and '.join(unread)}, which the {pair.engine} engine does not read.",
            "Leave it out, or choose the engine that it is meant for with --speedbench-engine.",
        )
