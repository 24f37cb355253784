"""The engine arguments of replay. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_speedbench.config import EngineArg
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError, closest

_OWN = ("outputs", "states", "engine", "batch_tokens", "prompt_lookup_min", "lookup", "draft_sampling")
_BATCH_TOKENS = 16384
_CPU_BATCH_TOKENS = 1024
"""More is slower: what a layer makes of them no longer stays in the cache."""
DRAFT_SAMPLINGS = ("greedy", "probabilistic")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What a pair's ``engine_args`` may set, beside those of the transformers engine, which computes the drafters.

    Attributes:
        outputs: the file of stored outputs.
        states: the folder of the target's recorded hidden states on them; ``None`` to have heads read the live target.
        engine: whose rules of prompt lookup are replayed: the engine that is to serve.
        batch_tokens: tokens read at a time, padding included, which bounds the memory; ``None`` for what suits the
            device.
        prompt_lookup_min: shortest n-gram that an n-gram drafter looks up.
        lookup: how the n-gram drafter of SGLang or TensorRT-LLM is set, in the words of the engine's own arguments.
        draft_sampling: ``greedy`` or ``probabilistic``, by vLLM's names: whether drafts of a sampled run are the most
            probable tokens, or are drawn at the run's temperature.
        models: where and how the drafter, and for a head the target, are computed.
    """

    outputs: Path
    states: Path | None
    engine: str
    batch_tokens: int | None
    prompt_lookup_min: int
    lookup: Mapping[str, EngineArg]
    draft_sampling: str
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
        states = own.get("states")
        if states is not None and (not isinstance(states, str) or not states):
            raise EngineError(f"The engine argument states must name a folder, not {states!r}.", "Mend it.")
        return cls(
            Path(outputs),
            None if states is None else Path(states),
            str(own.get("engine", "transformers")),
            _count(own, "batch_tokens", 1) if "batch_tokens" in own else None,
            _count(own, "prompt_lookup_min", 1),
            _lookup(own),
            _draft_sampling(own),
            TransformersOptions.parse(rest),
        )

    def tokens_at_a_time(self, device_type: str) -> int:
        """How many tokens are read at a time on a device."""
        return self.batch_tokens or (_CPU_BATCH_TOKENS if device_type == "cpu" else _BATCH_TOKENS)


def _lookup(values: Mapping[str, EngineArg]) -> Mapping[str, EngineArg]:
    value = values.get("lookup", {})
    if not isinstance(value, Mapping):
        raise EngineError(f"The engine argument lookup is {value!r}.", "Give a table of the engine's own arguments.")
    return value


def _draft_sampling(values: Mapping[str, EngineArg]) -> str:
    value = values.get("draft_sampling", "greedy")
    if value not in DRAFT_SAMPLINGS:
        raise EngineError(f"Replay knows no draft_sampling {value!r}.", f"Choose {' or '.join(DRAFT_SAMPLINGS)}.")
    return str(value)


def _count(values: Mapping[str, EngineArg], name: str, default: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EngineError(
            f"The engine argument {name} must be a whole number of at least 1, not {value!r}.", "Mend it."
        )
    return value
