"""Replay against decoding the same prompts with transformers and with vLLM, in one run.

Every drafter of the bundled family is replayed on the stored outputs of ``mini`` and decoded by both engines, with as
many threads as there are cores; vLLM chooses itself, and transformers has one, which is fastest for its small steps.
Start-up is measured apart, tokenization left out. Counts of all prompts are compared. Every replay is also timed beside
a process that keeps one core busy. Run it on a quiet machine. vLLM needs an environment of its own (docs/vllm.md):

    python benchmarks/replay.py --vllm vllm/bin/python --out benchmarks/results/replay.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import EngineArg, Load, Pair, Sampling
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

ROOT = Path(__file__).resolve().parents[1]
OUTPUTS = outputs_path(ROOT / "baselines", "tiny-eagle3", "mini")
DRAFTERS = ("tiny-ngram", "tiny-draft", "tiny-eagle3", "tiny-eagle3-pruned")
ROUNDS = 3
VLLM_ARGS: dict[str, EngineArg] = {"dtype": "float32", "enforce_eager": True, "max_num_batched_tokens": 16384}


def decoded(pair: Pair, concurrency: int, prompts: int) -> tuple[Run, dict[str, float]]:
    """A run, and the seconds of the engine's start and of the fastest of some rounds over all prompts."""
    split, one = select(load_split("mini"), prompts=prompts), select(load_split("mini"), prompts=1)
    began_s = time.perf_counter()
    with Runner(None) as runner:
        runner.measure(pair, one, Sampling(64), Load(1))
        start_s, rounds = time.perf_counter() - began_s, []
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            run = runner.measure(pair, split, Sampling(64), Load(concurrency))
            rounds.append(time.perf_counter() - began_s)
    return run, {"start_s": start_s, "run_s": min(rounds)}


def judged(pair: Pair, prompts: int) -> tuple[Run, dict[str, float]]:
    """The same of a replay; every round starts the engine anew, since what was judged once is kept."""
    split = select(load_split("mini"), prompts=prompts)
    starts, wholes = [], []
    with Runner(None) as runner:
        runner.measure(pair, split, Sampling(64), Load(16))
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            asyncio.run(engine_factory("replay").create(pair).start())
            starts.append(time.perf_counter() - began_s)
            runner.restart()
            began_s = time.perf_counter()
            run = runner.measure(pair, split, Sampling(64), Load(16))
            wholes.append(time.perf_counter() - began_s)
    return run, {"start_s": min(starts), "run_s": max(min(wholes) - min(starts), 0.0)}


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that keeps one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def scaling(pair: Pair) -> list[dict[str, float]]:
    """Seconds of a replay by the tokens that are judged: parts of the split, and the whole."""
    found = []
    for prompts in (44, 88, 176):
        run, seconds = judged(pair, prompts)
        turns = [turn for conversation in run.conversations for turn in conversation.turns]
        tokens = sum(turn.prompt_tokens + len(turn.output_ids) for turn in turns)
        found.append({"prompts": prompts, "tokens": tokens, "microseconds_a_token": 1e6 * seconds["run_s"] / tokens})
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--vllm", help="the interpreter that has vLLM")
    parser.add_argument("--prompts", type=int, default=176)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in DRAFTERS:
        own = bundled_pairs()[name]
        decoders = {"transformers": (own, 1)}
        if arguments.vllm:
            vllm = replace(own, engine="vllm", engine_args=VLLM_ARGS, python=arguments.vllm)
            decoders["vllm"] = (vllm, 16)
        on_all_cores = replace(own, engine_args={**own.engine_args, "threads": os.cpu_count()})
        replays = replayed(on_all_cores, OUTPUTS)
        replay, ours = judged(replays, arguments.prompts)
        with busy_core():
            _, beside = judged(replays, arguments.prompts)
        row: dict[str, Any] = {
            "drafter": name,
            "replay": ours,
            "beside_a_busy_process": {**beside, "times_slower": beside["run_s"] / ours["run_s"]},
            "scaling": scaling(replays),
        }
        for engine, (pair, concurrency) in decoders.items():
            run, theirs = decoded(pair, concurrency, arguments.prompts)
            same = sum(a == b for a, b in zip(prompt_entries(replay), prompt_entries(run), strict=True))
            row[engine] = {
                **theirs,
                "concurrency": concurrency,
                "prompts_equal": same,
                "times_faster": theirs["run_s"] / ours["run_s"],
                "times_faster_with_start": sum(theirs.values()) / sum(ours.values()),
            }
        rows.append(row)
        sys.stdout.write(json.dumps(row) + "\n")
    result = {
        "command": " ".join(["python", "benchmarks/replay.py", *sys.argv[1:]]),
        "prompts": arguments.prompts,
        "rounds": ROUNDS,
        "versions": {name: version(name) for name in ("pytest-speedbench", "torch", "transformers")},
        "machine": platform.platform(),
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
