"""Stored outputs of a target: what must be kept of a run so that another drafter can be judged on it.

A file holds a head of settings and hashes and one row per request. Token ids are little-endian integers of two bytes,
or four where the vocabulary needs them; the whole is compressed, and its hash stands before it.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from pytest_speedbench.errors import OutputsError
from pytest_speedbench.places import write_whole
from pytest_speedbench.regular_files import read_regular

_KIND = b"pytest-speedbench outputs "
MAGIC = _KIND + b"2\n"
SUFFIX = ".outputs"
RECORD_COMMAND = "pytest … --speedbench-record-outputs"
"""What the user runs to record them."""
DEFAULT_OVERHANG = 16
"""The longest draft that stored outputs can judge, unless told otherwise."""
_MOST_BYTES = 4 << 30
_UNPACKED_BYTES = 16 << 20
_MOST_COMPRESSED = 32
"""Text compresses to a fifth or so, outputs in a loop to less; what is packed tighter is no text of a target.

So a file of n bytes unpacks to at most 16 MiB + 32 n.
"""
_SHORT_VOCABULARY = 1 << 16

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OutputsHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the outputs are of.

    Attributes:
        pair: the pair that was measured.
        target: its model, as the pair names it.
        split: the split's name.
        engine: the engine's name and version.
        dtype: in which the target computed; ``None`` if the engine does not say.
        vocab_size: of the target.
        context_tokens: the longest sequence of the target on that engine.
        overhang: tokens past the end that were asked for: the longest draft that can be judged.
        date: when they were recorded, in ISO 8601.
        temperature: 0 for greedy outputs.
        top_p: of sampled outputs.
        seed: of the run; that of every request is in its row.
    """

    pair: str
    target: str
    target_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str
    split: str
    split_sha256: str
    max_output_tokens: Count
    ignore_eos: bool
    engine: str
    engine_version: str
    dtype: str | None
    vocab_size: Count
    context_tokens: Count
    eos_token_ids: tuple[Count, ...]
    overhang: Count
    date: str
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    @property
    def greedy(self) -> bool:
        """Whether every token is the target's most likely one."""
        return self.temperature == 0.0


class StoredOutput(msgspec.Struct, frozen=True):
    """One request of the target: its prompt, its output, and how it would have gone on.

    Attributes:
        prompt_ids: the rendered prompt.
        output_ids: what was put out, the end-of-sequence token included.
        overhang_ids: the target's continuation past the end, which engines verify drafts against too; shorter where
            the context ends. After a sampled output it is sampled too.
        stopped: whether an end-of-sequence token ended it.
        margins_nats: how much more probable the target held each output token than the next best one; ``None`` if it
            was not asked.
        seed: of a sampled output; ``None`` for a greedy one.
        log_probabilities_nats: of every token of a sampled output and its continuation, under the distribution that it
            was drawn from: temperature and top_p applied. ``None`` if the engine cannot say, and for greedy outputs.
    """

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    overhang_ids: tuple[int, ...]
    stopped: bool
    margins_nats: tuple[float, ...] | None = None
    seed: int | None = None
    log_probabilities_nats: tuple[float, ...] | None = None

    @property
    def continued(self) -> tuple[int, ...]:
        """The output and what follows it."""
        return self.output_ids + self.overhang_ids


class Outputs(msgspec.Struct, frozen=True):
    """The stored outputs of one run."""

    head: OutputsHead
    rows: tuple[StoredOutput, ...]


class _Row(msgspec.Struct, frozen=True, array_like=True):
    prompt: bytes
    output: bytes
    overhang: bytes
    stopped: bool
    margins: bytes | None
    seed: int | None
    log_probabilities: bytes | None


class _File(msgspec.Struct, frozen=True):
    head: OutputsHead
    rows: list[_Row]


def outputs_bytes(outputs: Outputs) -> bytes:
    """The file's content."""
    code = _code(outputs.head.vocab_size)
    rows = [
        _Row(
            _pack(row.prompt_ids, code),
            _pack(row.output_ids, code),
            _pack(row.overhang_ids, code),
            row.stopped,
            None if row.margins_nats is None else _pack(row.margins_nats, "f"),
            row.seed,
            None if row.log_probabilities_nats is None else _pack(row.log_probabilities_nats, "f"),
        )
        for row in outputs.rows
    ]
    body = zlib.compress(msgspec.msgpack.encode(_File(outputs.head, rows)), 9)
    return MAGIC + hashlib.sha256(body).digest() + body


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Write the file whole or not at all.

    Raises:
        OutputsError: the place cannot be written.
    """
    try:
        write_whole(path, outputs_bytes(outputs))
    except OSError as error:
        raise OutputsError(
            f"The outputs {path} cannot be written ({error.strerror or error}).",
            "Check the folder's permissions and free space, or name another baselines folder.",
        ) from error


def read_outputs(path: Path) -> Outputs:
    """Read and check a file of stored outputs.

    Raises:
        OutputsError: missing, no such file, of another version, truncated or damaged.
    """
    remedy = f"Record it with: {RECORD_COMMAND}"
    try:
        data = read_regular(path, _MOST_BYTES)
    except FileNotFoundError:
        raise OutputsError(f"There are no stored outputs {path}.", remedy) from None
    except OSError as error:
        raise OutputsError(f"The stored outputs {path} cannot be read: {error.strerror}.", remedy) from None
    if not data.startswith(_KIND):
        raise OutputsError(f"{path} is no file of stored outputs.", remedy)
    if not data.startswith(MAGIC):
        raise OutputsError(f"The stored outputs {path} are in the format of another version.", remedy)
    digest, body = data[len(MAGIC) : len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if hashlib.sha256(body).digest() != digest:
        raise OutputsError(f"The stored outputs {path} are truncated or damaged.", remedy)
    try:
        read = msgspec.msgpack.decode(_unpacked(body), type=_File)
        code = _code(read.head.vocab_size)
        rows = tuple(_row(row, code, read.head) for row in read.rows)
    except (zlib.error, msgspec.DecodeError, ValueError) as error:
        raise OutputsError(f"The stored outputs {path} are damaged: {error}.", remedy) from error
    return Outputs(read.head, rows)


def _unpacked(body: bytes) -> bytes:
    most = min(_UNPACKED_BYTES + _MOST_COMPRESSED * len(body), _MOST_BYTES)
    inflater = zlib.decompressobj()
    unpacked = inflater.decompress(body, most)
    if not inflater.eof and inflater.decompress(inflater.unconsumed_tail, 1):
        raise ValueError(f"they unpack to more than {most:,} bytes, which no target's text does")
    return unpacked


def _row(row: _Row, code: str, head: OutputsHead) -> StoredOutput:
    prompt, output, overhang = (_unpack(ids, code) for ids in (row.prompt, row.output, row.overhang))
    if not prompt or not output or max(max(ids, default=0) for ids in (prompt, output, overhang)) >= head.vocab_size:
        raise ValueError("a request is empty or has ids outside the vocabulary")
    if len(prompt) + len(output) > head.context_tokens:
        raise ValueError(f"a request has more than the context's {head.context_tokens} tokens")
    stored = StoredOutput(
        tuple(prompt),
        tuple(output),
        tuple(overhang),
        row.stopped,
        None if row.margins is None else tuple(_unpack(row.margins, "f")),
        row.seed,
        None if row.log_probabilities is None else tuple(_unpack(row.log_probabilities, "f")),
    )
    if stored.margins_nats is not None and len(stored.margins_nats) != len(stored.output_ids):
        raise ValueError("a request has margins for another number of tokens")
    likely = stored.log_probabilities_nats
    if likely is not None and len(likely) != len(stored.continued):
        raise ValueError("a request has log-probabilities for another number of tokens")
    if likely is not None and not all(value <= 0 for value in likely):
        raise ValueError("a request has a log-probability that is none")
    return stored


def _code(vocab_size: int) -> str:
    return "H" if vocab_size <= _SHORT_VOCABULARY else "I"


def _pack(values: Sequence[float], code: str) -> bytes:
    packed = array(code, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(data: bytes, code: str) -> array[int]:
    values = array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
