"""What can be said about a pair before vLLM is started."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.fit import Vocabularies, check_models
from pytest_speedbench.engines.lossy import refuse_arguments, refuse_environment
from pytest_speedbench.engines.vllm.arguments import check_arguments
from pytest_speedbench.engines.vllm.lossy import SETTINGS
from pytest_speedbench.engines.vllm.versions import VLLM


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
    check_models(pair, vocabularies_of(pair))
