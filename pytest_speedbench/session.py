"""One object per pytest session: settings, the runner, runs made, baselines to be written."""

from __future__ import annotations

import datetime
import os
import shlex
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from pytest_speedbench.baselines import (
    Baseline,
    baseline_path,
    check_keeps_prompts,
    load_baseline,
    write_baseline,
)
from pytest_speedbench.baselines.replaying import asked_pair, outputs_of
from pytest_speedbench.config import Pair
from pytest_speedbench.errors import BaselineError, ConfigError, SpeedbenchError, SpeedbenchWarning, VerdictError
from pytest_speedbench.measure import Progress, Run, StopRule
from pytest_speedbench.measure.asked import Splits
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.metrics.lossless import Difference, Judged
from pytest_speedbench.options import MARKER_KEYS, OPTIONS, REPORT_ATTRIBUTE
from pytest_speedbench.outputs import Outputs, write_outputs
from pytest_speedbench.report.entries import BaselineEntry, Entry, MeasurementEntry, to_plain
from pytest_speedbench.report.junit import figures
from pytest_speedbench.report.progress import progress_bar, progress_log
from pytest_speedbench.settings import (
    COMMAND_LINE,
    Layer,
    Project,
    Settings,
    did_you_mean,
    read_environment,
    read_layer,
    read_project,
    read_project_file,
    resolve,
)
from pytest_speedbench.splits import Split
from pytest_speedbench.splits.conditions import describe
from pytest_speedbench.splits.random_tokens import CONTROL_WARNING
from pytest_speedbench.splits.source import HUB_PREFIX

MOST_JUDGED = 20
"""Differing outputs whose logits are looked at; each costs one more request."""
_RANKED_TOKENS = 20
ORDER_SEED = 1
"""Of the order in which prompts are asked where a gate may stop early."""

_TEST = pytest.StashKey["_Test"]()


class _Test:
    """What one test measured, and the baselines it would write if it passes, each with a note for the summary."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.staged: list[tuple[Path, Baseline, str]] = []
        self.passed = False


class SpeedbenchSession:
    """Owns everything that outlives a test. All state of the plugin is here or in the tests' own stashes."""

    def __init__(self, config: pytest.Config, project: Project, outside: tuple[Layer, ...]) -> None:
        self.project = project
        self._config = config
        self._outside = outside
        self._runner: Runner | None = None
        self._splits = Splits(config.rootpath)
        self._runs: dict[tuple[object, ...], Run] = {}
        self._repeats: dict[tuple[object, ...], list[Run]] = {}

    @classmethod
    def from_config(cls, config: pytest.Config) -> SpeedbenchSession:
        """Read the project's table, the environment and the command line, once.

        Raises:
            pytest.UsageError: something in them cannot be used.
        """
        with usage_errors():
            project = read_project(read_project_file(config.rootpath / "pyproject.toml"))
            given = {o.key: value for o in OPTIONS if (value := getattr(config.option, o.dest, None)) is not None}
            return cls(config, project, (read_environment(os.environ), read_layer(COMMAND_LINE, given)))

    def settings(self, marker: Mapping[str, Any] | None = None, call: Mapping[str, Any] | None = None) -> Settings:
        """The settings in force: project, marker, environment, command line, the call's own arguments."""
        layers: list[Layer] = []
        if marker:
            layers.append(read_layer("the speedbench marker", marker))
        layers.extend(self._outside)
        if call:
            layers.append(read_layer("the call", call))
        return resolve(self.project, layers)

    def marker(self, item: pytest.Item) -> dict[str, Any]:
        """What the test's ``speedbench`` markers say, the closest one first.

        Raises:
            ConfigError: positional arguments, or settings a marker cannot take.
        """
        values: dict[str, Any] = {}
        for mark in item.iter_markers("speedbench"):
            if mark.args:
                raise ConfigError(
                    f"The speedbench marker of {item.nodeid} has positional arguments.",
                    'Name each: @pytest.mark.speedbench(split="mini").',
                )
            for key in mark.kwargs:
                if key not in MARKER_KEYS:
                    raise ConfigError(
                        f"The speedbench marker of {item.nodeid} takes no {key!r}.",
                        f"It takes: {', '.join(MARKER_KEYS)}.",
                    )
            values = {**mark.kwargs, **values}
        return values

    def check_outside(self) -> None:
        """Check the settings given outside of tests; on the command line also whether the pair can run."""
        with usage_errors():
            settings = self.settings()
            if self._outside[-1].values:
                self.check(settings)

    def check_items(self, items: Iterable[pytest.Item]) -> None:
        """Check what collected tests ask for."""
        with usage_errors():
            for item in items:
                try:
                    self.check(self.settings(self.marker(item)))
                except SpeedbenchError as error:
                    raise type(error)(f"{item.nodeid}: {error.problem}", error.remedy) from None

    def check(self, settings: Settings) -> None:
        """Refuse settings that can be known not to work, before anything is loaded.

        Raises:
            SpeedbenchError: engine, models, split, categories or the baseline folder cannot be used.
        """
        self.asked(settings)
        categories = self._whole(settings).categories
        for category in settings.tolerance.categories:
            if category not in categories:
                raise ConfigError(
                    f"A tolerance is given for {category!r}, but {settings.split} has no such category.",
                    did_you_mean(category, categories),
                )
        folder = self._config.rootpath / settings.baseline_dir
        if folder.exists() and not folder.is_dir():
            raise BaselineError(
                f"The baseline folder {folder} is a file.", "Name a folder with --speedbench-baseline-dir."
            )
        self.runner.check(self._asked_of(settings))

    def header(self) -> list[str]:
        """What will be measured by tests that say nothing else."""
        with usage_errors():
            settings = self.settings()
            pair, split = settings.pair, self.asked(settings)
        drafter = f"{pair.drafter}, K = {pair.drafter.draft_length}" if pair.drafter else "no drafter"
        part = f"{len(split)} prompts" if len(split) == split.total else f"{len(split)} of {split.total} prompts"
        if settings.where:
            part += f" where {describe(settings.where)}"
        if split.origin.startswith(HUB_PREFIX):
            part += f", {split.origin}"
        engine = pair.engine if settings.mode == "decode" else "replay"
        return [
            f"speedbench: {pair.name} ({engine}, {pair.model}, {drafter}) on {split.name} ({part})",
            f"speedbench: {self._baseline_state(settings)}",
        ]

    @property
    def runner(self) -> Runner:
        """The runner, made on first use."""
        if self._runner is None:
            self._runner = Runner(cache=self.settings().cache_dir)
        return self._runner

    def split(self, name: str) -> Split:
        """A whole split by name or path (relative to the project's root), as the project describes it."""
        return self._whole(self.settings(call={"split": name}))

    def path(self, name: str | Path) -> Path:
        """A file of the project: relative names are relative to its root."""
        return self._config.rootpath / name

    def asked(self, settings: Settings) -> Split:
        """The prompts that these settings ask."""
        return self._splits.asked(settings)

    def measure(self, settings: Settings, *, fresh: bool = False) -> Run:
        """Measure, or return the run that was measured with equal settings before, unless ``fresh``."""
        key = self._key(settings)
        if fresh or key not in self._runs:
            if settings.update and settings.repeat > 1:
                self._warm_up(settings)
            self._runs[key] = self._ask(settings)
        return self._runs[key]

    def measured(self, settings: Settings) -> Run | None:
        """The run that was measured with equal settings before; ``None`` if there is none."""
        return self._runs.get(self._key(settings))

    def measure_until(self, settings: Settings, rule: StopRule) -> Run:
        """Measure in a random order until a rule has decided every category.

        The order is the same in every session, so that a decision can be repeated.
        """
        run = self._ask(settings, stop=rule)
        if run.complete:
            self._runs[self._key(settings)] = run
        return run

    def repeats(self, settings: Settings, run: Run) -> list[Run]:
        """The further runs like ``run``, ``settings.repeat`` in all with it; each is measured once a session."""
        settings = replace(settings, pair=run.pair, sampling=run.sampling, load=run.load)
        further = self._repeats.setdefault(self._key(settings), [])
        while len(further) < settings.repeat - 1:
            further.append(self._ask(settings, f", run {len(further) + 2} of {settings.repeat}"))
        return further[: settings.repeat - 1]

    def _whole(self, settings: Settings) -> Split:
        return self._splits.whole(settings.split, settings.pair.model)

    def _key(self, settings: Settings) -> tuple[object, ...]:
        split = self.asked(settings)
        ids = tuple(prompt.question_id for prompt in split.prompts)
        return settings.pair, split.sha256, ids, settings.sampling, settings.load, settings.mode

    def _asked_of(self, settings: Settings) -> Pair:
        """The pair as it is asked: its engine, or the outputs that are stored beside its baseline."""
        return asked_pair(settings, self._whole(settings).name, self._config.rootpath)

    def _store_outputs(self, settings: Settings, outputs: Outputs) -> None:
        write_outputs(outputs_of(settings, self._whole(settings).name, self._config.rootpath), outputs)

    def _warm_up(self, settings: Settings) -> None:
        """Keep the engine's first use out of the speeds that a calibration stores."""
        from pytest_speedbench.sweeps.draft_length import warm_up_part

        part = warm_up_part(self.asked(settings), settings.load.concurrency)
        self.runner.measure(settings.pair, part, settings.sampling, settings.load, None, settings.timeouts)

    def _ask(self, settings: Settings, which: str = "", stop: StopRule | None = None) -> Run:
        split = self.asked(settings)
        if split.control:
            warnings.warn(SpeedbenchWarning(CONTROL_WARNING), stacklevel=2)
        with self._progress(f"speedbench: {settings.pair.name} on {split.name}{which}", len(split)) as report:
            return self.runner.measure(
                self._asked_of(settings),
                split,
                settings.sampling,
                settings.load,
                report,
                settings.timeouts,
                stop=stop,
                order_seed=None if stop is None else ORDER_SEED,
                keep_outputs=partial(self._store_outputs, settings) if settings.record_outputs else None,
            )

    def baseline(self, item: pytest.Item, settings: Settings, pair: str) -> Baseline:
        """The stored baseline of a pair on the settings' split; its reading is noted for the summary."""
        folder = self._config.rootpath / settings.baseline_dir
        split = self._whole(settings).name
        test = _test(item)
        path = baseline_path(folder, pair, split)
        test.entries.append(BaselineEntry(item.nodeid, self._shown(path), "read"))
        return load_baseline(folder, pair, split, record_command=self._record_command())

    def stage(self, item: pytest.Item, settings: Settings, run: Run) -> None:
        """Keep a run to become the baseline if its test passes; with ``settings.repeat`` further runs calibrate it.

        Raises:
            BaselineError: the run cannot be a baseline, or it would replace one of more prompts.
        """
        folder = self._config.rootpath / settings.baseline_dir
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        new = Baseline.from_run(run, date=date)
        path = baseline_path(folder, new.pair, new.split)
        if path.is_file() and len(run.conversations) < run.split.prompts:
            old = load_baseline(folder, new.pair, new.split, record_command=self._record_command())
            check_keeps_prompts(old, [prompt.id for prompt in new.prompts], self._shown(path))
        if settings.repeat > 1:
            new = Baseline.from_runs([run, *self.repeats(settings, run)], date=date)
        _test(item).staged.append((folder, new, self._calibration_note(folder, new)))

    def record(self, item: pytest.Item, entry: Entry) -> None:
        """Keep an entry for the summary, and a measurement's figures as properties of the test for other reports."""
        _test(item).entries.append(entry)
        if isinstance(entry, MeasurementEntry):
            item.user_properties.extend(figures(entry))

    def open_test(self, item: pytest.Item) -> Settings:
        """Begin to keep what a test measures; returns the settings in force for it."""
        item.stash[_TEST] = _Test()
        return self.settings(self.marker(item))

    def close_test(self, item: pytest.Item) -> None:
        """Write the baselines that a passing test staged."""
        test = _test(item)
        if test.passed:
            for folder, baseline, note in test.staged:
                path = write_baseline(folder, baseline)
                test.entries.append(BaselineEntry(item.nodeid, self._shown(path), "written", note))

    def finish_report(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Give the report its entries; show a user's mistake or a regression as words, not as a traceback."""
        if report.failed and call.excinfo and isinstance(call.excinfo.value, (SpeedbenchError, VerdictError)):
            report.longrepr = _in_words(item, str(call.excinfo.value))
        test = item.stash.get(_TEST, None)
        if test is None:
            return
        if call.when == "call":
            test.passed = report.passed
        if call.when == "teardown":
            setattr(report, REPORT_ATTRIBUTE, [to_plain(entry) for entry in test.entries])

    def judge(self, settings: Settings, target: Run, found: Sequence[Difference]) -> tuple[Judged, ...]:
        """Ask the target how near to a tie it was where the pair's output left its own, for the first differences."""
        prompts = {prompt.question_id: prompt for prompt in self.asked(settings).prompts}
        answers = {conversation.question_id: conversation for conversation in target.conversations}
        dtype = dtype_of(target)
        judged = []
        for difference in found[:MOST_JUDGED]:
            prompt = prompts[difference.question_id]
            turns = prompt.turns[: difference.turn + 1]
            replies = [turn.output_ids for turn in answers[difference.question_id].turns[: difference.turn]]
            ranked = self.runner.next_tokens(
                target.pair,
                turns,
                replies,
                difference.common_ids,
                _RANKED_TOKENS,
                settings.timeouts,
                system=prompt.system,
            )
            judged.append(Judged.of(difference, dict(ranked) if ranked is not None else None, dtype))
        return tuple(judged)

    def text(self, run: Run, token_ids: tuple[int, ...]) -> str:
        """The text of a run's output ids, for messages."""
        return self.runner.decode(run.pair, token_ids)

    def close(self) -> None:
        """Stop the engine. Safe to call twice."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _baseline_state(self, settings: Settings) -> str:
        """What there is to compare with, before anything is measured."""
        folder, pair = self._config.rootpath / settings.baseline_dir, settings.pair.name
        split = self._whole(settings).name
        path = baseline_path(folder, pair, split)
        if settings.update:
            return f"baselines of passing tests will be written to {settings.baseline_dir}"
        if not path.exists():
            return f"no baseline {self._shown(path)} yet; a gate will fail until one is recorded"
        try:
            stored = load_baseline(folder, pair, split, record_command=self._record_command())
        except BaselineError as error:
            return error.problem
        return f"baseline {self._shown(path)} of {stored.recorded.date}, tolerance {settings.tolerance}"

    def _calibration_note(self, folder: Path, new: Baseline) -> str:
        """What the summary says of the calibration of a baseline about to be written; empty if there never was one."""
        if new.calibration is not None:
            return f"calibrated by {new.calibration.runs} runs"
        try:
            old = load_baseline(folder, new.pair, new.split, record_command=self._record_command()).calibration
        except BaselineError:  # nothing readable is replaced
            return ""
        if old is None:
            return ""
        return f"the calibration of the replaced one is dropped; --speedbench-repeat={old.runs} makes a new one"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._config.rootpath)) if path.is_relative_to(self._config.rootpath) else str(path)

    def _record_command(self) -> str:
        args = [str(arg) for arg in self._config.invocation_params.args if arg != "--speedbench-update"]
        if any(arg.startswith("--speedbench-pair") for arg in args):
            args = _without_candidate(args)  # a pair's baseline is that of its own drafter
        return shlex.join(["pytest", *args, "--speedbench-update"])

    @contextmanager
    def _progress(self, title: str, total: int) -> Generator[Callable[[Progress], None] | None, None, None]:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or self._config.getoption("verbose") < 0:
            yield None
            return
        terminal = self._config.get_terminal_writer()
        capture = self._config.pluginmanager.get_plugin("capturemanager")

        def write(text: str) -> None:
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.ensure_newline()
                terminal.write(text, flush=True)

        context = progress_bar(write, title, total) if reporter.isatty else progress_log(write, title)
        with context as report:
            yield report


def dtype_of(run: Run) -> str | None:
    """In which the target computes; ``None`` if the engine does not say."""
    dtype = run.engine.args.get("dtype")
    return None if dtype is None else str(dtype)


def _in_words(item: pytest.Item, text: str) -> ReprExceptionInfo:
    """A failure shown as plain text; its first line alone is the message of short summaries and JUnit files."""
    path, line, _ = item.location
    traceback = ReprTraceback([ReprEntryNative([text + "\n"])], None, style="native")
    return ReprExceptionInfo(traceback, ReprFileLocation(path, (line or 0) + 1, text.partition("\n")[0]))


def _test(item: pytest.Item) -> _Test:
    return item.stash[_TEST]


def _without_candidate(args: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for arg in args:
        if not skip and not arg.startswith("--speedbench-drafter"):
            kept.append(arg)
        skip = arg == "--speedbench-drafter"
    return kept


@contextmanager
def usage_errors() -> Generator[None, None, None]:
    """A user's mistake that is known before any engine starts ends pytest with its usage error."""
    try:
        yield
    except SpeedbenchError as error:
        raise pytest.UsageError(f"speedbench: {error}") from None
