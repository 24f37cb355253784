"""One object per pytest session: settings, the runner, runs made, baselines to be written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_speedbench.baselines import Baseline
from pytest_speedbench.baselines.replaying import asked_pair
from pytest_speedbench.calls import calls_of
from pytest_speedbench.config import Pair
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.errors import BaselineError, ConfigError, SpeedbenchError, SpeedbenchWarning, VerdictError
from pytest_speedbench.gate.served import check_target
from pytest_speedbench.kept import earlier_verdict, finish_report, open_test, record
from pytest_speedbench.measure import Run, StopRule
from pytest_speedbench.measure.asked import Splits
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.metrics.lossless import Difference, Judged
from pytest_speedbench.on_terminal import progress_on
from pytest_speedbench.options import MARKER_KEYS, OPTIONS
from pytest_speedbench.outputs import Outputs
from pytest_speedbench.paths import lies_at
from pytest_speedbench.report.entries import Entry
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
from pytest_speedbench.stored import StoredBaselines
from pytest_speedbench.workers import side_by_side, spread_over_workers, workers_of

MOST_JUDGED = 20
"""Differing outputs whose logits are looked at; each costs one more request."""
_RANKED_TOKENS = 20
_KEPT_VERDICT = (
    "This test was run again in one session. A verdict is reached once a session and kept: of several tries the stated "
    "error would not hold."
)
_Made = TypeVar("_Made")
_MOST_IN_HEADER = 4
_SAID_IN_CODE = frozenset({"split", "pair", "model", "engine", "drafter", "prompts", "categories", "where", "isl"})
"""With one of these a call asks for something else than the settings in force."""
ORDER_SEED = 1
"""Of the order in which prompts are asked where a gate may stop early."""


class SpeedbenchSession:
    """Owns everything that outlives a test. All state of the plugin is here or in the tests' own stashes."""

    def __init__(self, config: pytest.Config, project: Project, outside: tuple[Layer, ...]) -> None:
        self.project = project
        self._collected: dict[tuple[object, ...], Settings] = {}
        self._config = config
        self._outside = outside
        self._runner: Runner | None = None
        self._stored = StoredBaselines(config)
        self._splits = Splits(config.rootpath)
        self._runs: dict[tuple[object, ...], Run] = {}
        self._outputs: dict[tuple[object, ...], Outputs] = {}
        self._workers = 1
        self._once: dict[tuple[object, ...], Any] = {}
        self._verdicts: dict[str, VerdictError] = {}
        self._repeats: dict[tuple[object, ...], list[Run]] = {}
        self._compared: dict[Pair, bool] = {}
        """Pairs on servers of others, and whether there was a record of their target to compare with."""

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
        """Check that what is said outside of tests can be read and exists. Whether it fits is the tests' to say."""
        with usage_errors():
            self.settings()
            for layer in self._outside:
                if "engine" in layer.values:
                    engine_factory(layer.values["engine"])

    def check_items(self, items: Sequence[pytest.Item]) -> None:
        """Check what collected tests ask for, as far as that is known, and whether several workers may run them.

        What a test names in code is its own to check.
        """
        self._workers = workers_of(self._config, items)
        with usage_errors():
            for item in items:
                try:
                    marker = self.marker(item)
                    settings = self.settings(marker)
                    calls = calls_of(getattr(item, "obj", None))
                    if any(not _SAID_IN_CODE & call.keys() for call in calls):
                        self.check(settings)
                except SpeedbenchError as error:
                    raise type(error)(f"{item.nodeid}: {error.problem}", error.remedy) from None
                self._collect(marker, calls)

    def _collect(self, marker: Mapping[str, Any], calls: Sequence[Mapping[str, object]]) -> None:
        """Keep what a test will measure, for the header."""
        for call in calls or ({},):
            said = {key: value for key, value in call.items() if key in _SAID_IN_CODE}
            if ... in said.values():
                continue
            with suppress(SpeedbenchError):  # the test's own business, which may be to see this
                settings = self.settings(marker, said)
                self._collected[self._key(settings)] = settings

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
        if lies_at(folder, "The baseline folder", BaselineError) == "file":
            raise BaselineError(
                f"The baseline folder {folder} is a file.", "Name a folder with --speedbench-baseline-dir."
            )
        self._stored.watch(settings, self._whole(settings).name)
        self.runner.check(self._asked_of(settings))

    def header(self) -> list[str]:
        """What the collected tests will measure, as far as that is known, each once."""
        found = list(self._collected.values())
        lines = [line for settings in found[:_MOST_IN_HEADER] for line in self._described(settings)]
        further = len(found) - _MOST_IN_HEADER
        return [*lines, f"speedbench: and {further} more measurements"] if further > 0 else lines

    def header_unseen(self) -> list[str]:
        """What tests measure that say nothing else, where other processes collect them; nothing if none could."""
        with suppress(SpeedbenchError):
            return self._described(self.settings())
        return []

    def _described(self, settings: Settings) -> list[str]:
        """One measurement and its baseline."""
        pair, split = settings.pair, self.asked(settings)
        drafter = f"{pair.drafter}, K = {pair.drafter.draft_length}" if pair.drafter else "no drafter"
        if pair.dtype is not None:
            drafter += f", {pair.dtype}"
        part = f"{len(split)} prompts" if len(split) == split.total else f"{len(split)} of {split.total} prompts"
        if settings.where:
            part += f" where {describe(settings.where)}"
        if split.origin.startswith(HUB_PREFIX):
            part += f", {split.origin}"
        engine = pair.engine if settings.mode == "decode" else "replay"
        return [
            *(f"speedbench: {words}" for words in pair.dropped),
            f"speedbench: {pair.name} ({engine}, {pair.model}, {drafter}) on {split.name} ({part})",
            f"speedbench: {self._stored.state(settings, self._whole(settings).name)}",
            *spread_over_workers(self._config),
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

    def has(self, settings: Settings, what: tuple[object, ...]) -> bool:
        """Whether :meth:`once` has been asked for this before."""
        return (*self._key(settings), *what) in self._once

    def once(self, settings: Settings, what: tuple[object, ...], make: Callable[[], _Made]) -> _Made:
        """What was made of these settings before in this session, made now if it was not.

        A verdict's error holds for one look at one measurement: a test that is run again gets both again.
        """
        key = (*self._key(settings), *what)
        if key not in self._once:
            self._once[key] = make()
        made: _Made = self._once[key]
        return made

    def repeats(self, settings: Settings, run: Run) -> list[Run]:
        """The further runs like ``run``, ``settings.repeat`` in all with it; each is measured once a session."""
        settings = replace(settings, pair=run.pair, sampling=run.sampling, load=run.load, record_outputs=False)
        further = self._repeats.setdefault(self._key(settings), [])
        while len(further) < settings.repeat - 1:
            further.append(self._ask(settings, f", run {len(further) + 2} of {settings.repeat}"))
        return further[: settings.repeat - 1]

    def _whole(self, settings: Settings) -> Split:
        return self._splits.whole(settings.split, settings.pair.model)

    def _key(self, settings: Settings) -> tuple[object, ...]:
        split = self.asked(settings)
        ids = tuple(prompt.question_id for prompt in split.prompts)
        return (
            settings.pair,
            split.sha256,
            ids,
            settings.sampling,
            settings.load,
            settings.mode,
            settings.record_outputs,
        )

    def _asked_of(self, settings: Settings) -> Pair:
        """The pair as it is asked: its engine, or the outputs that are stored beside its baseline."""
        return asked_pair(settings, self._whole(settings).name, self._config.rootpath)

    def _warm_up(self, settings: Settings) -> None:
        """Keep the engine's first use out of the speeds that a calibration stores."""
        from pytest_speedbench.sweeps.draft_length import warm_up_part

        part = warm_up_part(self.asked(settings), settings.load.concurrency)
        self.runner.measure(settings.pair, part, settings.sampling, settings.load, None, settings.timeouts)

    def _ask(self, settings: Settings, which: str = "", stop: StopRule | None = None) -> Run:
        split, pair = self.asked(settings), self._asked_of(settings)
        if pair.server is not None and pair not in self._compared:
            baselines = self._stored.of_the_split(settings, self._whole(settings).name)
            self._compared[pair] = check_target(self.runner, pair, split, settings, baselines)
        if self._workers > 1:
            warnings.warn(SpeedbenchWarning(side_by_side(self._workers)), stacklevel=2)
        keep_outputs = partial(self._outputs.__setitem__, self._key(settings)) if settings.record_outputs else None
        if split.control:
            warnings.warn(SpeedbenchWarning(CONTROL_WARNING), stacklevel=2)
        with progress_on(
            self._config, f"speedbench: {settings.pair.name} on {split.name}{which}", len(split)
        ) as report:
            return self.runner.measure(
                pair,
                split,
                settings.sampling,
                settings.load,
                report,
                settings.timeouts,
                stop=stop,
                order_seed=None if stop is None else ORDER_SEED,
                keep_outputs=keep_outputs,
            )

    def baseline(self, item: pytest.Item, settings: Settings, pair: str) -> Baseline:
        """The stored baseline of a pair on the settings' split; its reading is noted for the summary."""
        return self._stored.read(item, settings, pair, self._whole(settings).name)

    def stage(self, item: pytest.Item, settings: Settings, run: Run) -> None:
        """Keep a run to become the baseline if its test passes; with ``settings.repeat`` further runs calibrate it.

        Raises:
            BaselineError: see :meth:`pytest_speedbench.stored.StoredBaselines.stage`.
        """
        note = ""
        if run.pair.server is not None and not self._compared.get(run.pair):
            note = f"that {run.pair.model} is served is taken from the pair: there was no record of it to compare with"
        self._stored.stage(item, settings, run, lambda: self.repeats(settings, run), note)

    def stage_outputs(self, item: pytest.Item, settings: Settings, run: Run) -> None:
        """Keep what a run's target put out, if the settings record it, to be stored if its test passes.

        Raises:
            BaselineError: see :meth:`pytest_speedbench.stored.StoredBaselines.stage_outputs`.
        """
        if settings.record_outputs:
            outputs = self._outputs[self._key(settings)]
            self._stored.stage_outputs(item, settings, run, outputs, self._whole(settings).name)

    def record(self, item: pytest.Item, entry: Entry) -> None:
        """Keep an entry for the summary, and a measurement's figures as properties of the test for other reports."""
        record(item, entry)

    def open_test(self, item: pytest.Item) -> Settings:
        """Begin to keep what a test measures; returns the settings in force for it."""
        open_test(item, self._verdicts.get(item.nodeid))
        return self.settings(self.marker(item))

    def check_alone(self) -> None:
        """Refuse speeds that are measured while other workers of this session measure too.

        Raises:
            ConfigError: it is spread over workers that may all measure.
        """
        if self._workers > 1:
            raise ConfigError(
                f"Speeds are not measured while {self._workers} workers may measure side by side.",
                "Give --dist=load and a [tool.speedbench] table or option: all tests that use speedbench then run in "
                "one worker. Or run without -n.",
            )

    def check_undecided(self, item: pytest.Item) -> None:
        """Fail a test that is run again as it failed before: its verdict is reached once a session, and kept.

        Raises:
            VerdictError: what it failed with.
        """
        kept = earlier_verdict(item)
        if kept is not None:
            raise type(kept)(f"{kept}\n\n{_KEPT_VERDICT}")

    def finish_report(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Give the report its entries; show a user's mistake or a regression as words, not as a traceback."""
        if call.excinfo and isinstance(call.excinfo.value, VerdictError) and earlier_verdict(item) is None:
            self._verdicts.setdefault(item.nodeid, call.excinfo.value)
        finish_report(item, call, report)

    def judge(self, settings: Settings, target: Run, found: Sequence[Difference]) -> tuple[Judged, ...]:
        """Ask the target how near to a tie it was where the pair's output left its own, for the first differences."""
        prompts = {prompt.question_id: prompt for prompt in self.asked(settings).prompts}
        answers = {conversation.question_id: conversation for conversation in target.conversations}
        dtype = target.dtype
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
        """Stop the engine, remove what was staged and not written. Safe to call twice."""
        if not hasattr(self._config, "workerinput"):  # a worker's drafts are put in their places by the controller
            self._stored.discard()
        if self._runner is not None:
            self._runner.close()
            self._runner = None


@contextmanager
def usage_errors() -> Generator[None, None, None]:
    """A user's mistake that is known before any engine starts ends pytest with its usage error."""
    try:
        yield
    except SpeedbenchError as error:
        raise pytest.UsageError(f"speedbench: {error}") from None
