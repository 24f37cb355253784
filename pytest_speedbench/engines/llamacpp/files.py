"""Which GGUF files a pair is made of."""

from __future__ import annotations

from pathlib import Path

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import EngineError

GGUF = "gguf"
DRAFT_GGUF = "draft_gguf"


def target_file(pair: Pair) -> Path:
    """The target's GGUF file: the engine argument ``gguf``, else the only one in the model's folder.

    Raises:
        EngineError: there is none, or there are several to choose from.
    """
    return _file(pair, GGUF, pair.model)


def drafter_file(pair: Pair) -> Path | None:
    """The drafter's GGUF file, found like the target's; ``None`` for drafters without a model of their own.

    Raises:
        EngineError: there is none, or there are several to choose from.
    """
    if pair.drafter is None or pair.drafter.model is None:
        return None
    return _file(pair, DRAFT_GGUF, pair.drafter.model)


def _file(pair: Pair, argument: str, reference: str) -> Path:
    given = pair.engine_args.get(argument)
    if given is not None:
        path = Path(str(given)).expanduser()
        if not path.is_file():
            raise EngineError(f"There is no file {given!r}.", f"Correct the engine argument {argument}.")
        return path.resolve()
    folder = open_checkpoint(reference, download=True).folder
    found = sorted(folder.glob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise EngineError(
            f"The folder of {reference!r} should hold one GGUF file, and it holds {names}.",
            f"Name the file by the engine argument {argument}.",
        )
    return found[0]
