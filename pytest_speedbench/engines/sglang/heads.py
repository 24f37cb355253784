"""Which of the target's layers an EAGLE-3 head reads under SGLang.

A head's config names layers, and engines count them differently. Here *after k layers* is the residual stream that k
layers have been added to. vLLM and the transformers engine take an id k for the stream after k layers, SGLang for the
output of the layer with the index k, which is the stream after k + 1. Neither the file nor its maker says which was
meant, so a head is given to SGLang as it is, as SGLang's users run it. Only the bundled heads are known to be counted
vLLM's way, and SGLang gets copies of them that say the same in its own count.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_speedbench.config import user_cache_folder
from pytest_speedbench.engines.checkpoints import BUNDLED_PREFIX, Checkpoint, open_checkpoint
from pytest_speedbench.errors import EngineError

_IDS = "eagle_aux_hidden_state_layer_ids"
_UP_TO_LAST_INPUT = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Targets whose streams SGLang takes before a layer only, so never after the last one."""


def layers_read(head: Checkpoint, target: Checkpoint) -> tuple[int, ...] | None:
    """After how many layers SGLang takes the hidden states that it gives ``head``; ``None`` if it cannot be known.

    Raises:
        EngineError: the head's config says it where SGLang does not look, or says what the target cannot give.
    """
    layers = target.size("num_hidden_layers")
    own = _own_ids(head)
    if own is None:
        if layers is None:
            return None
        reads: tuple[int, ...] = (2, layers // 2, layers - 3)  # SGLang's choice for a head that does not say
        elsewhere = head.config.get(_IDS)
        if elsewhere is not None and tuple(elsewhere) != reads:
            raise EngineError(
                f"The head {head.reference!r} gives its {_IDS} at the top of its config.json, where SGLang does not "
                f"look: it would read the target after {_listed(reads)} layers.",
                "Move it into eagle_config, counted SGLang's way: the index of the layer whose output is read.",
            )
    else:
        reads = tuple(index + 1 for index in own)
    if layers is not None:
        _check_reads(head, target, reads, layers)
    return reads


def readable_head(head: Checkpoint, target: Checkpoint) -> Path:
    """The folder to give SGLang for ``head``: its own, or for a bundled head a copy in SGLang's count of layers.

    Raises:
        EngineError: as from :func:`layers_read`.
    """
    if not head.reference.startswith(BUNDLED_PREFIX):
        layers_read(head, target)
        return head.folder
    converted = in_sglang_count(head)
    layers_read(converted, target)
    return _written(converted)


def recorded_layers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a measurement's record says of the layers read, given SGLang's arguments; nothing without a head."""
    if arguments.get("speculative_algorithm") != "EAGLE3":
        return {}
    head, target = (
        open_checkpoint(arguments[name], download=False) for name in ("speculative_draft_model_path", "model_path")
    )
    reads = layers_read(head, target) if head is not None and target is not None else None
    return {"eagle3_reads_after_layers": None if reads is None else list(reads)}


def in_sglang_count(head: Checkpoint) -> Checkpoint:
    """A head whose ids are vLLM's, with SGLang's in its config; its folder is still the old one."""
    ids = _own_ids(head)
    if ids is None:
        return head
    eagle = {**head.config["eagle_config"], _IDS: [index - 1 for index in ids]}
    return Checkpoint(head.reference, head.folder, {**head.config, "eagle_config": eagle})


def _written(head: Checkpoint) -> Path:
    """A folder with the head's config and links to its weights, kept in the user's cache and made only once."""
    config = json.dumps(head.config, indent=2, sort_keys=True)
    key = hashlib.sha256(f"{head.folder.resolve()}\n{config}".encode()).hexdigest()[:16]
    folder = user_cache_folder() / "sglang-heads" / f"{head.folder.name}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for weights in head.weight_files():
            _replace_by_link(folder / weights.name, weights.resolve())
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(config)
        Path(file.name).replace(folder / "config.json")
    except OSError as error:
        raise EngineError(
            f"The copy of the head {head.reference!r} for SGLang cannot be written: {error}.",
            "Set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    return folder


def _replace_by_link(path: Path, to: Path) -> None:
    if path.is_symlink() and path.resolve() == to:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _own_ids(head: Checkpoint) -> tuple[int, ...] | None:
    eagle: Any = head.config.get("eagle_config") or {}
    ids = eagle.get(_IDS)
    return None if ids is None else tuple(ids)


def _check_reads(head: Checkpoint, target: Checkpoint, reads: tuple[int, ...], layers: int) -> None:
    last = layers - 1 if set(target.architectures) & set(_UP_TO_LAST_INPUT) else layers
    if len(set(reads)) == len(reads) and all(0 <= read <= last for read in reads):
        return
    raise EngineError(
        f"The head {head.reference!r} would read the target {target.reference!r}, which has {layers} layers, after "
        f"{_listed(reads)} of them: SGLang reads the output of the layer whose index the head's {_IDS} gives.",
        "If the head's ids are counted as vLLM counts them, give a copy of it whose ids in eagle_config are one less.",
    )


def _listed(reads: tuple[int, ...]) -> str:
    return ", ".join(map(str, reads))
