"""A server of ours from a command line in the pair's settings."""

from __future__ import annotations

import shlex
import shutil

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import EngineError


def check_command(pair: Pair) -> None:
    """Refuse a command line that cannot start a server for us.

    Raises:
        EngineError: with the way out.
    """
    words = words_of(pair)
    if pair.python is not None:
        raise EngineError(
            f"The pair {pair.name!r} names an interpreter beside its command.",
            "Write the interpreter into the command.",
        )
    if not any("{port}" in word for word in words):
        raise EngineError(
            f"The command of the pair {pair.name!r} says nowhere at which port to serve.",
            "Write {port} where the port belongs, such as --port {port}.",
        )
    for name, value in (("drafter", pair.drafter and pair.drafter.model), ("draft_length", pair.drafter)):
        if value is None and any(f"{{{name}}}" in word for word in words):
            raise EngineError(
                f"The command of the pair {pair.name!r} wants {{{name}}}, and the pair has none.",
                f"Leave {{{name}}} out, or give the pair such a drafter.",
            )
    if shutil.which(words[0]) is None:
        raise EngineError(f"The program {words[0]!r} of the command does not run.", "Correct its path, or install it.")


def filled_in(pair: Pair, port: int) -> list[str]:
    """The command's words, with an absolute path first.

    ``{model}`` and ``{drafter}`` become local folders, whatever the pair calls them. Other braces stay as they are:
    commands often hold JSON.

    Raises:
        EngineError: as from :func:`check_command`, or a model that cannot be found.
    """
    check_command(pair)
    values = {"port": str(port), "model": str(open_checkpoint(pair.model, download=True).folder)}
    if pair.drafter is not None:
        values["draft_length"] = str(pair.drafter.draft_length)
        if pair.drafter.model is not None:
            values["drafter"] = str(open_checkpoint(pair.drafter.model, download=True).folder)
    words = words_of(pair)
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    return [shutil.which(words[0]) or words[0], *words[1:]]


def words_of(pair: Pair) -> list[str]:
    """The command as the shell would part it.

    Raises:
        EngineError: it cannot be read, or is empty.
    """
    try:
        words = shlex.split(pair.command or "")
    except ValueError as error:
        raise EngineError(
            f"The command of the pair {pair.name!r} cannot be read: {error}.", "Close its quotes, as for a shell."
        ) from error
    if not words:
        raise EngineError(f"The command of the pair {pair.name!r} is empty.", "Write what starts the server.")
    return words
