"""The engine arguments of the transformers engine. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from pytest_speedbench.config import DTYPES, EngineArg
from pytest_speedbench.errors import EngineError, closest


@dataclass(frozen=True, slots=True)
class TransformersOptions:
    """What a pair's ``engine_args`` may set.

    Attributes:
        device: torch device such as ``cpu`` or ``cuda:1``; by default the first CUDA device, else the CPU.
        dtype: of weights and arithmetic, one of :data:`DTYPES`; ``auto`` is the checkpoint's own. By default float32 on
            the CPU, else ``auto``.
        threads: CPU threads of one operator; by default torch's choice. Small models are fastest with one. For a replay
            the most that it takes: it takes fewer while others keep cores busy.
        attn_implementation: handed to the target as it is; by default transformers' choice.
        prompt_lookup_max: longest n-gram that an n-gram drafter looks up, in tokens. It falls back to shorter ones down
            to a single token.
    """

    device: str | None = None
    dtype: str | None = None
    threads: int | None = None
    attn_implementation: str | None = None
    prompt_lookup_max: int = 3
    context_tokens: int | None = None

    @classmethod
    def parse(cls, engine_args: Mapping[str, EngineArg]) -> TransformersOptions:
        """Check a pair's ``engine_args``.

        Raises:
            EngineError: an unknown name, or a value that the argument cannot take.
        """
        known = [field.name for field in fields(cls)]
        for name in engine_args:
            if name not in known:
                raise EngineError(
                    f"The transformers engine has no argument {name!r}.",
                    f"{closest(name, known)}Its arguments are: {', '.join(known)}.",
                )
        default = cls()
        return cls(
            device=_text(engine_args, "device"),
            dtype=_dtype(engine_args),
            threads=_count(engine_args, "threads"),
            attn_implementation=_text(engine_args, "attn_implementation"),
            prompt_lookup_max=_count(engine_args, "prompt_lookup_max") or default.prompt_lookup_max,
            context_tokens=_count(engine_args, "context_tokens"),
        )


def _text(engine_args: Mapping[str, EngineArg], name: str) -> str | None:
    value = engine_args.get(name)
    if value is None or isinstance(value, str):
        return value
    raise EngineError(f"The engine argument {name} must be text, not {value!r}.", "Put it in quotes.")


def _dtype(engine_args: Mapping[str, EngineArg]) -> str | None:
    value = _text(engine_args, "dtype")
    if value is not None and value not in DTYPES:
        raise EngineError(f"The transformers engine knows no dtype {value!r}.", f"Choose one of: {', '.join(DTYPES)}.")
    return value


def _count(engine_args: Mapping[str, EngineArg], name: str) -> int | None:
    value = engine_args.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EngineError(
            f"The engine argument {name} must be a whole number of at least 1, not {value!r}.", "Mend it."
        )
    return value
