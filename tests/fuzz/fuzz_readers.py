"""Coverage-guided fuzzing of the readers of files, with atheris.

    python -m tests.fuzz.fuzz_readers jsonl FOLDER_FOR_FINDS tests/fuzz/corpus/jsonl -max_total_time=300

The first argument is the ending of the files to read; the others are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pytest_speedbench.splits"]):
    from tests.fuzz.readable import read_any


def main() -> None:
    """Fuzz one format until libFuzzer's limits are reached or a bug is found."""
    suffix = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"any.{suffix}"
        atheris.Setup(sys.argv, lambda data: read_any(data, file) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
