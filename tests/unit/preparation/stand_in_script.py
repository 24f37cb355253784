"""A script in the place of the authors': the same files, command line and layout, and it really writes parquet."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pytest_speedbench.preparation.script import FILES, Script, bundle_hash

REVISION = "0123456789abcdef0123456789abcdef01234567"

_ENTRY = """
import argparse
from pathlib import Path

from specdec_bench.datasets import speed

parser = argparse.ArgumentParser()
parser.add_argument("--dataset", choices=["speed"])
parser.add_argument("--config")
parser.add_argument("--output_dir", type=Path)
arguments = parser.parse_args()
print("Preparing", arguments.config)
speed.prepare(arguments.output_dir / arguments.dataset / arguments.config, arguments.config)
"""

_SPEED = """
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import hf_hub_download

MARK = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE USING SPECDEC_BENCH"


def load_dataset(path, name=None, *, split, revision=None):
    file = f"{name}/test-00000-of-00001.parquet"
    return pq.read_table(hf_hub_download(path, file, repo_type="dataset", revision=revision))


def prepare(folder, config):
    rows = load_dataset("nvidia/SPEED-Bench", config, split="test").to_pylist()
    for row in rows:
        row["turns"] = [turn.replace(MARK, "Filled in.") for turn in row["turns"]]
    # HERE
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
"""


def files(here: str = "pass") -> dict[str, bytes]:
    """The bundle; its second part does ``here`` before it writes."""
    contents = dict.fromkeys(FILES, b"")
    contents["prepare_data.py"] = _ENTRY.encode()
    contents["specdec_bench/datasets/speed.py"] = _SPEED.replace("# HERE", here).encode()
    return contents


def script(folder: Path, here: str = "pass", source: str | None = None) -> Script:
    """Write the bundle into a folder and name it with its right hash."""
    contents = files(here)
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Script(REVISION, hash_of(contents), source or str(folder))


def hash_of(contents: dict[str, bytes]) -> str:
    return bundle_hash({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})
