"""Recorded hidden states of a target on stored outputs, from which heads are judged without the target.

A folder holds an index and shards, safetensors files with a tensor [tokens, H] per layer that was kept (``layer.K``:
the residual stream after layer K, 0 being the embeddings) and one of the states after the final norm (``final``).
Shards are mapped into memory, a few at a time. Imports no torch by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec

from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.places import beside, remove, remove_leftovers
from pytest_speedbench.regular_files import read_regular

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".states"
INDEX = "states.json"
FORMAT = "pytest-speedbench states"
VERSION = 1
FINAL = "final"
DEFAULT_SHARD_BYTES = 512 << 20
_MOST_OPEN_SHARDS = 2
"""Texts are read in about the order in which they were recorded, so others are not asked for again."""

StatesDtype = Literal["bfloat16", "float32"]
STATES_DTYPES: tuple[StatesDtype, ...] = get_args(StatesDtype)
DEFAULT_DTYPE: StatesDtype = "bfloat16"
_ITEM_BYTES: Mapping[str, int] = {"bfloat16": 2, "float32": 4}

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class StatesHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the states are of.

    Attributes:
        target: the model, as the pair names it.
        target_sha256: of its weights and config.
        layer_ids: after which layers the residual streams were kept, ascending; 0 are the embeddings.
        final: whether the states after the final norm were kept.
        dtype: in which they are kept.
        computed_dtype: in which the target computed them.
        hidden_size: H.
    """

    target: str
    target_sha256: str
    layer_ids: tuple[Count, ...]
    final: bool
    dtype: StatesDtype
    computed_dtype: str
    hidden_size: Annotated[int, msgspec.Meta(ge=1, le=2**32)]

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors of every shard."""
        return (*(layer_name(layer_id) for layer_id in self.layer_ids), *((FINAL,) if self.final else ()))

    @property
    def token_bytes(self) -> int:
        """Bytes a token."""
        return len(self.names) * self.hidden_size * _ITEM_BYTES[self.dtype]


class _Place(msgspec.Struct, frozen=True, array_like=True):
    text_sha256: str
    shard: Count
    offset: Count
    tokens: Count


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: int
    head: StatesHead
    shard_bytes: tuple[Count, ...]
    texts: tuple[_Place, ...]


def states_beside(outputs: Path) -> Path:
    """The folder of the states on stored outputs."""
    return outputs.with_suffix(SUFFIX)


def layer_name(layer_id: int) -> str:
    """What the stream after a layer is called in a shard."""
    return f"layer.{layer_id}"


def tokens_of(stored: StoredOutput) -> int:
    """How many tokens a target reads of a stored output."""
    return len(stored.prompt_ids) + len(stored.output_ids)


def text_sha256(stored: StoredOutput) -> str:
    """Hash of the token ids that a target reads of a stored output: its prompt and its output.

    What else is stored of it may be recorded anew, and the states stay valid.
    """
    import numpy as np

    return hashlib.sha256(np.array(stored.prompt_ids + stored.output_ids, "<u4").tobytes()).hexdigest()


class StatesWriter:
    """Writes a folder of states, whole or not at all. A context manager; leaving it by an error leaves nothing.

    Args:
        folder: where the states are to be; an older recording there is replaced once the new one is whole.
        head: what is recorded.
        shard_bytes: the size above which a shard is closed. As much is held in memory.
    """

    def __init__(self, folder: Path, head: StatesHead, shard_bytes: int = DEFAULT_SHARD_BYTES) -> None:
        self.folder, self._head = folder, head
        self._shard_bytes = shard_bytes
        self._places: list[_Place] = []
        self._sizes: list[int] = []
        self._pieces: dict[str, list[Tensor]] = {name: [] for name in head.names}
        self._held_tokens = 0

    def __enter__(self) -> StatesWriter:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder.parent)
        self._draft = beside(self.folder)
        self._draft.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            remove(self._draft)

    def add(self, outputs: Sequence[StoredOutput], states: Mapping[str, Tensor]) -> None:
        """Keep the states of a text.

        Args:
            outputs: whose prompts and outputs it begins with, itself among them: turns of a conversation.
            states: [tokens, H] by name; every name of the head.
        """
        shard, offset = len(self._sizes), self._held_tokens
        self._places += [_Place(text_sha256(stored), shard, offset, tokens_of(stored)) for stored in outputs]
        for name, pieces in self._pieces.items():
            pieces.append(states[name].detach().to("cpu", _torch_dtype(self._head.dtype), copy=True))
        self._held_tokens += max(map(tokens_of, outputs))
        if self._held_tokens * self._head.token_bytes >= self._shard_bytes:
            self._flush()

    def _flush(self) -> None:
        import torch
        from safetensors.torch import save_file

        tensors = {}
        for name, pieces in self._pieces.items():
            tensors[name] = torch.cat(pieces)
            pieces.clear()  # not held twice
        path = self._draft / _shard_name(len(self._sizes))
        save_file(tensors, path, _mark(self._head, len(self._sizes)))
        self._sizes.append(path.stat().st_size)
        self._held_tokens = 0

    def _finish(self) -> None:
        if self._held_tokens:
            self._flush()
        index = _Index(FORMAT, VERSION, self._head, tuple(self._sizes), tuple(self._places))
        (self._draft / INDEX).write_bytes(msgspec.json.encode(index) + b"\n")
        old = beside(self.folder)
        if self.folder.exists():  # a folder cannot be renamed onto one that is not empty
            self.folder.replace(old)
        self._draft.replace(self.folder)
        remove(old)


class RecordedStates:
    """A folder of states that was opened.

    Attributes:
        folder: where it is.
        head: what the states are of.
        tokens: whose states there are; turns of a conversation share theirs.
        total_bytes: size of its shards.
    """

    def __init__(self, folder: Path, index: _Index, remedy: str) -> None:
        self.folder, self.head = folder, index.head
        ends = {(place.shard, place.offset): 0 for place in index.texts}
        for place in index.texts:
            ends[place.shard, place.offset] = max(ends[place.shard, place.offset], place.tokens)
        self.tokens = sum(ends.values())
        self.total_bytes = sum(index.shard_bytes)
        self._places = {place.text_sha256: place for place in index.texts}
        self._remedy = remedy
        self._open: dict[int, Mapping[str, Tensor]] = {}

    def check_target(self, target_sha256: str) -> None:
        """Make sure that they are of this target.

        Raises:
            OutputsError: they are of another one.
        """
        if self.head.target_sha256 != target_sha256:
            raise OutputsError(
                f"The recorded states {self.folder} are of another target than the pair's.", self._remedy
            )

    def check_holds(self, layer_ids: Sequence[int], *, final: bool) -> None:
        """Make sure that all was kept that a head reads.

        Raises:
            OutputsError: a layer or the final states were not.
        """
        missing = [str(layer_id) for layer_id in layer_ids if layer_id not in self.head.layer_ids]
        if not missing and (self.head.final or not final):
            return
        lacking = [f"the stream after layer {', '.join(missing)}"] if missing else []
        lacking += ["the states after the final norm"] if final and not self.head.final else []
        layers = sorted({*layer_ids, *self.head.layer_ids})
        options = f" --layers {','.join(map(str, layers))}" if layers else ""
        options += " --final" if final or self.head.final else ""
        options += "" if self.head.dtype == DEFAULT_DTYPE else f" --dtype {self.head.dtype}"
        raise OutputsError(
            f"The recorded states {self.folder} lack {' and '.join(lacking)}, which the drafter reads.",
            f"{self._remedy}{options}",
        )

    def holds(self, stored: StoredOutput) -> bool:
        """Whether the states of a stored output are among them."""
        return text_sha256(stored) in self._places

    def read(self, stored: StoredOutput, names: Sequence[str]) -> Sequence[Tensor]:
        """The states of a prompt and its output, [tokens, H] for every name, as they were kept: views of mapped files.

        Raises:
            OutputsError: they were not recorded, or the shard is missing or damaged.
        """
        place = self._places.get(text_sha256(stored))
        if place is None:
            raise OutputsError(
                f"The recorded states {self.folder} are of other outputs than those stored now.", self._remedy
            )
        tensors = self._shard(place.shard)
        return [tensors[name][place.offset : place.offset + place.tokens] for name in names]

    def _shard(self, number: int) -> Mapping[str, Tensor]:
        if number not in self._open:
            while len(self._open) >= _MOST_OPEN_SHARDS:
                del self._open[next(iter(self._open))]
            self._open[number] = self._opened(number)
        return self._open[number]

    def _opened(self, number: int) -> Mapping[str, Tensor]:
        from safetensors import SafetensorError, safe_open

        path = self.folder / _shard_name(number)
        least = max(place.offset + place.tokens for place in self._places.values() if place.shard == number)
        try:
            with safe_open(path, "pt") as file:
                mark, tensors = file.metadata(), {name: file.get_tensor(name) for name in self.head.names}
        except (SafetensorError, OSError) as error:
            raise OutputsError(f"{path} is damaged: {error}.", self._remedy) from error
        wanted, width = _torch_dtype(self.head.dtype), self.head.hidden_size
        shapes = {(tensor.dtype, tensor.shape[1:], len(tensor) >= least) for tensor in tensors.values()}
        if mark != _mark(self.head, number) or shapes != {(wanted, (width,), True)}:
            raise OutputsError(f"{path} belongs to another recording than the index beside it.", self._remedy)
        return tensors


def open_states(folder: Path, *, record_command: str) -> RecordedStates:
    """Read the index of a folder of states, and check that all shards are there in full size.

    Their content is not hashed: that would take as long as reading all of it.

    Args:
        folder: of the states.
        record_command: what the user runs to record them.

    Raises:
        OutputsError: missing, no such folder, or incomplete.
    """
    remedy = f"Record them with: {record_command}"
    path = folder / INDEX
    try:
        index = msgspec.json.decode(read_regular(path), type=_Index)
    except FileNotFoundError:
        raise OutputsError(f"There are no recorded states {folder}.", remedy) from None
    except OSError as error:
        raise OutputsError(f"{path} cannot be read: {error.strerror}.", remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutputsError(f"{path} is no index of recorded states of this version: {error}.", remedy) from error
    if (index.format, index.version) != (FORMAT, VERSION):
        raise OutputsError(f"{path} is no index of recorded states of this version.", remedy)
    if not index.head.names or any(place.shard >= len(index.shard_bytes) for place in index.texts):
        raise OutputsError(f"{path} is damaged: it points at states that are not there.", remedy)
    for number, size in enumerate(index.shard_bytes):
        shard = folder / _shard_name(number)
        if not shard.is_file():
            raise OutputsError(f"The recorded states lack the shard {shard}.", remedy)
        if shard.stat().st_size != size:
            raise OutputsError(f"{shard} is truncated or damaged.", remedy)
    return RecordedStates(folder, index, remedy)


def _shard_name(number: int) -> str:
    return f"states-{number + 1:05d}.safetensors"


def _mark(head: StatesHead, number: int) -> dict[str, str]:
    """Says of a shard which one of which recording it is."""
    return {"head": json.dumps(msgspec.to_builtins(head), sort_keys=True), "shard": str(number)}


def _torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, name)
