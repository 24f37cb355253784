"""Content hashes of what answers: hex SHA-256 over files, whatever their folder is called. Imports no torch.

Hashes are cached per process by path, size and modification time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint, weight_files
from pytest_speedbench.engines.llamacpp.files import drafter_file, target_file
from pytest_speedbench.regular_files import read_regular

_VOLATILE_CONFIG_KEYS = frozenset({"transformers_version", "_name_or_path", "torch_dtype", "dtype"})
"""Config entries that say who wrote the file or how to store it, not what the model computes."""
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tekken.json",
)
_CHUNK_BYTES = 1 << 20


SERVERS_TEMPLATE = "rendered by the server"
"""Stands where the hash of a chat template would, if the engine renders prompts with one that nobody has seen."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Content hashes of what answers (hex SHA-256).

    Attributes:
        target_sha256: of the target's weights and config.
        tokenizer_sha256: of its tokenizer files and settings.
        chat_template_sha256: of its chat template.
        drafter_sha256: of the drafter's weights, vocabulary map and config; ``None`` if there is no drafter model, as
            for prompt lookup and for layers that are part of the target.
    """

    target_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str
    drafter_sha256: str | None


def model_identity(pair: Pair) -> ModelIdentity:
    """Hash a pair's models. A hub id that is not in the local cache is downloaded.

    Raises:
        EngineError: a model does not exist or cannot be read.
    """
    target = open_checkpoint(pair.model, download=True).folder
    drafter = pair.drafter.model if pair.drafter else None
    files, drafter_files = _loaded_files(pair)
    return ModelIdentity(
        target_sha256=model_sha256(target, files),
        tokenizer_sha256=tokenizer_sha256(target),
        chat_template_sha256=chat_template_sha256(target),
        drafter_sha256=None
        if drafter is None
        else model_sha256(open_checkpoint(drafter, download=True).folder, drafter_files),
    )


def _loaded_files(pair: Pair) -> tuple[Sequence[Path] | None, Sequence[Path] | None]:
    """The weights of target and drafter, where an engine loads others than those of their folders."""
    if pair.engine != "llamacpp" or pair.server is not None:
        return None, None
    drafter = drafter_file(pair)
    return (target_file(pair),), None if drafter is None else (drafter,)


def model_sha256(folder: Path, files: Sequence[Path] | None = None) -> str:
    """Hash of a target's or drafter's weights and config.

    The weight files count in name order with their whole content, which for a head includes its vocabulary map; of
    ``config.json`` everything but the entries that name the writing library.

    Args:
        folder: of the model.
        files: its weights; ``None`` for the folder's own.
    """
    config = {
        key: value for key, value in _read_object(folder / "config.json").items() if key not in _VOLATILE_CONFIG_KEYS
    }
    weights = weight_files(folder) if files is None else files
    return _digest([*(_file_sha256(path) for path in weights), _canonical(config)])


def tokenizer_sha256(folder: Path) -> str:
    """Hash of a model folder's tokenizer files and settings, its chat template left out."""
    files = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    settings = _read_object(folder / "tokenizer_config.json")
    settings.pop("chat_template", None)
    kept = {key: value for key, value in settings.items() if key not in _VOLATILE_CONFIG_KEYS}
    return _digest([*(f"{path.name} {_file_sha256(path)}" for path in files), _canonical(kept)])


def chat_template_sha256(folder: Path) -> str:
    """Hash of a model folder's chat template; of the empty text if it has none.

    ``chat_template.jinja`` counts before the entry in ``tokenizer_config.json``, as tokenizers read them.
    """
    own_file = folder / "chat_template.jinja"
    if own_file.is_file():
        return hashlib.sha256(read_regular(own_file)).hexdigest()
    template = _read_object(folder / "tokenizer_config.json").get("chat_template") or ""
    text = template if isinstance(template, str) else _canonical(template)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(read_regular(path))
    return content if isinstance(content, dict) else {}


def _canonical(value: Mapping[str, Any] | list[Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    status = path.stat()
    return _hash_content(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash_content(path: Path, _size_bytes: int, _modified_ns: int) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            content.update(chunk)
    return content.hexdigest()
