"""Has a target read stored outputs once, and keeps what heads read of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.targets import LiveTarget
from pytest_speedbench.engines.replay.texts import shared_texts
from pytest_speedbench.engines.transformers.eagle3_loading import eagle3_layer_ids
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.states import FINAL, StatesDtype, StatesHead, StatesWriter, layer_name, tokens_of

OnText = Callable[[int], None]
"""Told how many outputs are recorded."""
_FINAL_READERS = (DrafterMethod.MEDUSA, DrafterMethod.EAGLE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is kept of a target: the residual streams after some layers, and the states after the final norm."""

    layer_ids: tuple[int, ...]
    final: bool


def read_by(drafter: Drafter | None, layers: int) -> Wanted:
    """What a drafter reads of a target of so many layers; of one that reads nothing, what EAGLE-3 heads read if they
    do not say otherwise.

    Raises:
        EngineError: the drafter cannot be read, or there are no such layers.
    """
    if drafter is not None and drafter.method in _FINAL_READERS:
        return Wanted((), final=True)
    if drafter is not None and drafter.method is DrafterMethod.EAGLE3:
        return Wanted(eagle3_layer_ids(open_checkpoint(str(drafter.model), download=True), layers), final=False)
    return Wanted(tuple(sorted({2, layers // 2, layers - 3})), final=False)


def record_states(
    folder: Path,
    rows: Sequence[StoredOutput],
    target: Checkpoint,
    target_sha256: str,
    options: ReplayOptions,
    wanted: Callable[[int], Wanted],
    dtype: StatesDtype,
    on_text: OnText,
) -> StatesHead:
    """Load the target, have it read the outputs, and write the folder.

    Args:
        folder: where the states are to be.
        rows: the stored outputs.
        target: whose states are recorded.
        target_sha256: its hash.
        options: where and in which arithmetic it reads, and how many tokens at a time.
        wanted: what is kept of a target of so many layers.
        dtype: in which it is kept.
        on_text: told after every text how many outputs are done.

    Raises:
        EngineError: the target does not load.
        OutputsError: it has no such layers, or there is no room for their states.
    """
    placement = Placement.choose(options.models)
    live = LiveTarget(load_language_model(target, placement), options.tokens_at_a_time(placement.device.type))
    kept = wanted(live.frame.layers)
    outside = [str(layer_id) for layer_id in kept.layer_ids if not 0 <= layer_id <= live.frame.layers]
    if outside:
        raise OutputsError(
            f"The target {target.reference!r} has {live.frame.layers} layers, and states after layer "
            f"{', '.join(outside)} are asked.",
            f"Give layers from 0, the embeddings, to {live.frame.layers}.",
        )
    head = StatesHead(
        target=target.reference,
        target_sha256=target_sha256,
        layer_ids=kept.layer_ids,
        final=kept.final,
        dtype=dtype,
        computed_dtype=str(live.frame.embedding.dtype).removeprefix("torch."),
        hidden_size=live.frame.hidden_size,
    )
    texts = shared_texts([row.prompt_ids + row.output_ids for row in rows])
    _check_room(folder, head.token_bytes * sum(len(text.ids) for text in texts))
    with StatesWriter(folder, head) as writer, torch.inference_mode():
        done = 0
        for outputs, states in _read(live, rows, kept):
            writer.add(outputs, states)
            done += len(outputs)
            on_text(done)
    return head


def _read(
    live: LiveTarget, rows: Sequence[StoredOutput], kept: Wanted
) -> Iterator[tuple[list[StoredOutput], dict[str, torch.Tensor]]]:
    """The kept states of every text, [tokens, H] by name, without the padding, and the outputs that it contains."""
    for batch in live.read(rows, kept.layer_ids, final=kept.final):
        for row in sorted(set(batch.rows)):
            held = zip(batch.places, batch.rows, strict=True)
            outputs = [rows[place] for place, held_in in held if held_in == row]
            tokens, states = max(map(tokens_of, outputs)), {}
            if batch.auxiliary is not None:
                streams = batch.auxiliary[row, :tokens].chunk(len(kept.layer_ids), dim=-1)
                states = {layer_name(layer_id): streams[number] for number, layer_id in enumerate(kept.layer_ids)}
            if batch.final is not None:
                states[FINAL] = batch.final[row, :tokens]
            yield outputs, states


def _check_room(folder: Path, needed_bytes: int) -> None:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free_bytes = shutil.disk_usage(there).free
    if needed_bytes > free_bytes:
        raise OutputsError(
            f"The states need {needed_bytes / 1e9:.1f} GB, and {there} has {free_bytes / 1e9:.1f} GB free.",
            "Free space, ask for fewer layers, or record outputs of fewer prompts.",
        )
