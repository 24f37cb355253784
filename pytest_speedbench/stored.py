"""The stored baselines of a session: read for its gates, staged by its tests."""

from __future__ import annotations

import contextlib
import datetime
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from pytest_speedbench.baselines import Baseline, baseline_path, baselines_on, check_keeps_prompts, load_baseline
from pytest_speedbench.baselines.fingerprint import AcceptanceKey
from pytest_speedbench.baselines.store import outputs_path, to_text
from pytest_speedbench.errors import BaselineError, OutputsError
from pytest_speedbench.kept import record, shown
from pytest_speedbench.measure import Run
from pytest_speedbench.outputs import SUFFIX, Outputs, outputs_bytes, read_outputs
from pytest_speedbench.redaction import redact_text
from pytest_speedbench.report.entries import BaselineEntry, StagedEntry
from pytest_speedbench.report.replaced import baseline_changes, outputs_changes
from pytest_speedbench.settings import Settings
from pytest_speedbench.staging import Staging
from pytest_speedbench.states import open_states, states_beside

_UNREADABLE = "replaces a file that could not be read"


class StoredBaselines:
    """Reads baselines and stages new ones, in words that name the session's own command."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._staging = Staging()
        self._drafts: list[tuple[Run, StagedEntry]] = []

    def read(self, item: pytest.Item, settings: Settings, pair: str, split: str) -> Baseline:
        """The stored baseline of a pair on a split; its reading is noted for the summary."""
        folder = self._folder(settings)
        path = baseline_path(folder, pair, split)
        record(item, BaselineEntry(item.nodeid, self._shown(path)))
        return self._load(folder, pair, split)

    def watch(self, settings: Settings, split: str) -> None:
        """See before anything is measured that what these settings would write can be written.

        Raises:
            BaselineError: it cannot.
        """
        path = baseline_path(self._folder(settings), settings.pair.name, split)
        if settings.update and settings.pair.drafter is not None:
            self._staging.watch(path)
        if settings.record_outputs:
            self._staging.watch(path.with_suffix(SUFFIX))

    def of_the_split(self, settings: Settings, split: str) -> Iterator[Baseline]:
        """The stored baselines on a split that can be read, the pair's own first."""
        return baselines_on(self._folder(settings), settings.pair.name, split)

    def stage(
        self, item: pytest.Item, settings: Settings, run: Run, repeats: Callable[[], Sequence[Run]], note: str = ""
    ) -> None:
        """Keep a run to become the baseline if its test passes; with ``settings.repeat`` further runs calibrate it.

        Args:
            item: the test.
            settings: of the measurement.
            run: the measurement.
            repeats: measures the further runs, once nothing speaks against this one.
            note: what the summary is to say of the new baseline besides.

        Raises:
            BaselineError: the run cannot be a baseline, it would replace one of more prompts or one that was changed
                meanwhile, or another test staged one of other settings.
        """
        folder = self._folder(settings)
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        new = Baseline.from_run(run, date=date)
        new.check_can_be_gated()
        path = baseline_path(folder, new.pair, new.split)
        seen, old = self._staging.unchanged(path, self._shown(path)), self._replaced(folder, new, run)
        prompts = [prompt.id for prompt in new.prompts]
        partial = old is not None and len(run.conversations) < run.split.prompts
        lacks = {prompt.id for prompt in old.prompts}.difference(prompts) if old is not None and partial else set()
        whole_is_staged = any(set(prompts) | lacks <= set(entry.prompts) for entry in self._staging.of(path))
        if old is not None and lacks and not whole_is_staged:
            check_keeps_prompts(old, prompts, self._shown(path))
        if settings.repeat > 1:
            new = Baseline.from_runs([run, *repeats()], date=date)
        before = self._draft_of(run, path)
        draft, made = before or self._staging.write(path, to_text(new).encode())
        entry = StagedEntry(
            test=item.nodeid,
            kind="baseline",
            path=str(path),
            draft=draft,
            seen=seen,
            made=made,
            prompts=prompts,
            key=new.acceptance_key,
            drafter=new.recorded.drafter,
            engine=new.recorded.engine,
            note="; ".join(words for words in (_calibration_note(old, new), note) if words),
            lines=baseline_changes(old, new) if seen is None or old is not None else [_UNREADABLE],
            lacks=len(lacks),
        )
        self._keep(item, run, entry)

    def stage_outputs(self, item: pytest.Item, settings: Settings, run: Run, outputs: Outputs, split: str) -> None:
        """Keep what a run's target put out, to be stored if its test passes.

        Raises:
            BaselineError: other settings were staged for the same place, or it was changed meanwhile.
        """
        path = outputs_path(self._folder(settings), settings.pair.name, split)
        seen = self._staging.unchanged(path, self._shown(path))
        old: Outputs | None = None
        lines = [_UNREADABLE]
        with contextlib.suppress(OutputsError):
            old = read_outputs(path) if seen is not None else None
            lines = outputs_changes(old, outputs)
        before = self._draft_of(run, path)
        draft, made = before or self._staging.write(path, outputs_bytes(outputs))
        entry = StagedEntry(
            test=item.nodeid,
            kind="outputs",
            path=str(path),
            draft=draft,
            seen=seen,
            made=made,
            prompts=[conversation.question_id for conversation in run.conversations],
            # Whatever drafts, the target puts out the same.
            key=msgspec.structs.replace(AcceptanceKey.of(run), draft_length=0, source=None),
            drafter="",
            engine=run.engine.name,
            note="",
            lines=[*lines, *_stale_states(path, outputs)],
        )
        self._keep(item, run, entry)

    def discard(self) -> None:
        """Remove the drafts that were not put in their places."""
        self._staging.discard()

    def _draft_of(self, run: Run, path: Path) -> tuple[str, list[str]] | None:
        """Where a run is staged already: tests that share a measurement share its draft."""
        for known, entry in self._drafts:
            if known is run and entry.path == str(path):
                return entry.draft, entry.made
        return None

    def _keep(self, item: pytest.Item, run: Run, entry: StagedEntry) -> None:
        record(item, entry)  # first: its draft is to be removed whatever is said of it
        self._staging.add(entry, self._shown(Path(entry.path)))
        self._drafts.append((run, entry))

    def _replaced(self, folder: Path, new: Baseline, run: Run) -> Baseline | None:
        """The baseline that a new one replaces; ``None`` if there is none, or none that can be read.

        Raises:
            BaselineError: it cannot be read, and only a part of the split was asked.
        """
        try:
            return self._load(folder, new.pair, new.split)
        except BaselineError:
            if baseline_path(folder, new.pair, new.split).is_file() and len(run.conversations) < run.split.prompts:
                raise
            return None

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

    def _folder(self, settings: Settings) -> Path:
        return self._config.rootpath / settings.baseline_dir

    def _load(self, folder: Path, pair: str, split: str) -> Baseline:
        return load_baseline(folder, pair, split, record_command=self._record_command())

    def _shown(self, path: Path) -> str:
        return shown(path, self._config.rootpath)

    def _record_command(self) -> str:
        args = [str(arg) for arg in self._config.invocation_params.args if arg != "--speedbench-update"]
        args = _without(args, "--speedbench-mode")  # what is replayed cannot become a baseline
        if any(arg.startswith("--speedbench-pair") for arg in args):
            args = _without(args, "--speedbench-drafter")  # a pair's baseline is that of its own drafter
        return shlex.join(["pytest", *map(redact_text, args), "--speedbench-update"])


def _calibration_note(old: Baseline | None, new: Baseline) -> str:
    """What the summary says of the calibration of a baseline about to be written; empty if there never was one."""
    if new.calibration is not None:
        return f"calibrated by {new.calibration.runs} runs"
    if old is None or old.calibration is None:
        return ""
    return f"the calibration of the replaced one is dropped; --speedbench-repeat={old.calibration.runs} makes a new one"


def _stale_states(path: Path, outputs: Outputs) -> list[str]:
    """Says if states that were recorded on the outputs before do not belong to these."""
    folder = states_beside(path)
    if not folder.exists():
        return []
    with contextlib.suppress(OutputsError):
        states = open_states(folder, record_command="speedbench states")
        if all(map(states.holds, outputs.rows)):
            return []
    return [f"the recorded states in {folder.name} are of other outputs: record them anew with speedbench states"]


def _without(args: Sequence[str], option: str) -> list[str]:
    kept: list[str] = []
    skip = False
    for arg in args:
        if not skip and arg != option and not arg.startswith(f"{option}="):
            kept.append(arg)
        skip = arg == option
    return kept
