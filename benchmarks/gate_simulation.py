"""How often the whole gate calls a healthy drafter worse, and how often and how soon it finds a worse one.

The worlds are those of ``gate_worlds.py``: nothing changed; every category exactly at the tolerance, in ways that make
it hard; a drop in one category. Each is judged on the full set and with early stopping, at a tolerance of 1 % and a
family-wise error of 1 %. Where other gates are set beside it (``gate_rivals.py``), they see the same draws. ``calls``
are runs in which any row regressed: false alarms in the first part, everywhere but in the hit category in the second.

Every row is kept as soon as it is done; the command goes on where it was stopped. Intervals are Clopper and Pearson's.

    python benchmarks/gate_simulation.py --out benchmarks/results/gate_simulation.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import gate_worlds as worlds
import numpy as np
from gate_agreement import disagreements
from gate_replay import ALL, Decision, Prefixes, Sequential, calibrated_noise, decide
from gate_rivals import confidence_sequence, field_rules, max_t, paired_t, pocock_t
from gate_worlds import HIT, World, expected_drops, simulate
from scipy.special import betaincinv

import pytest_speedbench.gate
from pytest_speedbench.gate.figures import LENGTHS

SIMULATED = ("compare", "counts", "effects", "figures", "multiplicity", "noise", "rows", "sequential")
CHUNK = 100
AA_RUNS, BOUNDARY_RUNS, POWER_RUNS = 10_000, 2_000, 2_000
RIVAL_RUNS, SEQUENCE_RUNS, MAX_T_RUNS = 1_000, 500, 300
"""Of a world with rivals, so many runs also pass the gate of al_macro alone, a confidence sequence, a maximum test."""
DROPS = (0.03, 0.05, 0.1, 0.2)

AA = World("nothing changed")
BOUNDARY = World("all prompts lose 1 %", worlds.everyone, 0.01)
WILD = World("all lose, one category's change by ± 20 %", worlds.one_category_scatters, None)
RARE = World("2 % of prompts lose half", worlds.two_percent_lose_half, None)
UNEVEN = World("a tenth gains 30 %, the others lose", worlds.a_tenth_gains, None)
SHARED = World("whole runs move by 1 %", run_sd=0.01)
CALIBRATED = replace(SHARED, name="whole runs move by 1 %, baseline of 5 runs", baseline_runs=5)
HARDER = (
    replace(BOUNDARY, name="steps in blocks of 4", block=4),
    World("a tenth of the prompts loses 10 %", worlds.a_tenth, None),
    WILD,
    replace(WILD, name="the same, as many steps as before", same_steps=True),
    RARE,
    replace(RARE, name="the same, as many steps as before", same_steps=True),
    World("1 % of prompts lose half, the rest as before", worlds.few_lose_half, None),
    UNEVEN,
    replace(UNEVEN, name="the same, as many steps as before", same_steps=True),
    replace(UNEVEN, name="the same, 16 prompts a category", prompts=16, same_steps=True),
    replace(BOUNDARY, name="all lose 1 %, 20 prompts a category", prompts=20),
    replace(BOUNDARY, name="all lose 1 %, 16 prompts a category", prompts=16),
    SHARED,
    CALIBRATED,
    replace(CALIBRATED, name="the same, and all lose 1 %", damage=worlds.everyone, size=0.01),
)
AGREEMENT = (
    (replace(AA, name="nothing changed, 20 prompts", prompts=20), 100),
    (World("10 % in one category", worlds.everyone, 0.1, HIT), 50),
    (World("20 % in one category, 20 prompts", worlds.everyone, 0.2, HIT, prompts=20), 100),
    (replace(CALIBRATED, name="baseline of 5 runs, 20 prompts", prompts=20), 20),
)


@dataclass(frozen=True)
class Job:
    """One chunk of one world's runs, and how many of them the rivals see that take long."""

    world: World
    sizes: tuple[float, ...]
    runs: int
    seed: tuple[int, ...]
    rivals: int = 0
    sequences: int = 0
    max_t: int = 0


@dataclass
class Tally:
    """What came of some runs: by gate, whether anything but the hit category regressed, and when that was found.

    ``found`` is in prompts of the category, infinite if it never was.
    """

    calls: dict[str, list[bool]] = field(default_factory=dict)
    found: dict[str, list[float]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def add(self, gate: str, *, called: bool, found: float | None = None) -> None:
        """One run."""
        self.calls.setdefault(gate, []).append(called)
        if found is not None:
            self.found.setdefault(gate, []).append(found)

    def extend(self, other: Tally) -> None:
        """With further runs."""
        for gate, calls in other.calls.items():
            self.calls.setdefault(gate, []).extend(calls)
        for gate, found in other.found.items():
            self.found.setdefault(gate, []).extend(found)
        self.asked += other.asked


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="this part of the runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = _started(options.out, options.seed, options.scale)
    done: list[dict[str, Any]] = result["rows"]
    with multiprocessing.Pool(options.workers) as pool:
        for number, (world, runs, with_rivals) in enumerate(_plan()):
            key = {"number": number, "world": _description(world), "runs": max(1, round(runs * options.scale))}
            if any(row.items() >= key.items() for row in done):
                continue
            started_at = time.perf_counter()
            jobs, drops = _jobs(world, key["runs"], (options.seed, number), options.scale * with_rivals)
            row = {**key, **drops, **_summary(pool.imap(_run_chunk, jobs), world)}
            row["wall_s"] = round(time.perf_counter() - started_at, 1)
            _print(row)
            done.append(row)
            _save(options.out, result)
    if "agreement" not in result:
        result["agreement"] = list(_agreement(options.scale))
        _save(options.out, result)


def _plan() -> Iterable[tuple[World, int, bool]]:
    """World, runs, whether with rivals."""
    yield AA, AA_RUNS, True
    yield BOUNDARY, BOUNDARY_RUNS, True
    for world in HARDER:
        yield world, BOUNDARY_RUNS, False
    for drop in DROPS:
        yield World(f"multilingual loses {drop:.0%}", worlds.everyone, drop, HIT), POWER_RUNS, True


def _jobs(world: World, runs: int, seed: tuple[int, ...], scale: float) -> tuple[list[Job], dict[str, Any]]:
    sizes = world.sizes()
    drops = expected_drops(world, sizes, np.random.default_rng(seed)).round(5)
    jobs = []
    for first in range(0, runs, CHUNK):
        count = min(CHUNK, runs - first)
        left = [max(0, min(count, round(of * scale) - first)) for of in (RIVAL_RUNS, SEQUENCE_RUNS, MAX_T_RUNS)]
        jobs.append(Job(world, tuple(sizes), count, (*seed, first), *left))
    true = {
        f"true_drop_{metric}": {"least": drop[:-1].min(), "greatest": drop[:-1].max(), "overall": drop[-1]}
        for metric, drop in zip(LENGTHS, drops, strict=True)
    }
    return jobs, true


def _run_chunk(job: Job) -> Tally:
    rng = np.random.default_rng(job.seed)
    measured = simulate(job.world, np.array(job.sizes), job.runs, rng)
    prefixes, noise = Prefixes(measured), calibrated_noise(measured.before)
    hit = job.world.only
    tally = Tally()
    for run in range(job.runs):
        full = decide(prefixes, run, noise[run])
        early = Sequential(prefixes, run, noise[run]).decision()
        tally.asked.append(sum(early.asked))
        _count(tally, "full set", full, hit)
        _count(tally, "stopping early", early, hit)
        if job.world.run_sd and job.world.baseline_runs > 1:
            _count(tally, "full set, calibration ignored", decide(prefixes, run, {}), hit)
    if job.rivals:
        _rivals(job, measured, prefixes, tally)
        for run in range(job.max_t):
            _add(tally, "full set, step-down maximum test", max_t(prefixes, run, rng), hit)
            _count(tally, "full set, runs of the maximum test", decide(prefixes, run, noise[run]), hit)
    return tally


def _rivals(job: Job, measured: worlds.Measured, prefixes: Prefixes, tally: Tally) -> None:
    hit = job.world.only
    for run in range(job.rivals):
        _count(tally, "full set, al_macro alone", decide(prefixes, run, {}, LENGTHS[:1]), hit)
        _count(tally, "stopping early, al_macro alone", Sequential(prefixes, run, {}, LENGTHS[:1]).decision(), hit)
    for run in range(job.sequences):
        when = confidence_sequence(prefixes, run)
        if hit is None:
            tally.add("confidence sequence (one category)", called=bool(np.isfinite(when)))
        else:
            tally.add("confidence sequence (one category)", called=False, found=when)
    for found in paired_t(measured):
        _add(tally, "full set, paired t with Holm", found, hit)
    for when_found in pocock_t(measured):
        finite = set(np.flatnonzero(np.isfinite(when_found)).tolist())
        when_hit = None if hit is None else float(when_found[hit])
        tally.add("stopping early, paired t with Pocock's level", called=bool(finite - {hit}), found=when_hit)
    for rule, failed in field_rules(measured).items():
        for fails in failed:
            if hit is None:
                tally.add(rule, called=fails)
            else:
                tally.add(rule, called=False, found=float(job.world.prompts) if fails else np.inf)


def _add(tally: Tally, gate: str, found: set[int], hit: int | None) -> None:
    when = None if hit is None else (float(worlds.PROMPTS) if hit in found else np.inf)
    # All prompts together did change where one category did: naming them is no false alarm.
    tally.add(gate, called=bool(found - {hit, ALL} if hit is not None else found), found=when)


def _count(tally: Tally, gate: str, decision: Decision, hit: int | None) -> None:
    found = set(decision.rows)
    when = None if hit is None else (float(decision.asked[hit]) if hit in found else np.inf)
    tally.add(gate, called=bool(found - {hit, ALL} if hit is not None else found), found=when)


def _summary(tallies: Iterable[Tally], world: World) -> dict[str, Any]:
    total = Tally()
    for tally in tallies:
        total.extend(tally)
    asked = np.array(total.asked)
    gates = {}
    for gate, calls in total.calls.items():
        row: dict[str, Any] = {"runs": len(calls), "calls": sum(calls), **_rate("call", sum(calls), len(calls))}
        if gate in total.found:
            when = np.array(total.found[gate])
            row |= {"found": int(np.isfinite(when).sum()), **_rate("found", int(np.isfinite(when).sum()), when.size)}
            quartiles = [float(value) for value in np.quantile(when, (0.25, 0.5, 0.75), method="lower")]
            row["prompts_when_found_quartiles"] = [value if np.isfinite(value) else None for value in quartiles]
        gates[gate] = row
    planned = ALL * world.prompts
    return {"prompts_asked_mean": round(float(asked.mean()), 1), "prompts_planned": planned, "gates": gates}


def _rate(name: str, count: int, of: int) -> dict[str, Any]:
    low = float(betaincinv(count, of - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 0.975)) if count < of else 1.0
    return {f"{name}_rate": round(count / of, 5), f"{name}_rate_95": [round(low, 5), round(high, 5)]}


def _description(world: World) -> dict[str, Any]:
    return {
        "name": world.name,
        "damage": world.damage.__name__,
        "size": world.size,
        "prompts": world.prompts,
        "unchanged": world.unchanged,
        "block": world.block,
        "same_steps": world.same_steps,
        "run_sd": world.run_sd,
        "baseline_runs": world.baseline_runs,
    }


def _print(row: dict[str, Any]) -> None:
    drops = " / ".join(f"{row[f'true_drop_{metric}']['greatest']:.2%}" for metric in LENGTHS)
    print(f"{row['world']['name']} ({row['world']['prompts']} prompts a category; true drops at most {drops})")
    for gate, of_gate in row["gates"].items():
        low, high = of_gate["call_rate_95"]
        text = f"  {gate:46} calls {of_gate['call_rate']:7.2%} ({low:.2%} … {high:.2%}) of {of_gate['runs']:,}"
        if "found" in of_gate:
            text += f", found {of_gate['found_rate']:.1%}, quartiles {of_gate['prompts_when_found_quartiles']}"
        print(text)
    print(f"  asked {row['prompts_asked_mean']} of {row['prompts_planned']}; {row['wall_s']} s", flush=True)


def _agreement(scale: float) -> Iterable[dict[str, Any]]:
    for number, (world, runs) in enumerate(AGREEMENT):
        for sequential in (False, True):
            count = max(1, round(runs * scale))
            differ, furthest = disagreements(world, count, 100 + number, sequential=sequential)
            shipped = "SequentialGate" if sequential else "compare"
            print(
                f"{world.name}: {differ} of {count} runs differ from {shipped}, p-values by {furthest:.0e}", flush=True
            )
            yield {"world": world.name, "against": shipped, "runs": count, "differ": differ, "p_values_by": furthest}


def _started(out: Path | None, seed: int, scale: float) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("pytest-speedbench", "numpy", "scipy")}
    settings = {"seed": seed, "scale": scale, "python": platform.python_version(), **versions, **_sources()}
    if out is not None and out.exists():
        kept: dict[str, Any] = json.loads(out.read_text())
        if kept.items() >= settings.items():
            return kept
    return {"command": _command(sys.argv[1:]), **settings, "rows": []}


def _sources() -> dict[str, str]:
    """What was simulated, so that rows of another gate are not kept."""
    files = sorted(Path(pytest_speedbench.gate.__file__).parent / f"{name}.py" for name in SIMULATED)
    return {"gate_sha256": hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()}


def _command(arguments: Sequence[str]) -> str:
    return " ".join(["python", "benchmarks/gate_simulation.py", *arguments])


def _save(out: Path | None, result: dict[str, Any]) -> None:
    if out is not None:
        result["wall_s"] = round(sum(row["wall_s"] for row in result["rows"]), 1)
        out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
