"""What a slot of the server holds: the prompt as it was read, from the file into which the server saves a slot."""

from __future__ import annotations

import secrets
import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from pytest_speedbench.engines.http.client import ServerClient
from pytest_speedbench.errors import EngineError

_MAGIC = 0x67677371
_PACKED = 0xFFFFFFFF
"""Where the first token would be: the tokens' own header of three words, the third of them their number."""


class _Saved(msgspec.Struct):
    n_saved: int


async def save_slot(client: ServerClient, slot: int, folder: Path) -> tuple[int, ...]:
    """The token ids in a slot's key-value cache, in the order in which they were read.

    Args:
        client: of a server of ours, which may save slots.
        slot: its number.
        folder: to which the server saves them.

    Raises:
        EngineError: it does not save, or in another format.
    """
    name = f"{secrets.token_hex(8)}.bin"
    answer = await client.post(f"/slots/{slot}?action=save", {"filename": name})
    path = folder / name
    try:
        return read_saved(path, msgspec.json.decode(answer, type=_Saved).n_saved)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise EngineError(
            f"The prompt that llama-server saved cannot be read: {error}.", "Use a llama-server of a supported build."
        ) from error
    finally:
        path.unlink(missing_ok=True)


def read_saved(path: Path, saved_tokens: int) -> tuple[int, ...]:
    """The token ids in a saved slot: little-endian words of four bytes, the magic, the version, how many, the ids.

    Raises:
        ValueError: another format, cut off, or not ``saved_tokens`` ids.
    """
    with path.open("rb") as file:
        magic, _version, count = _words(file, 3)
        if magic != _MAGIC:
            raise ValueError(f"the file begins with {magic:#x}")
        words = _words(file, count)
    ids = words[3 : 3 + words[2]] if words[:1] == (_PACKED,) else words
    if len(ids) != saved_tokens:
        raise ValueError(f"it has {len(ids)} tokens, and {saved_tokens} were saved")
    return ids


def _words(file: BinaryIO, count: int) -> tuple[int, ...]:
    content = file.read(4 * count)
    if len(content) < 4 * count:
        raise ValueError("the file is cut off")
    return struct.unpack(f"<{count}I", content)
