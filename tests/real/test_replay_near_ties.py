"""A replay in float32 against decoding in bfloat16: what the gate allows for near ties holds the difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Load, Pair, Sampling
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.gate import compare, pair_up
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

OUTPUTS = outputs_path(Path(__file__).resolve().parents[2] / "baselines", "tiny-eagle3", "mini")
PART = select(load_split("mini"), prompts=44)


def measured(pair: Pair) -> Run:
    with Runner() as runner:
        return runner.measure(pair, PART, Sampling(64), Load())


def in_dtype(dtype: str) -> Pair:
    pair = bundled_pairs()["tiny-eagle3"]
    return replace(pair, dtype=dtype, engine_args=MappingProxyType({**pair.engine_args, "threads": 1}))


def test_the_allowance_holds_what_another_dtype_does() -> None:
    served, decoded = measured(replayed(in_dtype("bfloat16"), OUTPUTS)), measured(in_dtype("bfloat16"))
    outputs = [[turn.output_ids for turn in c.turns] for run in (served, decoded) for c in run.conversations]
    assert outputs[: len(PART)] != outputs[len(PART) :], "or there is nothing to allow for"
    for row in compare(pair_up(served, decoded)).all_rows:
        for change in row.changes:
            assert change.near_ties is not None, (row.name, change.metric)
            assert abs(change.change) <= change.near_ties, (row.name, change.metric)


def test_outputs_of_a_target_in_float32_are_hardly_in_doubt() -> None:
    run = measured(replayed(in_dtype("float32"), OUTPUTS))
    for row in compare(pair_up(run, run)).all_rows:
        assert all((change.near_ties or 0.0) < 1e-3 for change in row.changes)
