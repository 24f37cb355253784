"""The engine arguments of replay. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_speedbench.config import EngineArg
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError, closest

_OWN = ("outputs", "engine", "batch_tokens", "prompt_lookup_min")
DEFAULT_BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What a pair's ``engine_args`` may set, beside those of the transformers engine, which computes the drafters.

    Attributes:
        outputs: the file of stored outputs.
        engine: whose rules of prompt lookup are replayed: the engine that is to serve.
        batch_tokens: tokens read at a time, padding included: what bounds the memory.
        prompt_lookup_min: shortest n-gram that an n-gram drafter looks up.
        models: where and how the drafter, and for a head the target, are computed.
    """

    outputs: Path
    engine: str
    batch_tokens: int
    prompt_lookup_min: int
    models: TransformersOptions

    @classmethod
    def parse(cls, engine_args: Mapping[str, EngineArg]) -> ReplayOptions:
        """Check a pair's ``engine_args``.

        Raises:
            EngineError: no file of outputs, an unknown name, or a value that the argument cannot take.
        """
        own = {name: value for name, value in engine_args.items() if name in _OWN}
        rest = {name: value for name, value in engine_args.items() if name not in _OWN}
        known = [*_OWN, *TransformersOptions.__dataclass_fields__]
        for name in rest:
            if name not in known:
                raise EngineError(
                    f"Replay has no argument {name!r}.", f"{closest(name, known)}Its arguments are: {', '.join(known)}."
                )
        outputs = own.get("outputs")
        if not isinstance(outputs, str) or not outputs:
            raise EngineError(
                "Replay is not told which stored outputs to judge on.",
                "Use --speedbench-mode=replay, or name a file with the engine argument outputs.",
            )
        return cls(
            Path(outputs),
            str(own.get("engine", "transformers")),
            _count(own, "batch_tokens", DEFAULT_BATCH_TOKENS),
            _count(own, "prompt_lookup_min", 1),
            TransformersOptions.parse(rest),
        )


def _count(values: Mapping[str, EngineArg], name: str, default: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EngineError(
            f"The engine argument {name} must be a whole number of at least 1, not {value!r}.", "Mend it."
        )
    return value
