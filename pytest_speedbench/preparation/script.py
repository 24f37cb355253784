"""The authors' preparation script: which files it is, at which revision, and that they are the ones that were read."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_speedbench.errors import SplitError

REPOSITORY = "NVIDIA/Model-Optimizer"
PINNED_REVISION = "a2fbac7bad8ab446d3f8783dadb0c3366eb0ad73"
ENTRY = "prepare_data.py"
"""The file that is run."""
MODULE = "specdec_bench.datasets.speed"
"""The module that loads and fills the rows."""

_PINNED: Mapping[str, str] = {
    "prepare_data.py": "ee3d52187ab95b37682d8aa45d6322bf86a75c83720eeab00ea26dc445e998fe",
    "specdec_bench/__init__.py": "530fe5e21b282b221ce606ca5ee95f85ee236d4dbec192ce7500fdb298837f2c",
    "specdec_bench/datasets/__init__.py": "62cc392d7e438d461b5d60e276b2cd620ca1cb4acead770d3dbf33a58ab55392",
    "specdec_bench/datasets/base.py": "316f88cd093ce9f02f1fa82a30cb25b73ed9186484f01c6fd99dd65ac0fe9d3c",
    "specdec_bench/datasets/mtbench.py": "51f7e4cbb8cdf64b3a7121e522ea3f6b26de97fab180178accbe3df329813898",
    "specdec_bench/datasets/random_token.py": "a6504555670bd995a3e12230318ae660238df025136593f803168fefaf8c3ca1",
    "specdec_bench/datasets/specbench.py": "043dacfa2953daa9f3b7f7261b2dd9e48576faaf4f897b4d49c151daa61efc13",
    "specdec_bench/datasets/speed.py": "c0b24776b7ceb7f5eba74b945a132c2a2c860121d08599ac791d0715b513602a",
}
FILES = tuple(_PINNED)
"""The script and what it imports of its own package, relative to its folder."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIMIT_BYTES = 1 << 20
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Script:
    """Which script.

    Attributes:
        revision: of the authors' repository.
        sha256: of the bundle (see :func:`bundle_hash`), for a revision other than the pinned one.
        source: a URL or folder that holds the files; ``None`` for the authors' repository.
    """

    revision: str = PINNED_REVISION
    sha256: str | None = None
    source: str | None = None

    def open(self, cache: Path) -> tuple[Path, str]:
        """The folder with the files, read from the source or the cache and checked.

        Args:
            cache: where files that were checked are kept.

        Returns:
            The folder, and the bundle's hash.

        Raises:
            SplitError: a file cannot be had, or is not the one that was expected.
        """
        expected = bundle_hash(_PINNED) if self.revision == PINNED_REVISION else self.sha256
        if self.sha256 is not None and (not _SHA256.fullmatch(self.sha256) or self.sha256 != expected):
            raise SplitError(
                f"{self.sha256!r} is not the sha256 of the script at revision {self.revision}.",
                f"It is {expected}." if _SHA256.fullmatch(self.sha256) else "Give 64 hexadecimal digits.",
            )
        if expected is not None and _cached(cache / expected, expected):
            return cache / expected, expected
        contents = {name: _read(self._base, name) for name in FILES}
        found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        self._check(found, expected)
        return _keep(contents, cache, bundle_hash(found)), bundle_hash(found)

    @property
    def _base(self) -> str:
        return self.source or f"https://raw.githubusercontent.com/{REPOSITORY}/{self.revision}/examples/specdec_bench"

    def _check(self, found: Mapping[str, str], expected: str | None) -> None:
        if self.revision == PINNED_REVISION:
            for name, sha256 in _PINNED.items():
                if found[name] != sha256:
                    raise SplitError(
                        f"{self._base}/{name} is not the file that was reviewed: its sha256 is {found[name]}, "
                        f"expected {sha256}. It was not run.",
                        "Get it from the authors' repository at the pinned revision, or, if the change is meant, name "
                        "its revision and hash with --script-revision and --script-sha256.",
                    )
            return
        if expected is None:
            raise SplitError(
                f"The script at revision {self.revision} has never been reviewed here, and no hash of it was given. "
                "It was not run.",
                f"Read {len(FILES)} files at {self._base}, then give the hash of what was read: "
                f"--script-sha256={bundle_hash(found)}.",
            )
        if bundle_hash(found) != expected:
            raise SplitError(
                f"The script at {self._base} is not the one expected: its sha256 is {bundle_hash(found)}, "
                f"expected {expected}. It was not run.",
                "Check the revision and the hash.",
            )


def bundle_hash(hashes: Mapping[str, str]) -> str:
    """One hash of all files: of what ``sha256sum`` prints for them in the order of their names."""
    return hashlib.sha256("".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()).hexdigest()


def _cached(folder: Path, expected: str) -> bool:
    try:
        found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    except OSError:
        return False
    return bundle_hash(found) == expected


def _keep(contents: Mapping[str, bytes], cache: Path, sha256: str) -> Path:
    """Write the files into the cache at once, so that two commands at a time do not meet half of them."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / sha256
    draft = Path(tempfile.mkdtemp(prefix="script-", dir=cache))
    for name, content in contents.items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.rename(draft, folder)  # noqa: PTH104 - of folders
    except OSError:
        shutil.rmtree(draft)
        if not _cached(folder, sha256):
            raise SplitError(f"The script cannot be kept in {folder}.", "Remove that folder and try again.") from None
    return folder


def _read(base: str, name: str) -> bytes:
    """One file of a URL or folder, of at most 1 MiB."""
    where = f"{base.rstrip('/')}/{name}"
    try:
        if base.startswith(("https://", "http://")):
            with urllib.request.urlopen(where, timeout=_TIMEOUT_S) as response:  # noqa: S310 - checked just above
                content: bytes = response.read(_LIMIT_BYTES + 1)
        else:
            with Path(where).open("rb") as file:
                content = file.read(_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        status = f"HTTP status {error.code}" if isinstance(error, urllib.error.HTTPError) else reason
        raise SplitError(
            f"{where}, a file of the authors' script, cannot be had: {status}.",
            "Check the network, or name a folder with its files: --source=FOLDER (examples/specdec_bench of "
            f"github.com/{REPOSITORY} at that revision).",
        ) from None
    if len(content) > _LIMIT_BYTES:
        raise SplitError(f"{where} is larger than any file of the authors' script.", "Check --source.")
    return content
