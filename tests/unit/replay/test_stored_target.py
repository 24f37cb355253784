"""A target's recorded states, given as the live target gives them; and what is read of its checkpoint beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.states_recording import Wanted, read_by, record_states
from pytest_speedbench.engines.replay.stored_target import StoredTarget, load_frame
from pytest_speedbench.engines.replay.targets import LiveTarget, ReadBatch
from pytest_speedbench.engines.transformers.loading import Placement, TargetFrame, load_language_model
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.states import open_states
from tests.unit.engines.tiny_models import write_llama

OPTIONS = ReplayOptions.parse({"outputs": "x", "dtype": "float32", "device": "cpu", "batch_tokens": 24})
ROWS = [
    StoredOutput(tuple(range(1, 1 + prompt)), tuple(range(7, 7 + output)), (), stopped=False)
    for prompt, output in ((3, 5), (9, 2), (1, 1), (14, 20), (4, 4))
]
ROWS.append(StoredOutput((*ROWS[0].prompt_ids, *ROWS[0].output_ids, 2), (5, 4), (), stopped=False))  # a second turn


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(str(write_llama(tmp_path_factory.mktemp("target"))), download=True)


def record(folder: Path, target: Checkpoint, wanted: Wanted) -> None:
    seen: list[int] = []
    record_states(folder, ROWS, target, "1", OPTIONS, lambda _layers: wanted, "float32", seen.append)
    assert seen[-1] == 6


def texts(batches: Iterator[ReadBatch]) -> Iterator[tuple[int, tuple[Sequence[int], Tensor, Tensor]]]:
    for batch in batches:
        assert batch.auxiliary is not None
        assert batch.final is not None
        assert batch.ids.numel() <= 24 or len(batch.ids) == 1
        for place, row in zip(batch.rows, batch.places, strict=True):
            tokens = len(ROWS[row].prompt_ids) + len(ROWS[row].output_ids)
            ids = batch.ids[place, :tokens].tolist()
            yield row, (ids, batch.auxiliary[place, :tokens], batch.final[place, :tokens])


def test_it_gives_what_the_live_target_gives(tmp_path: Path, target: Checkpoint) -> None:
    record(tmp_path / "x.states", target, Wanted((0, 1, 3), final=True))
    placement = Placement.choose(OPTIONS.models)
    live = LiveTarget(load_language_model(target, placement), 24)
    stored = StoredTarget(open_states(tmp_path / "x.states", record_command=""), load_frame(target, placement), 24)
    with torch.inference_mode():
        theirs = dict(texts(live.read(ROWS, (0, 3), final=True)))
    ours = dict(texts(stored.read(ROWS, (0, 3), final=True)))
    assert sorted(ours) == sorted(theirs) == [0, 1, 2, 3, 4, 5]
    for row, (ids, auxiliary, final) in ours.items():
        assert ids == [*ROWS[row].prompt_ids, *ROWS[row].output_ids] == theirs[row][0]
        assert torch.equal(auxiliary, theirs[row][1])
        assert torch.equal(final, theirs[row][2])
    only = list(stored.read(ROWS[2:3], (), final=True))
    assert only[0].auxiliary is None
    with pytest.raises(OutputsError, match="lack the stream after layer 2"):
        next(stored.read(ROWS, (2,), final=False))


def test_layers_that_the_target_has_not_are_refused_before_anything_is_written(
    tmp_path: Path, target: Checkpoint
) -> None:
    with pytest.raises(OutputsError, match="has 4 layers, and states after layer 5, 9 are asked"):
        record(tmp_path / "x.states", target, Wanted((0, 5, 9), final=True))
    assert not list(tmp_path.iterdir())


def test_no_room_is_said_before_anything_is_written(
    tmp_path: Path, target: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=0))
    with pytest.raises(OutputsError, match=r"The states need 0\.0 GB"):
        record(tmp_path / "x.states", target, Wanted((1,), final=False))
    assert not list(tmp_path.iterdir())


def test_states_of_another_width_are_refused(tmp_path: Path, target: Checkpoint) -> None:
    record(tmp_path / "x.states", target, Wanted((1,), final=False))
    frame = replace(load_frame(target, Placement.choose(OPTIONS.models)), hidden_size=64)
    with pytest.raises(OutputsError, match="are 32 wide, and the target 64"):
        StoredTarget(open_states(tmp_path / "x.states", record_command=""), frame, 24)


def test_a_drafter_that_reads_nothing_gets_the_default_layers() -> None:
    assert read_by(None, 32) == Wanted((2, 16, 29), final=False)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
def test_the_frame_is_the_loaded_targets(tmp_path: Path, tied: bool, dtype: str) -> None:
    folder = write_llama(tmp_path / "target", tie_word_embeddings=tied, dtype="float16")
    checkpoint = open_checkpoint(str(folder), download=True)
    placement = Placement(torch.device("cpu"), dtype, None)
    whole, frame = TargetFrame.of(load_language_model(checkpoint, placement).model), load_frame(checkpoint, placement)
    assert torch.equal(frame.embedding, whole.embedding)
    assert torch.equal(frame.lm_head, whole.lm_head)
    assert frame.embedding.dtype == whole.embedding.dtype
    assert (frame.hidden_size, frame.layers) == (whole.hidden_size, whole.layers)
    assert torch.equal(frame.embedding, frame.lm_head) == tied


def test_the_frame_of_a_sharded_checkpoint(target: Checkpoint, tmp_path: Path) -> None:
    shutil.copytree(target.folder, tmp_path / "target")
    tensors = load_file(tmp_path / "target" / "model.safetensors")
    # Modules that predict further tokens repeat the embedding.
    tensors["model.layers.4.embed_tokens.weight"] = torch.zeros(3, 3)
    (tmp_path / "target" / "model.safetensors").unlink()
    for number, name in enumerate(tensors):
        save_file({name: tensors[name]}, tmp_path / "target" / f"model-{number:05d}.safetensors")
    placement = Placement.choose(OPTIONS.models)
    sharded = load_frame(open_checkpoint(str(tmp_path / "target"), download=True), placement)
    assert torch.equal(sharded.embedding, load_frame(target, placement).embedding)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ({"model.embed_tokens.weight": "model.words.weight"}, "no tensor that is called embed_tokens.weight or"),
        ({"model.norm.weight": "other.embed_tokens.weight"}, "several tensors that may be wanted"),
    ],
)
def test_names_that_are_not_known_are_refused(
    target: Checkpoint, tmp_path: Path, names: dict[str, str], match: str
) -> None:
    tensors = load_file(target.folder / "model.safetensors")
    shutil.copy(target.folder / "config.json", tmp_path)
    save_file({names.get(name, name): tensor for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    with pytest.raises(EngineError, match=match):
        load_frame(open_checkpoint(str(tmp_path), download=True), Placement.choose(OPTIONS.models))


def test_a_projection_that_is_neither_there_nor_tied_is_refused(target: Checkpoint, tmp_path: Path) -> None:
    shutil.copytree(target.folder, tmp_path / "target")
    config = json.loads((target.folder / "config.json").read_bytes())
    (tmp_path / "target" / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(EngineError, match=r"no tensor that is called lm_head\.weight"):
        load_frame(open_checkpoint(str(tmp_path / "target"), download=True), Placement.choose(OPTIONS.models))


def test_weights_that_are_not_safetensors_are_refused(target: Checkpoint, tmp_path: Path) -> None:
    shutil.copy(target.folder / "config.json", tmp_path)
    torch.save({"model.embed_tokens.weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EngineError, match=r"are \.bin files, which can only be read whole"):
        load_frame(open_checkpoint(str(tmp_path), download=True), Placement.choose(OPTIONS.models))
