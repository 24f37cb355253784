"""A pair that decodes, as one that is replayed. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

from pytest_speedbench.config import EngineArg, Pair
from pytest_speedbench.engines.replay.lookup import lookup_args
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.states import states_beside

_LOOKUP = ("prompt_lookup_max", "prompt_lookup_min")


def replayed(pair: Pair, outputs: Path) -> Pair:
    """The same target and drafter, judged on stored outputs by the lookup rules of the pair's own engine.

    A head reads the target's recorded states if there are any beside the outputs.
    """
    known = {"draft_sampling", *(field.name for field in fields(TransformersOptions))}
    speculative = pair.engine_args.get("speculative_config")
    args: dict[str, EngineArg] = {name: value for name, value in pair.engine_args.items() if name in known}
    if isinstance(speculative, Mapping):
        args.update({name: speculative[name] for name in _LOOKUP if name in speculative})
        if "draft_sample_method" in speculative:
            args["draft_sampling"] = speculative["draft_sample_method"]
    args |= {"outputs": str(outputs), "engine": pair.engine}
    lookup = lookup_args(pair)
    if lookup:
        args["lookup"] = lookup
    states = states_beside(outputs)
    if states.is_dir():
        args["states"] = str(states)
    return replace(
        pair,
        engine="replay",
        engine_args=MappingProxyType(args),
        python=None,
        endpoint=None,
        command=None,
        tensor_parallel=None,
        context_tokens=None,
    )
