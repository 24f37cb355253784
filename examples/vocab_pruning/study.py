"""What a pruned draft vocabulary costs, by category, and how small it may be.

    python -m examples.vocab_pruning.study                    # the bundled family: twelve measurements, about 5 minutes
    python -m examples.vocab_pruning.study --draw             # tables and charts again from the stored figures
    python -m examples.vocab_pruning.study --engine=vllm --engine-args=dtype=float32 --out=vllm-study

Takes the options of ``speedbench vocabulary`` that say what is measured and how. The charts need matplotlib.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from examples.vocab_pruning.charts import draw_pruned_head, draw_sweeps
from examples.vocab_pruning.tables import study_text
from pytest_speedbench import Pair
from pytest_speedbench.cli.common import add_measurement_options, asked, settings_of, to_stderr
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.gate import GatePolicy
from pytest_speedbench.measure.run import Run
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.pruning import load_counts
from pytest_speedbench.report.progress import progress_log
from pytest_speedbench.report.vocabulary import vocabulary_json
from pytest_speedbench.settings import Settings
from pytest_speedbench.sweeps.vocabulary import judge, sweep_vocabulary
from pytest_speedbench.tolerance import parse_tolerance

HERE = Path(__file__).parent
PRUNED = "bundled:eagle3-pruned"
PRUNED_SIZE = 1024
SWEEPS = {"english": (256, 512, 768, 1024, 1280), "all_languages": (512, 1024, 1536, 2048, 3072)}
"""Draft vocabularies in tokens, for each way of counting (``counts/NAME.json``)."""

TOLERANCE = 0.05
"""Of the sweeps. The comparison of the two shipped heads keeps the gate's own 1 %."""


def measure_all(settings: Settings, out: Path) -> None:
    """Measure every head and write the figures as JSON."""
    split = asked(settings)
    target = open_checkpoint(settings.pair.model, download=True).folder
    with Runner() as runner, TemporaryDirectory() as heads:
        runs: dict[Pair, Run] = {}

        def measure(pair: Pair) -> Run:
            if pair not in runs:
                with progress_log(to_stderr, f"study: {pair.name}") as report:
                    runs[pair] = runner.measure(pair, split, settings.sampling, settings.load, report)
            return runs[pair]

        drafter = settings.pair.drafter
        if drafter is None:
            raise SystemExit("The pair has no drafter. Give the target with its full EAGLE-3 head.")
        pruned = replace(settings.pair, name=f"{settings.pair.name}-pruned", drafter=replace(drafter, model=PRUNED))
        shipped = judge(measure(settings.pair), {PRUNED_SIZE: measure(pruned)}, GatePolicy())
        (out / "pruned_head.json").write_bytes(vocabulary_json(shipped))
        for name, sizes in SWEEPS.items():
            counts = load_counts(HERE / "counts" / f"{name}.json", target)
            policy = GatePolicy(parse_tolerance(TOLERANCE, "tolerance"))
            sweep = sweep_vocabulary(measure, settings.pair, sizes, counts, Path(heads) / name, policy)
            (out / f"sweep_{name}.json").write_bytes(vocabulary_json(sweep))


def draw_all(out: Path) -> None:
    """Make the tables and the charts from the stored figures."""
    pruned = _read(out / "pruned_head.json")
    sweeps = {name: _read(out / f"sweep_{name}.json") for name in SWEEPS}
    (out / "study.md").write_text(study_text(pruned, sweeps), encoding="utf-8")
    draw_pruned_head(pruned, out / "pruned_head.png")
    draw_sweeps(sweeps, out / "sweep.png")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return content


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.vocab_pruning.study", description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    parser.add_argument("--draw", action="store_true", help="measure nothing: draw what --out holds")
    add_measurement_options(parser)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.draw:
        measure_all(settings_of(arguments), arguments.out)
    draw_all(arguments.out)


if __name__ == "__main__":
    main()
