"""Regressions of known size in real engines: do the gate's intervals cover the truth, and what does it call?

Two kinds are injected. The oracle is a custom proposer inside real vLLM that proposes the target's own greedy
continuation, each token replaced with a known probability, so that the true change follows in closed form; the same
setting measured again with another seed is a true repetition. Damaged heads (noise on the weights, wrong auxiliary
layers) run on transformers; there the value over the whole split is the truth, and random halves of every category must
cover it.

Measuring takes about half an hour on two cores and goes on where it was stopped; every run is kept in ``--work``.

    python benchmarks/injected_regressions.py --work build/injected --vllm-python vllm/bin/python --repetitions 10 \
        --out benchmarks/results/injected_regressions.json
    python benchmarks/injected_regressions.py --analyse benchmarks/results/injected_regressions.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oracle.analysis import analyse
from oracle.counts import prompt_ids, prompts_to_json, rows_of
from oracle.damage import head_reading_layers, noisy_head
from oracle.measuring import DRAFT_LENGTH, TARGET, OracleVllm, record
from oracle.provenance import provenance, write_results
from oracle.truth import correct_probability

from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split

SPLIT = load_split("mini")
CATEGORIES = sorted({prompt.category for prompt in SPLIT.prompts})
BASELINE_AL = 2.5
ORACLE_SAMPLING, ORACLE_LOAD = Sampling(128), Load(8)
HEAD_SAMPLING = Sampling(64)
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Condition:
    """One build of the drafter: its true acceptance length where it is not the baseline's.

    ``first_seed`` leaves room for a thousand repetitions.
    """

    name: str
    first_seed: int
    al: dict[str, float] = field(default_factory=dict)

    def correct(self) -> dict[str, float]:
        """The probability that a drafted token is right, by category."""
        return {name: correct_probability(self.al.get(name, BASELINE_AL), DRAFT_LENGTH) for name in CATEGORIES}


CONDITIONS = (
    Condition("baseline", 0),
    Condition("baseline again", 1000),
    Condition("all 2.45", 2000, dict.fromkeys(CATEGORIES, 2.45)),
    Condition("all 2.40", 3000, dict.fromkeys(CATEGORIES, 2.40)),
    Condition("all 2.25", 4000, dict.fromkeys(CATEGORIES, 2.25)),
    Condition("coding 2.45", 5000, {"coding": 2.45}),
    Condition("coding 2.40", 6000, {"coding": 2.40}),
    Condition("coding 2.25", 7000, {"coding": 2.25}),
)
NOISE_STRENGTHS = (0.1, 0.2, 0.3, 0.5)
WRONG_LAYERS = ((0, 1, 2), (1, 2, 4), (2, 3, 4))


def main() -> None:
    """Measure what is missing and write everything, or only analyse."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--analyse", type=Path, metavar="FILE", help="judge a file of stored counts, measure nothing")
    parser.add_argument("--work", type=Path, help="where every run is kept")
    parser.add_argument("--vllm-python", help="interpreter of the environment that has vLLM")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no run after this long")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.analyse:
        stored = json.loads(options.analyse.read_text())
    elif options.work and options.vllm_python:
        stored = measure_and_collect(options.work, options.vllm_python, options.repetitions, options.minutes)
    else:
        parser.error("to measure, give --work and --vllm-python")
    if options.out:
        write_results(options.out, stored)
    tallies = analyse(stored)
    if options.out:
        write_results(options.out, {**stored, "analysis": {name: tally.summary() for name, tally in tallies.items()}})


def measure_and_collect(folder: Path, vllm_python: str, repetitions: int, minutes: float) -> dict[str, Any]:
    """Measure what is missing, begin nothing after that long, and put all together."""
    os.environ.update(ENVIRONMENT)
    work, until_s = folder.resolve(), time.monotonic() + 60 * minutes
    work.mkdir(parents=True, exist_ok=True)
    asyncio.run(measure_oracle(work, vllm_python, repetitions, until_s))
    measure_heads(work, until_s)
    return collect(work, repetitions)


async def measure_oracle(work: Path, python: str, repetitions: int, until_s: float) -> None:
    """Measure every condition that often, in turn, with one start of vLLM."""
    folder = work / "oracle"
    lengths = folder / "lengths.json"
    if not lengths.exists():
        conversations = await asyncio.to_thread(record, folder, python, SPLIT, ORACLE_SAMPLING, ORACLE_LOAD)
        lengths.write_text(json.dumps([[len(turn.output_ids) for turn in c.turns] for c in conversations]))
    missing = [
        (condition, number)
        for number in range(repetitions)
        for condition in CONDITIONS
        if not _file(work, condition.name, number).exists()
    ]
    if not missing:
        return
    vllm = OracleVllm(folder, python, {})
    try:
        version = (await vllm.start()).version
        for condition, number in missing:
            if time.monotonic() > until_s:
                break
            began = time.perf_counter()
            vllm.use(condition.first_seed + number, condition.correct())
            conversations = await vllm.measure(SPLIT, ORACLE_SAMPLING, ORACLE_LOAD)
            found = [[len(turn.output_ids) for turn in c.turns] for c in conversations]
            if found != json.loads(lengths.read_text()):
                raise SystemExit("the outputs differ from the recorded ones: greedy decoding is not deterministic here")
            wall_s = time.perf_counter() - began
            preemptions = sum(turn.preemptions or 0 for c in conversations for turn in c.turns)
            row = {"engine": f"vllm {version}", "wall_s": round(wall_s, 1), "preemptions": preemptions}
            _file(work, condition.name, number).write_text(json.dumps({**row, "rows": rows_of(conversations)}))
            print(f"{condition.name} {number}: {wall_s:.1f} s", flush=True)
    finally:
        await vllm.stop()


def measure_heads(work: Path, until_s: float) -> None:
    """Measure the bundled head and every damaged one, once each: greedy decoding in float32 is deterministic."""
    heads = {"head": "bundled:eagle3"}
    heads |= {
        f"noise {strength}": str(noisy_head(work / "heads" / f"noise-{strength}", strength))
        for strength in NOISE_STRENGTHS
    }
    for layers in WRONG_LAYERS:
        name = ",".join(map(str, layers))
        heads[f"layers {name}"] = str(head_reading_layers(work / "heads" / f"layers-{name}", layers))
    with Runner() as runner:
        for name, head in heads.items():
            if _file(work, name, 0).exists() or time.monotonic() > until_s:
                continue
            began = time.perf_counter()
            drafter = Drafter.parse(f"eagle3:{head}", DRAFT_LENGTH)
            pair = Pair(name, "transformers", TARGET, drafter, {"dtype": "float32"})
            run = runner.measure(pair, SPLIT, HEAD_SAMPLING, Load())
            wall_s = round(time.perf_counter() - began, 1)
            row = {"engine": f"transformers {run.engine.version}", "wall_s": wall_s, "rows": rows_of(run.conversations)}
            _file(work, name, 0).write_text(json.dumps(row))
            print(f"{name}: {wall_s} s", flush=True)


def collect(work: Path, repetitions: int) -> dict[str, Any]:
    """Everything that was measured, with what is true of it."""
    oracle: dict[str, list[Any]] = {}
    wall_s, preemptions, engines = 0.0, 0, set()
    for condition in CONDITIONS:
        for number in range(repetitions):
            if (file := _file(work, condition.name, number)).exists():
                found = json.loads(file.read_text())
                oracle.setdefault(condition.name, []).append(found["rows"])
                wall_s += found["wall_s"]
                preemptions += found["preemptions"]
                engines.add(found["engine"])
    heads = {}
    for file in sorted((work / "runs").glob("*-00.json")):
        found = json.loads(file.read_text())
        if "preemptions" not in found:
            heads[file.stem.rpartition("-")[0]] = found["rows"]
            wall_s += found["wall_s"]
            engines.add(found["engine"])
    return {
        **provenance("injected_regressions.py", engines, wall_s),
        "preemptions": preemptions,
        "draft_length": DRAFT_LENGTH,
        "row": ["steps that accepted 0 … K tokens", "steps without a draft", "proposed tokens", "output tokens"],
        "prompts": prompts_to_json(prompt_ids(SPLIT)),
        "oracle": {
            "max_tokens": ORACLE_SAMPLING.max_output_tokens,
            "concurrency": ORACLE_LOAD.concurrency,
            "turn_tokens": json.loads((work / "oracle" / "lengths.json").read_text()),
            "correct": {c.name: c.correct() for c in CONDITIONS},
            "first_seed": {c.name: c.first_seed for c in CONDITIONS},
            "runs": oracle,
        },
        "heads": {"max_tokens": HEAD_SAMPLING.max_output_tokens, "concurrency": 1, "runs": heads},
    }


def _file(work: Path, name: str, number: int) -> Path:
    folder = work / "runs"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}-{number:02}.json"


if __name__ == "__main__":
    main()
