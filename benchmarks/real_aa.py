"""False alarms of the gate on real engines: the same build measured twice, with nothing changed.

Greedy decoding in float32 on transformers must repeat exactly, and every comparison of a repetition with the first run
must find no change at all. Sampled decoding on vLLM is real noise: every run draws its own outputs, so that both sides
of a comparison answer the same prompts differently (with its sampler mended, see ``oracle/vllm_cpu_sampling.py``). Runs
are compared in disjoint pairs, which are independent of each other.

Measuring goes on where it was stopped; one file per run is kept in ``--work``.

    python benchmarks/real_aa.py --work build/real_aa --vllm-python vllm/bin/python \
        --out benchmarks/results/real_aa.json
    python benchmarks/real_aa.py --analyse benchmarks/results/real_aa.json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from oracle.analysis import Coverage, judged_alone
from oracle.counts import PromptId, Row, prompt_ids, prompts_from_json, prompts_to_json, rows_of
from oracle.gating import Judgement, judge
from oracle.measuring import DRAFT_LENGTH, TARGET, find_modules_here
from oracle.provenance import provenance, write_results
from oracle.truth import OVERALL

from pytest_speedbench.config import DEFAULT_TOLERANCE, Drafter, EngineArg, Load, Pair, Sampling
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.splits import load_split

SPLIT = load_split("mini")
GREEDY = Sampling(48)
TEMPERATURE = 0.8
DRAFTERS = {"tiny-eagle3": "eagle3:bundled:eagle3", "tiny-draft": "draft_model:bundled:draft"}
SAMPLED_LOAD = Load(32)
BATCHED_TOKENS = 32768
"""Enough for all prefills at once: on a CPU vLLM 0.32 dies of a prefill in parts when the request has a seed."""
MENDED_SAMPLING = "oracle.vllm_cpu_sampling.MendedSampling"
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
TOLERANCES = (DEFAULT_TOLERANCE, 0.0)
"""The default, and none at all, where nothing but the level stands between noise and a false alarm."""


def main() -> None:
    """Measure what is missing and write everything, or only analyse."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--analyse", type=Path, metavar="FILE", help="judge a file of stored counts, measure nothing")
    parser.add_argument("--work", type=Path, help="where every run is kept")
    parser.add_argument("--vllm-python", help="interpreter of the environment that has vLLM")
    parser.add_argument("--greedy-runs", type=int, default=10)
    parser.add_argument("--sampled-runs", type=int, default=30, help="for each drafter")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no run after this long")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.analyse:
        stored = json.loads(options.analyse.read_text())
    elif options.work and options.vllm_python:
        until_s = time.monotonic() + 60 * options.minutes
        measure_all(options.work, options.vllm_python, options.greedy_runs, options.sampled_runs, until_s)
        stored = collect(options.work)
    else:
        parser.error("to measure, give --work and --vllm-python")
    if options.out:
        write_results(options.out, stored)
    summary = analyse(stored)
    if options.out:
        write_results(options.out, {**stored, "analysis": summary})


def measure_all(work: Path, vllm_python: str, greedy_runs: int, sampled_runs: int, until_s: float) -> None:
    """Sampled runs on vLLM, then greedy ones on transformers, except what is there already."""
    os.environ.update(ENVIRONMENT)
    find_modules_here()
    work.mkdir(parents=True, exist_ok=True)
    args: dict[str, EngineArg] = {
        "dtype": "float32",
        "enforce_eager": True,
        "max_num_batched_tokens": BATCHED_TOKENS,
        "worker_extension_cls": MENDED_SAMPLING,
    }
    samplings = [Sampling(GREEDY.max_output_tokens, TEMPERATURE, seed=1 + number) for number in range(sampled_runs)]
    for name, drafter in DRAFTERS.items():
        pair = Pair(name, "vllm", TARGET, Drafter.parse(drafter, DRAFT_LENGTH), args, vllm_python)
        measure(work, name, pair, samplings, SAMPLED_LOAD, until_s)
    name = next(iter(DRAFTERS))
    pair = Pair(name, "transformers", TARGET, Drafter.parse(DRAFTERS[name], DRAFT_LENGTH), {"dtype": "float32"})
    measure(work, "greedy", pair, [GREEDY] * greedy_runs, Load(), until_s)


def measure(work: Path, name: str, pair: Pair, samplings: Sequence[Sampling], load: Load, until_s: float) -> None:
    """Measure the pair once with every sampling, except what is there already."""
    files = [work / f"{name}-{number:02}.json" for number in range(len(samplings))]
    with Runner() as runner:
        for file, sampling in zip(files, samplings, strict=True):
            if file.exists() or time.monotonic() > until_s:
                continue
            began = time.perf_counter()
            run = runner.measure(pair, SPLIT, sampling, load)
            wall_s = round(time.perf_counter() - began, 1)
            outputs = [[turn.output_ids for turn in c.turns] for c in run.conversations]
            row = {
                "engine": f"{run.engine.name} {run.engine.version}",
                "wall_s": wall_s,
                "rows": rows_of(run.conversations),
                "outputs": outputs,
            }
            file.write_text(json.dumps(row))
            print(f"{file.stem}: {wall_s} s", flush=True)


def collect(work: Path) -> dict[str, Any]:
    """Everything that was measured, without the outputs themselves."""
    found = {
        name: [json.loads(file.read_text()) for file in sorted(work.glob(f"{name}-[0-9][0-9].json"))]
        for name in ("greedy", *DRAFTERS)
    }
    runs = [run for group in found.values() for run in group]
    return {
        **provenance("real_aa.py", [run["engine"] for run in runs], sum(run["wall_s"] for run in runs)),
        "max_tokens": GREEDY.max_output_tokens,
        "draft_length": DRAFT_LENGTH,
        "row": ["steps that accepted 0 … K tokens", "steps without a draft", "proposed tokens", "output tokens"],
        "prompts": prompts_to_json(prompt_ids(SPLIT)),
        "greedy": {
            "concurrency": 1,
            "outputs_equal": all(run["outputs"] == found["greedy"][0]["outputs"] for run in found["greedy"]),
            "runs": [run["rows"] for run in found["greedy"]],
        },
        "sampled": {
            "temperature": TEMPERATURE,
            "top_p": 1.0,
            "concurrency": SAMPLED_LOAD.concurrency,
            "seeds_from": 1,
            "runs": {name: [run["rows"] for run in found[name]] for name in DRAFTERS},
        },
    }


def analyse(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Judge every comparison by today's gate and print what came out; every failure here is a false alarm.

    Returns:
        Numbers for a file, by group and tolerance.
    """
    prompts = prompts_from_json(stored["prompts"])
    greedy: list[list[Row]] = stored["greedy"]["runs"]
    groups = {"greedy": [(greedy[0], again) for again in greedy[1:]]}
    for name, runs in stored["sampled"]["runs"].items():
        groups[f"sampled, {name}"] = list(zip(runs[::2], runs[1::2], strict=False))
    print(f"greedy outputs equal, token for token: {stored['greedy']['outputs_equal']}")
    print(f"{'same build':22}{'tolerance':>10}{'compared':>10}{'failed':>8}{'|change|':>10}{'width':>8}  verdicts")
    summary: dict[str, Any] = {}
    for name, pairs in groups.items():
        for tolerance in TOLERANCES:
            judged = [judge(prompts, before, after, tolerance) for before, after in pairs]
            summary[f"{name}, tolerance {tolerance:.0%}"] = _summary(judged)
            _print(name, tolerance, judged)
        categories, overall = _alone(prompts, pairs)
        summary[f"{name}, rows alone"] = {"categories": categories.summary(), "overall": overall.summary()}
        print(f"{name:22}intervals alone that hold no change (nominal): categories {categories}, overall {overall}")
    print("|change| and width: of the overall al_macro and of its interval, means; verdicts: of all rows")
    return summary


def _alone(prompts: Sequence[PromptId], pairs: Sequence[tuple[list[Row], list[Row]]]) -> tuple[Coverage, Coverage]:
    """Of the categories' rows and of the overall one, each judged on its own."""
    coverage = {False: Coverage(), True: Coverage()}
    for before, after in pairs:
        for name, judgement in judged_alone(prompts, before, after):
            nothing = {(figure.row, figure.metric): 0.0 for figure in judgement.figures}
            coverage[name == OVERALL].add(judgement, nothing)
    return coverage[False], coverage[True]


def _summary(judgements: Sequence[Judgement]) -> dict[str, Any]:
    verdicts = Counter(verdict.value for judgement in judgements for verdict in judgement.verdicts.values())
    failed = sum(judgement.failed for judgement in judgements)
    return {"comparisons": len(judgements), "failed": failed, "verdicts": dict(verdicts)}


def _print(name: str, tolerance: float, judgements: Sequence[Judgement]) -> None:
    overall = [f for j in judgements for f in j.figures if (f.row, f.metric) == (OVERALL, "al_macro")]
    widths = [figure.interval[1] - figure.interval[0] for figure in overall if figure.interval]
    change = f"{fmean(abs(figure.change) for figure in overall):.2%}" if overall else "–"
    width = f"{fmean(widths):.2%}" if widths else "–"
    summary = _summary(judgements)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in summary["verdicts"].items())
    counts = f"{summary['comparisons']:>10}{summary['failed']:>8}"
    print(f"{name:22}{tolerance:>10.0%}{counts}{change:>10}{width:>8}  {counted}")


if __name__ == "__main__":
    main()
