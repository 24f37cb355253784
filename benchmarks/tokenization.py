"""Prompts of a large split to token ids: ours, ours from the cache, and one ``encode`` a request in the event loop.

    python benchmarks/real_size_tokenizer.py ranks/o200k_base.js tokenizer
    python benchmarks/tokenization.py tokenizer --out benchmarks/results/tokenization.json

Real text (Python sources and documents under --text, whole files in an order drawn with --seed) is cut into prompts of
about --tokens tokens and written as a parquet file with SPEED-Bench's columns. Every part then runs in a process of its
own: it reads the file, loads the tokenizer and makes ids; the ids of all parts must be equal. ``requests`` is how
specdec_bench does it: the file through datasets, then each request's chat template and ``encode`` where it is asked,
inside the event loop. ``seconds`` and ``cpu_s`` begin after the imports, ``process_s`` with the process; memory is the
peak (VmHWM) less that of a process that only imports the same packages.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SUFFIXES = (".py", ".md", ".rst", ".txt")
MAX_FILE_BYTES = 2**21
CONCURRENCY = 32
PACKAGES = ("pytest-speedbench", "fastokens", "tokenizers", "transformers", "datasets", "pyarrow", "numpy")


def main() -> None:
    """Make the prompts, run every part and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path, help="folder with tokenizer.json and a chat template")
    parser.add_argument("--prompts", type=int, default=1536)
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument(
        "--text", type=Path, default=Path(os.__file__).parent if sys.prefix == sys.base_prefix else Path(sys.prefix)
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ascii", action="store_true", help="leave out every character beyond ASCII")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        _measure_part(options.part, options.tokenizer, options.work)
        return
    with TemporaryDirectory() as work:
        text_bytes = _write_split(Path(work), options)
        rows = {part: _in_a_process(part, options.tokenizer, Path(work)) for part in PARTS}
    result = {
        "command": " ".join(["python", "benchmarks/tokenization.py", *sys.argv[1:]]),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "seed": options.seed,
        "prompts": options.prompts,
        "text_bytes": text_bytes,
        **_summary(rows),
    }
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def _write_split(work: Path, options: argparse.Namespace) -> int:
    """Write the parquet file; returns the bytes of text in it (UTF-8)."""
    import pyarrow as arrow
    from pyarrow import parquet
    from transformers import AutoTokenizer

    texts = _texts(options.text, options.seed)
    if options.ascii:
        texts = (text.encode("ascii", "ignore").decode() for text in texts)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.tokenizer)
    taste = "".join(next(texts) for _ in range(200))
    chars = round(options.tokens * len(taste) / len(tokenizer.encode(taste, add_special_tokens=False)))
    turns: list[str] = []
    rest: list[str] = []
    length = 0
    while len(turns) < options.prompts:
        while length < chars:
            rest.append(next(texts))
            length += len(rest[-1])
        joined = "".join(rest)
        turns.append(joined[:chars])
        rest, length = [joined[chars:]], len(joined) - chars
    columns = {
        "question_id": [f"bench-{number}" for number in range(options.prompts)],
        "category": ["mixed"] * options.prompts,
        "sub_category": [""] * options.prompts,
        "turns": [[turn] for turn in turns],
        "source": [""] * options.prompts,
        "src_id": [""] * options.prompts,
        "difficulty": [""] * options.prompts,
        "multiturn": [False] * options.prompts,
    }
    parquet.write_table(arrow.table(columns), _split_file(work), row_group_size=100)
    return sum(len(turn.encode()) for turn in turns)


def _texts(folder: Path, seed: int) -> Iterator[str]:
    """The texts of the files below a folder in random order, and again in another when they are used up."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and not path.is_symlink())
    order = random.Random(seed)
    while True:
        order.shuffle(files)
        for file in files:
            if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
                try:
                    yield file.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue


def _in_a_process(part: str, tokenizer: Path, work: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, str(tokenizer), "--part", part, "--work", str(work)]
    environment = {**os.environ, "HF_DATASETS_CACHE": str(work / "datasets"), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(part, found, file=sys.stderr, flush=True)
    return {**found, "process_s": round(time.perf_counter() - started, 2)}


def _measure_part(part: str, tokenizer: Path, work: Path) -> None:
    run = PARTS[part]()
    started, started_cpu = time.perf_counter(), time.process_time()
    found = run(tokenizer, work)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    print(json.dumps({"seconds": round(seconds, 2), "cpu_s": round(cpu_s, 2), **found, "peak_mb": _peak_mb()}))


def _requests() -> Callable[[Path, Path], dict[str, Any]]:
    from datasets import load_dataset
    from transformers import AutoTokenizer

    def run(folder: Path, work: Path) -> dict[str, Any]:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        rows = list(load_dataset("parquet", data_files=[str(_split_file(work))], split="train"))
        loaded = time.perf_counter()
        ids = asyncio.run(_ask_all(tokenizer, rows))
        return {"tokenize_s": round(time.perf_counter() - loaded, 2), **_digest(ids)}

    return run


async def _ask_all(tokenizer: Any, rows: Sequence[Any]) -> list[Any]:
    places = asyncio.Semaphore(CONCURRENCY)

    async def ask(row: Any) -> Any:
        async with places:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": row["turns"][0]}], tokenize=False, add_generation_prompt=True
            )
            return tokenizer.encode(text, add_special_tokens=False)

    return await asyncio.gather(*(ask(row) for row in rows))


def _imports() -> Callable[[Path, Path], dict[str, Any]]:
    _import_ours()

    def run(_folder: Path, _work: Path) -> dict[str, Any]:
        return {}

    return run


def _ours() -> Callable[[Path, Path], dict[str, Any]]:
    import transformers  # noqa: F401

    _import_ours()

    def run(folder: Path, work: Path) -> dict[str, Any]:
        return _recall(folder, work, work / "tokens")

    return run


def _ours_without_fastokens() -> Callable[[Path, Path], dict[str, Any]]:
    sys.modules["fastokens"] = None  # type: ignore[assignment]
    import transformers  # noqa: F401

    _import_ours()

    def run(folder: Path, work: Path) -> dict[str, Any]:
        return _recall(folder, work, None)

    return run


def _cached() -> Callable[[Path, Path], dict[str, Any]]:
    _import_ours()

    def run(folder: Path, work: Path) -> dict[str, Any]:
        return _recall(folder, work, work / "tokens")

    return run


def _import_ours() -> None:
    import pyarrow.parquet  # noqa: F401

    import pytest_speedbench.measure.tokenized
    import pytest_speedbench.splits  # noqa: F401


def _recall(folder: Path, work: Path, cache: Path | None) -> dict[str, Any]:
    from pytest_speedbench.measure.prompts import LateEncoder
    from pytest_speedbench.measure.tokenized import tokenize_or_recall
    from pytest_speedbench.splits import load_split

    prompts = load_split(str(_split_file(work))).prompts
    loaded = time.perf_counter()
    found = tokenize_or_recall(LateEncoder(folder), prompts, cache)
    done = {"tokenize_s": round(time.perf_counter() - loaded, 2), "ready_peak_mb": _peak_mb()}
    text_mb = sum(sys.getsizeof(prompt.turns[0]) for prompt in prompts) / 2**20
    # As a measurement does: one prompt after the other becomes Python's own integers.
    sent = sum(len(found.request_ids(place)) for place in range(len(found)))
    return {
        **done,
        "text_as_str_mb": round(text_mb, 1),
        "tokens": sent,
        "ids_sha256": hashlib.sha256("".join(found.sha256).encode()).hexdigest(),
        "notes": found.notes,
    }


def _digest(ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    from pytest_speedbench.measure.prompts import ids_hash

    hashes = "".join(ids_hash(one) for one in ids)
    return {"tokens": sum(map(len, ids)), "ids_sha256": hashlib.sha256(hashes.encode()).hexdigest()}


def _summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    made = [row for part, row in rows.items() if part != "imports"]
    if len({row["ids_sha256"] for row in made}) > 1 or any(row.get("notes") for row in made):
        raise SystemExit("the parts gave different ids, or went otherwise than they should")
    ids_mb = 4 * made[0]["tokens"] / 2**20
    over_mb = {key: rows["cached"][key] - rows["imports"]["peak_mb"] for key in ("ready_peak_mb", "peak_mb")}
    return {
        "parts": rows,
        "ids_mb": round(ids_mb, 1),
        "times_less_cpu": {
            part: round(rows["requests"]["cpu_s"] / rows[part]["cpu_s"], 2)
            for part in ("ours", "ours_without_fastokens", "cached")
        },
        "times_faster": {
            part: round(rows["requests"]["seconds"] / rows[part]["seconds"], 2)
            for part in ("ours", "ours_without_fastokens", "cached")
        },
        "cached_peak_over_imports": {
            "ids_ready_mb": round(over_mb["ready_peak_mb"], 1),
            "ids_ready_times_the_ids": round(over_mb["ready_peak_mb"] / ids_mb, 2),
            "all_prompts_sent_mb": round(over_mb["peak_mb"], 1),
            "all_prompts_sent_times_the_ids": round(over_mb["peak_mb"] / ids_mb, 2),
        },
    }


def _split_file(work: Path) -> Path:
    return work / "test.parquet"


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return round(kilobytes / 1024, 1)


PARTS: dict[str, Callable[[], Callable[[Path, Path], dict[str, Any]]]] = {
    "imports": _imports,
    "requests": _requests,
    "ours": _ours,
    "ours_without_fastokens": _ours_without_fastokens,
    "cached": _cached,
}
"""Each imports what it needs and gives what is timed."""


if __name__ == "__main__":
    main()
