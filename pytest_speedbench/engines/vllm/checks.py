"""What can be said about a pair before vLLM is started."""

from __future__ import annotations

import warnings
from typing import Any

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.eagle_configs import stated_layer_ids
from pytest_speedbench.engines.fit import Vocabularies, check_models
from pytest_speedbench.engines.lossy import refuse_arguments, refuse_environment
from pytest_speedbench.engines.vllm.arguments import check_arguments
from pytest_speedbench.engines.vllm.kinds import ALSO, assumed_fields, parallel_drafting
from pytest_speedbench.engines.vllm.lossy import SETTINGS
from pytest_speedbench.engines.vllm.versions import VLLM
from pytest_speedbench.errors import SpeedbenchWarning


def vocabularies_of(pair: Pair) -> Vocabularies:
    """What vLLM takes of a draft model: any vocabulary once it is told to draft what both have."""
    extra = pair.engine_args.get("speculative_config")
    return "any" if isinstance(extra, dict) and extra.get("use_heterogeneous_vocab") is True else "equal"


def check_pair(pair: Pair) -> None:
    """Check vLLM's version, the arguments, and that the checkpoints exist and fit each other.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Raises:
        EngineError: with the way out.
    """
    VLLM.version(pair.python)
    check_arguments(pair)
    refuse_arguments("vLLM", SETTINGS, pair.engine_args)
    refuse_environment("vLLM", SETTINGS)
    check_drafter(pair)


def check_drafter(pair: Pair) -> None:
    """Check the checkpoints, and say what vLLM assumes of a head that does not say it.

    Raises:
        EngineError: with the way out.
    """
    check_models(pair, vocabularies_of(pair), also=ALSO)
    if pair.drafter is None or pair.drafter.model is None:
        return
    drafter = open_checkpoint(pair.drafter.model, download=False)
    if drafter is None:
        return
    given: Any = pair.engine_args.get("speculative_config")
    parallel_drafting(drafter, given if isinstance(given, dict) else {})
    if pair.drafter.method is DrafterMethod.EAGLE3:
        stated_layer_ids(drafter)
    for name in assumed_fields(drafter):
        warnings.warn(
            SpeedbenchWarning(
                f"The config.json of the drafter {drafter.reference!r} does not give {name}: vLLM takes it for true, "
                "and speculators, whose layout it is, for false."
            ),
            stacklevel=2,
        )
