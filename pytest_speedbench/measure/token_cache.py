"""Token ids on disk, so that a large split is tokenized once for a tokenizer and chat template.

A folder for every key, with ``ids.npy`` and ``index.json``; written under another name and moved, so that two processes
may do so at once. An entry is checked whole before it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.splits.schema import Prompt

_LAYOUT = 2
_LIMIT_BYTES = 8 * 2**30
_STALE_S = 24 * 3600
_HALF_WRITTEN = ".writing-"
_OURS = re.compile(rf"[0-9a-f]{{64}}|{re.escape(_HALF_WRITTEN)}.*")
"""Folders that may be removed; others that somebody keeps here are none of ours."""
_CHUNK_BYTES = 1 << 20
_TOKENIZER_FILES = ("*.json", "*.model", "*.txt", "*.tiktoken", "*.jinja", "additional_chat_templates/*.jinja")
"""Whatever in a model folder may shape the ids; weights do not."""
_PACKAGES = ("transformers", "tokenizers", "jinja2", "fastokens", "pytest-speedbench")


def cache_key(model_folder: Path, prompts: Sequence[Prompt]) -> str:
    """Names the ids of these first turns: a hash (hex) of the tokenizer's files, library versions and texts."""
    digest = hashlib.sha256(msgspec.json.encode([_LAYOUT, _versions()]))
    for path in sorted(path for pattern in _TOKENIZER_FILES for path in model_folder.glob(pattern)):
        _add(digest, f"{path.relative_to(model_folder).as_posix()} {_hash(path)}".encode())
    for prompt in prompts:
        for text in (prompt.question_id, prompt.system, prompt.turns[0]):
            _add(digest, text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class _Index(msgspec.Struct, frozen=True):
    """What ``index.json`` says of ``ids.npy``; ``content_sha256`` is of that file, the offsets and the hashes."""

    offsets: list[int]
    sha256: list[str]
    ids_file_bytes: int
    content_sha256: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What is kept under a key: see :class:`~pytest_speedbench.measure.tokenized.Tokenized`.

    ``let_go`` gives back the memory of what was read so far; reading it again is right and costs little.
    """

    ids: NDArray[np.uint32]
    offsets: tuple[int, ...]
    sha256: tuple[str, ...]
    let_go: Callable[[], None]


class _DamagedError(Exception):
    """An entry that cannot be used."""


class TokenCache:
    """Entries in ``tokens`` below a folder that need not exist, the least recently used removed beyond a limit."""

    def __init__(self, folder: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._folder = folder / "tokens"
        self._limit_bytes = limit_bytes

    def get(self, key: str, prompts: int) -> tuple[Entry | None, tuple[str, ...]]:
        """Look an entry up.

        Args:
            key: from :func:`cache_key`.
            prompts: how many it must have.

        Returns:
            The entry, its ids mapped from disk, or ``None``; and what there is to say, one sentence each.
        """
        place = self._folder / key
        try:
            if not place.is_dir():
                return None, ()
            entry = _read(place, prompts)
        except (_DamagedError, OSError) as error:
            shutil.rmtree(place, ignore_errors=True)
            return None, (f"The cached token ids in {place} cannot be used ({error}), so they are made anew.",)
        with contextlib.suppress(OSError):  # where the folder is read-only nothing is removed either
            os.utime(place)
        return entry, ()

    def put(self, key: str, ids: NDArray[np.uint32], offsets: Sequence[int], sha256: Sequence[str]) -> tuple[str, ...]:
        """Keep an entry; if it cannot be written, that is what is said."""
        written: Path | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            written = Path(tempfile.mkdtemp(prefix=_HALF_WRITTEN, dir=self._folder))
            _write(written, ids, offsets, sha256)
            self._move(written, self._folder / key)
            self._shrink(key)
        except OSError as error:
            if written is not None:
                shutil.rmtree(written, ignore_errors=True)
            reason = error.strerror or type(error).__name__
            return (f"Token ids cannot be kept in {self._folder} ({reason}), so prompts are tokenized every time.",)
        return ()

    @staticmethod
    def _move(written: Path, place: Path) -> None:
        try:
            written.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            shutil.rmtree(written)  # another process was first

    def _shrink(self, kept: str) -> None:
        ages: list[tuple[float, int, Path]] = []
        for place in self._folder.iterdir():
            if not _OURS.fullmatch(place.name):
                continue
            try:
                age_s = time.time() - place.stat().st_mtime
                ages.append((age_s, sum(file.stat().st_size for file in place.iterdir()), place))
            except OSError:
                continue  # removed meanwhile, or no folder
        total = sum(size for _, size, _ in ages)
        for age_s, size, place in sorted(ages, reverse=True):
            half_written = place.name.startswith(_HALF_WRITTEN)
            if half_written and age_s < _STALE_S:
                continue
            if half_written or (total > self._limit_bytes and place.name != kept):
                shutil.rmtree(place, ignore_errors=True)
                total -= size


def _read(place: Path, prompts: int) -> Entry:
    try:
        index = msgspec.json.decode((place / "index.json").read_bytes(), type=_Index)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _DamagedError(f"index.json: {error}") from None
    file = place / "ids.npy"
    if file.stat().st_size != index.ids_file_bytes:
        raise _DamagedError(f"ids.npy has {file.stat().st_size} bytes instead of {index.ids_file_bytes}")
    if _content_sha256(file, index.offsets, index.sha256) != index.content_sha256:
        raise _DamagedError("its content has changed")
    ids, let_go = _mapped(file)
    if (len(index.offsets), len(index.sha256), index.offsets[-1]) != (prompts + 1, prompts, len(ids)):
        raise _DamagedError(f"it has not the ids of {prompts} prompts")
    return Entry(ids, tuple(index.offsets), tuple(index.sha256), let_go)


def _mapped(file: Path) -> tuple[NDArray[np.uint32], Callable[[], None]]:
    """An array file of ours, mapped for reading, and what gives its pages back."""
    with file.open("rb") as handle:
        np.lib.format.read_magic(handle)
        np.lib.format.read_array_header_1_0(handle)
        start = handle.tell()
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)

    def let_go() -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    return np.frombuffer(mapped, dtype=np.uint32, offset=start), let_go


def _write(place: Path, ids: NDArray[np.uint32], offsets: Sequence[int], sha256: Sequence[str]) -> None:
    file = place / "ids.npy"
    np.save(file, np.ascontiguousarray(ids, dtype="<u4"))
    index = _Index(
        list(offsets), list(sha256), file.stat().st_size, _content_sha256(file, offsets, sha256), _versions()
    )
    (place / "index.json").write_bytes(msgspec.json.encode(index))


def _content_sha256(ids_file: Path, offsets: Sequence[int], sha256: Sequence[str]) -> str:
    return hashlib.sha256(msgspec.json.encode([_hash(ids_file), offsets, sha256])).hexdigest()


def _hash(path: Path) -> str:
    """A file's hash, without holding it in memory."""
    content = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            content.update(chunk)
    return content.hexdigest()


def _versions() -> dict[str, str]:
    """Of the packages that make the ids; those that are not installed are left out."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _add(digest: hashlib._Hash, data: bytes) -> None:
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
