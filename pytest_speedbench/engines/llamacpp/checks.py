"""What can be said about a pair before a server is started or asked."""

from __future__ import annotations

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.fit import check_fit, check_kind, check_target
from pytest_speedbench.engines.http.command import check_command, words_of
from pytest_speedbench.engines.http.endpoint import check_endpoint
from pytest_speedbench.engines.llamacpp.arguments import binary_name, check_arguments, check_method
from pytest_speedbench.engines.llamacpp.binary import find_binary, known_flags
from pytest_speedbench.engines.llamacpp.endpoint import KEY_VARIABLE
from pytest_speedbench.engines.llamacpp.files import drafter_file, target_file
from pytest_speedbench.engines.llamacpp.lossy import SETTINGS
from pytest_speedbench.engines.lossy import refuse_arguments, refuse_command, refuse_environment
from pytest_speedbench.errors import EngineError


def check_pair(pair: Pair) -> None:
    """Check the program, its arguments, that the files exist and that target and drafter fit each other.

    Raises:
        EngineError: with the way out.
    """
    check_method(pair)
    if pair.endpoint is not None and pair.command is not None:
        raise EngineError(f"The pair {pair.name!r} has an endpoint and a command.", "Leave one of the two out.")
    if pair.endpoint is not None:
        check_endpoint(pair, KEY_VARIABLE)
        return
    refuse_environment("llama.cpp", SETTINGS)
    if pair.python is not None:
        raise EngineError(
            f"The pair {pair.name!r} names an interpreter, and llama-server is no Python program.",
            "Leave the interpreter out; the engine argument binary gives the program's path.",
        )
    if pair.command is not None:
        _check_given_command(pair)
        return
    refuse_arguments("llama.cpp", SETTINGS, pair.engine_args)
    check_arguments(pair, known_flags(find_binary(binary_name(pair))))
    _check_models(pair)


def _check_given_command(pair: Pair) -> None:
    check_command(pair)
    refuse_command(SETTINGS, words_of(pair))
    if pair.engine_args:
        raise EngineError(
            f"The pair {pair.name!r} has engine arguments ({', '.join(sorted(pair.engine_args))}) beside its command.",
            "Write them into the command, or leave the command out.",
        )


def _check_models(pair: Pair) -> None:
    target = open_checkpoint(pair.model, download=False)
    if target is not None:
        check_target(target)
        target_file(pair)
    if pair.drafter is None or pair.drafter.model is None:
        return
    drafter = open_checkpoint(pair.drafter.model, download=False)
    if drafter is not None:
        check_kind(drafter, pair.drafter.method)
        drafter_file(pair)
        if target is not None:
            check_fit(target, drafter, pair.drafter.method)
