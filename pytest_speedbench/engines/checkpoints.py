"""Model references become local folders, and folders become what their ``config.json`` says. Imports no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, overload

from pytest_speedbench.engines.safetensors_header import TensorEntry, tensor_entries
from pytest_speedbench.errors import EngineError
from pytest_speedbench.paths import at_home, lies_at

BUNDLED_PREFIX = "bundled:"
BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "tiny"
"""The tiny family that comes with the package: one folder for every ``bundled:NAME``."""

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_HUB_FILES = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model", "*.jinja", "*.tiktoken")
_NESTED = ("text_config", "transformer_layer_config")
"""Where multimodal models, and drafters that speculators wrote, keep the fields of their layers."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder that exists, with its ``config.json`` as read.

    ``reference`` is what the user wrote, for messages.
    """

    reference: str
    folder: Path
    config: Mapping[str, Any]

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The layers' fields: nested in multimodal models and in speculators' drafters, else the config itself."""
        nested = (self.config.get(name) for name in _NESTED)
        return next((fields for fields in nested if isinstance(fields, dict)), self.config)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The class names that ``config.json`` gives; empty if it gives none."""
        return tuple(self.config.get("architectures") or ())

    @property
    def speculators_type(self) -> str | None:
        """The kind of drafter in the words of speculators; ``None`` for any other layout."""
        kind = self.config.get("speculators_model_type")
        return kind if isinstance(kind, str) and kind else None

    @property
    def tensors(self) -> Mapping[str, TensorEntry] | None:
        """The tensors by name; ``None`` if only a load can tell, as for ``*.bin`` files."""
        return tensor_entries(self.weight_files())

    @property
    def plain_tensors(self) -> Mapping[str, TensorEntry] | None:
        """The tensors by name, without the ``model.`` that some exporters write before those of a drafter."""
        entries = self.tensors
        return None if entries is None else {name.removeprefix("model."): entry for name, entry in entries.items()}

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """The ids that end a sequence: the generation config's, else the model config's; empty if neither says."""
        path = self.folder / "generation_config.json"
        generation = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        found = generation.get("eos_token_id", self.text_config.get("eos_token_id"))
        if found is None:
            return ()
        return tuple(found) if isinstance(found, list) else (int(found),)

    def size(self, field: str) -> int | None:
        """An integer field such as ``vocab_size``; ``None`` if the config does not say."""
        value = self.text_config.get(field)
        if value is None and self.speculators_type is not None:
            # Of a drafter in speculators' layout, what is not the layer's stands at the top.
            value = self.config.get(field)
        return value if isinstance(value, int) else None

    def weight_files(self) -> tuple[Path, ...]:
        """The weight files in name order: safetensors if there are any, else ``*.bin``."""
        return weight_files(self.folder)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a model folder in name order: safetensors if there are any, else ``pytorch_model*.bin``."""
    return tuple(sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin")))


@overload
def open_checkpoint(reference: str, *, download: Literal[True]) -> Checkpoint: ...


@overload
def open_checkpoint(reference: str, *, download: bool) -> Checkpoint | None: ...


def open_checkpoint(reference: str, *, download: bool) -> Checkpoint | None:
    """Find a model folder and read its config.

    Args:
        reference: ``bundled:NAME``, a folder, or a hub id such as ``org/name``.
        download: whether a hub id may be fetched. Without it only what is already in the local hub cache counts.

    Returns:
        The checkpoint; ``None`` only for a hub id that is not in the cache, when ``download`` is false and the hub
        is not offline either.

    Raises:
        EngineError: no such folder or model, no weights in it, or a config that cannot be read.
    """
    folder = _local_folder(reference)
    if folder is None:
        folder = _hub_folder(reference, download=download)
    if folder is None:
        return None
    return Checkpoint(reference, folder, _read_config(reference, folder))


def _local_folder(reference: str) -> Path | None:
    if reference.startswith(BUNDLED_PREFIX):
        return _bundled_folder(reference)
    folder = at_home(reference)
    there = lies_at(folder, "A model", EngineError)
    if there == "folder":
        return folder
    if there == "file":
        raise EngineError(
            f"The model {reference!r} is a file.", "Give the folder that holds config.json and the weights."
        )
    if not _HUB_ID.fullmatch(reference):
        raise EngineError(
            f"There is no model folder {reference!r}.", "Check the path, or give a hub id such as org/name."
        )
    return None


def _bundled_folder(reference: str) -> Path:
    name = reference.removeprefix(BUNDLED_PREFIX)
    names = sorted(path.parent.name for path in BUNDLED_FOLDER.glob("*/config.json"))
    if name not in names:
        listed = ", ".join(BUNDLED_PREFIX + known for known in names) or "none in this installation"
        raise EngineError(f"There is no bundled model {reference!r}.", f"Bundled models: {listed}.")
    return BUNDLED_FOLDER / name


def _hub_folder(reference: str, *, download: bool) -> Path | None:
    if find_spec("huggingface_hub") is None:
        raise EngineError(
            f"There is no folder {reference!r}, and the hub cannot be asked without huggingface_hub.",
            'Give an existing folder, or run: pip install "pytest-speedbench[transformers]".',
        )
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    offline = bool(constants.HF_HUB_OFFLINE)
    try:
        return Path(
            snapshot_download(reference, allow_patterns=list(_HUB_FILES), local_files_only=offline or not download)
        )
    except LocalEntryNotFoundError as error:
        if offline:
            raise EngineError(
                f"There is no folder {reference!r}, and the hub is offline with no such model in its cache.",
                "Give an existing folder, or unset HF_HUB_OFFLINE to download it.",
            ) from error
        if not download:
            return None
        raise EngineError(
            f"There is no folder {reference!r}, and the hub cannot be reached for it.",
            "Give an existing folder, or check the network.",
        ) from error
    except Exception as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(
            f"There is no folder {reference!r}, and the hub does not give it: {message}",
            "Check the spelling and your access to it.",
        ) from error


def _read_config(reference: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise EngineError(f"{reference!r} is no model: {folder} has no config.json.", "Give a model folder.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read: {error}.", "Restore the model's config.json.") from error
    if not isinstance(config, dict):
        raise EngineError(f"{path} holds no object.", "Restore the model's config.json.")
    if not weight_files(folder) and not any(folder.glob("*.gguf")):
        raise EngineError(
            f"{reference!r} has no weights: {folder} holds no .safetensors file.",
            "Add the weights, or give another folder.",
        )
    return config
