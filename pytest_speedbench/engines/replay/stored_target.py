"""A target that read the stored outputs before: its recorded hidden states, and no layer of it in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoConfig

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.identity import model_identity
from pytest_speedbench.engines.replay.batches import batches, padded
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.targets import ReadBatch
from pytest_speedbench.engines.replay.texts import shared_texts
from pytest_speedbench.engines.transformers.loading import Placement, TargetFrame
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.states import FINAL, RecordedStates, layer_name, open_states

_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_LM_HEADS = ("lm_head.weight", "embed_out.weight")


class StoredTarget:
    """Gives recorded states as :class:`~.targets.LiveTarget` gives those that it computes.

    Args:
        states: what was recorded of it.
        frame: of the target.
        batch_tokens: tokens read at a time, padding included: what bounds the memory.
    """

    def __init__(self, states: RecordedStates, frame: TargetFrame, batch_tokens: int) -> None:
        if states.head.hidden_size != frame.hidden_size:
            raise OutputsError(
                f"The recorded states {states.folder} are {states.head.hidden_size} wide, and the target "
                f"{frame.hidden_size}.",
                "Record them anew.",
            )
        self.frame = frame
        self._states = states
        self._batch_tokens = batch_tokens

    def read(self, outputs: Sequence[StoredOutput], layer_ids: Sequence[int], *, final: bool) -> Iterator[ReadBatch]:
        """Read from the mapped files what is asked, side by side.

        Raises:
            OutputsError: a layer, the final states or an output were not recorded, or a shard is damaged.
        """
        self._states.check_holds(layer_ids, final=final)
        layers = [layer_name(layer_id) for layer_id in layer_ids]
        texts = shared_texts([stored.prompt_ids + stored.output_ids for stored in outputs])
        for group in batches([len(text.ids) for text in texts], self._batch_tokens):
            ids = padded([texts[number].ids for number in group], self.frame.embedding.device)
            longest = [outputs[texts[number].places[0]] for number in group]
            held = [(place, row) for row, number in enumerate(group) for place in texts[number].places]
            yield ReadBatch(
                [place for place, _ in held],
                [row for _, row in held],
                ids,
                self._side_by_side(longest, layers, ids.shape[1]) if layers else None,
                self._side_by_side(longest, [FINAL], ids.shape[1]) if final else None,
            )

    def _side_by_side(self, outputs: Sequence[StoredOutput], names: Sequence[str], longest: int) -> Tensor:
        """The tensors of these names after each other, [outputs, longest, names·H], zero after a text's end."""
        width, like = self.frame.hidden_size, self.frame.embedding
        states = like.new_zeros((len(outputs), longest, len(names) * width))
        for place, stored in enumerate(outputs):
            for number, kept in enumerate(self._states.read(stored, names)):
                states[place, : len(kept), number * width : (number + 1) * width] = kept.to(like.device)
        return states


def open_stored_target(pair: Pair, options: ReplayOptions, placement: Placement) -> StoredTarget:
    """The recorded states of a pair's target, which ``options`` names, and what heads share with it.

    Raises:
        EngineError: the target's tensors cannot be read.
        OutputsError: the states cannot be read, or are of another target.
    """
    states = open_states(
        Path(str(options.states)), record_command=f"speedbench states {pair.name}/{options.outputs.stem}"
    )
    states.check_target(model_identity(pair).target_sha256)
    frame = load_frame(open_checkpoint(pair.model, download=True), placement)
    return StoredTarget(states, frame, options.tokens_at_a_time(placement.device.type))


def load_frame(checkpoint: Checkpoint, placement: Placement) -> TargetFrame:
    """Read of a target what its heads share with it: the embedding and the projection to the vocabulary.

    Raises:
        EngineError: weights that are not safetensors, or without the two tensors under a name that is known.
    """
    config, dtype = _config(checkpoint, placement)
    names = _tensor_names(checkpoint)
    embedding_name = _only(checkpoint, names, _EMBEDDINGS)
    if embedding_name is None:
        raise EngineError(
            f"The weights of {checkpoint.reference!r} have no tensor that is called {' or '.join(_EMBEDDINGS)}.",
            "Remove the recorded states to judge with the live target.",
        )
    head_name = _only(checkpoint, names, _LM_HEADS)
    if head_name is None and not config.tie_word_embeddings:
        raise EngineError(
            f"The weights of {checkpoint.reference!r} have no tensor that is called {' or '.join(_LM_HEADS)}.",
            "Give a complete checkpoint, or remove the recorded states to judge with the live target.",
        )
    embedding = _tensor(names[embedding_name], embedding_name, placement, dtype)
    return TargetFrame(
        embedding=embedding,
        lm_head=embedding if head_name is None else _tensor(names[head_name], head_name, placement, dtype),
        hidden_size=config.hidden_size,
        layers=config.num_hidden_layers,
    )


def _config(checkpoint: Checkpoint, placement: Placement) -> tuple[Any, torch.dtype | None]:
    """The language model's config, and the dtype to compute in; ``None`` for that of the weights."""
    try:
        whole: Any = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:
        raise EngineError(
            f"The config of {checkpoint.reference!r} cannot be used: {error}", "Restore its config.json."
        ) from error
    config = whole.get_text_config()
    named = config.dtype if placement.dtype == "auto" else getattr(torch, placement.dtype)
    return config, getattr(torch, named) if isinstance(named, str) else named


def _tensor_names(checkpoint: Checkpoint) -> dict[str, Path]:
    """In which file every tensor is; only the files' heads are read."""
    names: dict[str, Path] = {}
    for path in checkpoint.weight_files():
        if path.suffix != ".safetensors":
            raise EngineError(
                f"The weights of {checkpoint.reference!r} are {path.suffix} files, which can only be read whole.",
                "Save them as safetensors, or remove the recorded states to judge with the live target.",
            )
        try:
            with safe_open(path, "pt") as file:
                names.update(dict.fromkeys(file.keys(), path))
        except (SafetensorError, OSError) as error:
            raise EngineError(f"{path} cannot be read: {error}", "Restore the target's weights.") from error
    return names


def _only(checkpoint: Checkpoint, names: dict[str, Path], endings: Sequence[str]) -> str | None:
    """The one tensor with such an ending that is not within a layer; modules that predict further tokens have some."""
    found = [name for name in names if name.endswith(tuple(endings)) and ".layers." not in f".{name}"]
    if len(found) > 1:
        raise EngineError(
            f"The weights of {checkpoint.reference!r} have several tensors that may be wanted: {', '.join(found)}.",
            "Remove the recorded states to judge with the live target.",
        )
    return found[0] if found else None


def _tensor(path: Path, name: str, placement: Placement, dtype: torch.dtype | None) -> Tensor:
    with safe_open(path, "pt") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor.to(placement.device, dtype)
