"""The stored baselines of a session: read for its gates, staged by its tests."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_speedbench.baselines import Baseline, baseline_path, check_keeps_prompts, load_baseline
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.kept import Kept, shown
from pytest_speedbench.measure import Run
from pytest_speedbench.redaction import redact_text
from pytest_speedbench.report.entries import BaselineEntry
from pytest_speedbench.settings import Settings


class StoredBaselines:
    """Reads baselines and stages new ones, in words that name the session's own command."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def read(self, item: pytest.Item, settings: Settings, pair: str, split: str) -> Baseline:
        """The stored baseline of a pair on a split; its reading is noted for the summary."""
        folder = self._folder(settings)
        path = baseline_path(folder, pair, split)
        Kept.of(item).entries.append(BaselineEntry(item.nodeid, self._shown(path), "read"))
        return self._load(folder, pair, split)

    def stage(self, item: pytest.Item, settings: Settings, run: Run, repeats: Callable[[], Sequence[Run]]) -> None:
        """Keep a run to become the baseline if its test passes; with ``settings.repeat`` further runs calibrate it.

        Args:
            item: the test.
            settings: of the measurement.
            run: the measurement.
            repeats: measures the further runs, once nothing speaks against this one.

        Raises:
            BaselineError: the run cannot be a baseline, or it would replace one of more prompts.
        """
        folder = self._folder(settings)
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        new = Baseline.from_run(run, date=date)
        path = baseline_path(folder, new.pair, new.split)
        if path.is_file() and len(run.conversations) < run.split.prompts:
            old = self._load(folder, new.pair, new.split)
            check_keeps_prompts(old, [prompt.id for prompt in new.prompts], self._shown(path))
        if settings.repeat > 1:
            new = Baseline.from_runs([run, *repeats()], date=date)
        Kept.of(item).staged.append((folder, new, self._calibration_note(folder, new)))

    def state(self, settings: Settings, split: str) -> str:
        """What there is to compare with, before anything is measured."""
        folder, pair = self._folder(settings), settings.pair.name
        path = baseline_path(folder, pair, split)
        if settings.update:
            return f"baselines of passing tests will be written to {settings.baseline_dir}"
        if not path.exists():
            return f"no baseline {self._shown(path)} yet; a gate will fail until one is recorded"
        try:
            stored = self._load(folder, pair, split)
        except BaselineError as error:
            return error.problem
        return f"baseline {self._shown(path)} of {stored.recorded.date}, tolerance {settings.tolerance}"

    def _calibration_note(self, folder: Path, new: Baseline) -> str:
        """What the summary says of the calibration of a baseline about to be written; empty if there never was one."""
        if new.calibration is not None:
            return f"calibrated by {new.calibration.runs} runs"
        try:
            old = self._load(folder, new.pair, new.split).calibration
        except BaselineError:  # nothing readable is replaced
            return ""
        if old is None:
            return ""
        return f"the calibration of the replaced one is dropped; --speedbench-repeat={old.runs} makes a new one"

    def _folder(self, settings: Settings) -> Path:
        return self._config.rootpath / settings.baseline_dir

    def _load(self, folder: Path, pair: str, split: str) -> Baseline:
        return load_baseline(folder, pair, split, record_command=self._record_command())

    def _shown(self, path: Path) -> str:
        return shown(path, self._config.rootpath)

    def _record_command(self) -> str:
        args = [str(arg) for arg in self._config.invocation_params.args if arg != "--speedbench-update"]
        if any(arg.startswith("--speedbench-pair") for arg in args):
            args = _without_candidate(args)  # a pair's baseline is that of its own drafter
        return shlex.join(["pytest", *map(redact_text, args), "--speedbench-update"])


def _without_candidate(args: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for arg in args:
        if not skip and not arg.startswith("--speedbench-drafter"):
            kept.append(arg)
        skip = arg == "--speedbench-drafter"
    return kept
