"""Whether what a server says of its model fits the pair's."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.http.served import ServedModel, vocabulary_size
from pytest_speedbench.engines.identity import model_sha256
from pytest_speedbench.errors import EngineError

_HUB_ID = re.compile(r"[\w-][\w.-]*/([\w-][\w.-]*)")
_STRETCHING = ('"factor"', "longrope", "long_factor")
"""In a config, wherever its rotary settings stand, these say that sequences may be longer than its positions."""
_HELD_TO_CONFIG = ("vllm", "sglang")
"""Servers that take no longer sequences than a model's config allows."""


def check_model(model: ServedModel, checkpoint: Checkpoint, wanted: str, url: str) -> None:
    """What is served is the pair's model, as far as names, vocabularies, lengths and folders on this machine tell.

    Names are compared where both are a hub's, since one model has as many paths as machines; an adapter's name and
    origin are its own, so its base's name is compared.

    Args:
        model: as the server says it.
        checkpoint: the pair's target.
        wanted: the same, as the pair names it.
        url: of the server.

    Raises:
        EngineError: it is another one.
    """
    remedy = "Name the model that is served, or start the server with this one."
    vocab_size = vocabulary_size(checkpoint)
    if model.vocab_size is not None and model.vocab_size != vocab_size:
        raise EngineError(
            f"The server at {url} serves {model.name!r} with a vocabulary of {model.vocab_size} tokens, the target "
            f"{wanted!r} has one of {vocab_size}.",
            remedy,
        )
    longest = _longest(checkpoint)
    if model.owner in _HELD_TO_CONFIG and longest is not None and (model.context_tokens or 0) > longest:
        raise EngineError(
            f"The server at {url} serves {model.name!r} with sequences of up to {model.context_tokens} tokens, and the "
            f"config.json of the target {wanted!r} allows {longest}.",
            remedy,
        )
    names = (model.base,) if model.base is not None else (model.name, model.origin)
    told = [name for name in names if name is not None]
    ours, theirs = _HUB_ID.fullmatch(wanted), [found[1].lower() for name in told if (found := _HUB_ID.fullmatch(name))]
    if ours and theirs and ours.group(1).lower() not in (*theirs, *(name.lower() for name in told)):
        raise EngineError(f"The server at {url} serves {model.name!r}, and the pair's model is {wanted!r}.", remedy)
    if model.base is None and model.origin is not None and _is_another(Path(model.origin), checkpoint.folder):
        raise EngineError(
            f"The server at {url} serves {model.name!r} from {model.origin}, and the weights or the config there are "
            f"not those of the pair's model {wanted!r}.",
            remedy,
        )


def _is_another(origin: Path, ours: Path) -> bool:
    """Whether a folder of this machine holds another model than ours."""
    try:
        if not origin.is_absolute() or not (origin / "config.json").is_file() or origin.samefile(ours):
            return False
        return model_sha256(origin) != model_sha256(ours)
    except (OSError, ValueError, EngineError):  # not readable for us: nothing is known of it
        return False


def _longest(checkpoint: Checkpoint) -> int | None:
    """The longest sequence by a config; ``None`` where positions are stretched, or it does not say."""
    stretched = any(word in json.dumps(dict(checkpoint.config), default=str) for word in _STRETCHING)
    return None if stretched else checkpoint.size("max_position_embeddings")
