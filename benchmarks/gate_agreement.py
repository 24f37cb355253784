"""Whether the fast replay decides as the shipped ``compare`` and ``SequentialGate`` do, on simulated runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from gate_replay import ALL, Decision, Prefixes, Sequential, calibrated_noise, decide
from gate_worlds import CATEGORIES, DRAFT_LENGTH, Counts, World, simulate

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.baselines.schema import Baseline
from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.gate import GatePolicy, GateResult, SequentialGate, compare, pair_up
from pytest_speedbench.measure.run import Conversation, Run, SplitIdentity, Turn


def disagreements(world: World, runs: int, seed: int, *, sequential: bool) -> tuple[int, float]:
    """Runs that are decided otherwise, and the largest relative difference of a p-value."""
    measured = simulate(world, world.sizes(), runs, np.random.default_rng(seed))
    prefixes, noise = Prefixes(measured), calibrated_noise(measured.before)
    differ, furthest = 0, 0.0
    for run in range(runs):
        references = [_run(counts) for counts in measured.before[run]]
        reference = references[0] if len(references) == 1 else Baseline.from_runs(references, date="2026-01-01")
        after = _run(measured.after[run, 0])
        if sequential:
            own = Sequential(prefixes, run, noise[run]).decision()
            result, asked = _stopped_early(reference, after)
        else:
            own, result = decide(prefixes, run, noise[run]), compare(pair_up(reference, after))
            asked = (world.prompts,) * ALL
        differ += _found(result) != own.found or asked != own.asked
        furthest = max(furthest, _furthest(result, own))
    return differ, furthest


def _furthest(result: GateResult, own: Decision) -> float:
    shipped = {
        (row, change.metric): change.p_value
        for row, of_row in enumerate(result.all_rows)
        for change in of_row.changes
        if change.p_value is not None
    }
    if shipped.keys() != own.p_values.keys():
        return 1.0
    return max(abs(p - own.p_values[key]) / max(p, 1e-300) for key, p in shipped.items())


def _found(result: GateResult) -> frozenset[tuple[int, str]]:
    return frozenset(
        (row, change.metric)
        for row, of_row in enumerate(result.all_rows)
        for change in of_row.changes
        if change.verdict.value == "regression"
    )


def _stopped_early(reference: Run | Baseline, complete: Run) -> tuple[GateResult, tuple[int, ...]]:
    """Feed the shipped rule one prompt after the other, each category in turn, and ask no more where it decided."""
    by_category = {name: complete.in_category(name) for name in CATEGORIES}
    planned = {name: len(of_category) for name, of_category in by_category.items()}
    rule = SequentialGate(reference, planned, GatePolicy(outputs="note"))
    asked: dict[str, list[Conversation]] = {name: [] for name in CATEGORIES}
    decided: frozenset[str] = frozenset()
    for prompt in range(max(planned.values())):
        for name in CATEGORIES:
            if name not in decided:
                asked[name].append(by_category[name][prompt])
                decided = rule.look(asked, name)
    return rule.result(_asked(complete, asked, planned, decided)), tuple(len(asked[name]) for name in CATEGORIES)


def _asked(
    complete: Run, asked: Mapping[str, Sequence[Conversation]], planned: Mapping[str, int], decided: frozenset[str]
) -> Run:
    conversations = tuple(conversation for name in CATEGORIES for conversation in asked[name])
    stopped = {name: planned[name] for name in CATEGORIES if name in decided and len(asked[name]) < planned[name]}
    return replace(complete, conversations=conversations, stopped=stopped)


def _run(counts: Counts) -> Run:
    """Histograms (categories, prompts, bins) as a run."""
    return Run(
        pair=Pair("simulated", "none", "target", Drafter(DrafterMethod.EAGLE3, "head", DRAFT_LENGTH)),
        engine=EngineInfo("none", "1", {}, "none", 1, None, None, 100, 10_000, (0,)),
        models=ModelIdentity("t" * 64, "k" * 64, "c" * 64, "d" * 64),
        split=SplitIdentity("simulated", "s" * 64, counts.shape[0] * counts.shape[1]),
        sampling=Sampling(max_output_tokens=1),
        load=Load(1),
        conversations=tuple(
            Conversation(f"{category}-{number:03}", category, "", (_turn(histogram),))
            for category, of_category in zip(CATEGORIES, counts.tolist(), strict=True)
            for number, histogram in enumerate(of_category)
        ),
        environment={},
    )


def _turn(histogram: list[int]) -> Turn:
    record = AcceptanceRecord(DRAFT_LENGTH, tuple(histogram), None)
    return Turn(1, "p", (0,), "length", 0.0, ((1.0, 1),), record)
