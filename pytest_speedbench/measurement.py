"""What a test holds in its hands: the ``speedbench`` fixture's object and the measurements it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_speedbench.baselines.fingerprint import AcceptanceKey, acceptance_differences
from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.errors import BaselineError, ConfigError, NotLosslessError, RegressionError
from pytest_speedbench.gate import GatePolicy, GateResult, compare, failure_message, pair_up
from pytest_speedbench.metrics.lossless import differences
from pytest_speedbench.metrics.summary import Summary, summarize
from pytest_speedbench.report.entries import LosslessEntry
from pytest_speedbench.report.gate import gate_entry
from pytest_speedbench.report.lossless import lossless_message
from pytest_speedbench.report.measurement import measurement_entry
from pytest_speedbench.session import dtype_of
from pytest_speedbench.settings import Settings, Tolerance, parse_tolerance

if TYPE_CHECKING:
    import pytest

    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.metrics.acceptance import AcceptanceFigures
    from pytest_speedbench.session import SpeedbenchSession
    from pytest_speedbench.splits import Split

_CALL_KEYS = (
    "engine", "model", "drafter", "draft_length", "pair", "categories", "prompts", "concurrency", "max_tokens",
)  # fmt: skip


class Speedbench:
    """The ``speedbench`` fixture: measures, compares, records.

    ``settings`` are those in force for this test, from the project, the marker, the environment and the command line.
    """

    def __init__(self, session: SpeedbenchSession, item: pytest.Item, settings: Settings) -> None:
        self.settings = settings
        self._session = session
        self._item = item

    @property
    def pair(self) -> Pair:
        """The pair in force."""
        return self.settings.pair

    @property
    def pairs(self) -> Mapping[str, Pair]:
        """All named pairs: the bundled ones and those of ``[tool.speedbench.pairs]``."""
        return self._session.project.pairs

    def split(self, name: str) -> Split:
        """Load a split by name or path.

        Raises:
            SplitError: it does not exist or its rows cannot be used.
        """
        return self._session.split(name)

    def measure(
        self,
        split: str | None = None,
        *,
        pair: str | Pair | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        fresh: bool = False,
        **settings: Any,
    ) -> Measurement:
        """Measure a pair on a split and record its figures with this test.

        Args:
            split: a split's name or path; the one in force if left out.
            pair: a named pair, or a :class:`~pytest_speedbench.Pair`; the one in force if left out.
            temperature: 0 for greedy decoding.
            top_p: share of the probability mass that sampling keeps.
            seed: where the draws of a sampled measurement start.
            fresh: measure again even if this session has measured exactly this already.
            **settings: any of ``engine``, ``model``, ``drafter``, ``draft_length``, ``categories``, ``prompts``,
                ``concurrency``, ``max_tokens``, each as on the command line. They mean exactly what they say: no
                option overrides them.

        Raises:
            SpeedbenchError: something asked for does not exist, does not fit, or failed.
        """
        chosen = self._settings(split, pair, settings)
        sampling = _sampling(chosen.sampling, temperature, top_p, seed)
        return self._measure(replace(chosen, sampling=sampling), fresh=fresh)

    def compare(
        self, reference: str | Pair, candidate: str | Pair, split: str | None = None, **settings: Any
    ) -> Comparison:
        """Measure two pairs of one target on the same prompts, to be compared with each other.

        Raises:
            SpeedbenchError: something asked for does not exist, does not fit, or failed.
        """
        first = self.measure(split, pair=reference, **settings)
        return Comparison(self._session, self._item, first, self.measure(split, pair=candidate, **settings))

    def _settings(self, split: str | None, pair: str | Pair | None, extra: Mapping[str, Any]) -> Settings:
        unknown = [key for key in extra if key not in _CALL_KEYS]
        if unknown:
            raise ConfigError(f"measure() takes no {unknown[0]!r}.", f"It takes: {', '.join(_CALL_KEYS)}.")
        call = dict(extra)
        if split is not None:
            call["split"] = split
        if isinstance(pair, str):
            call["pair"] = pair
        chosen = self._session.settings(self._session.marker(self._item), call)
        return replace(chosen, pair=pair) if isinstance(pair, Pair) else chosen

    def _measure(self, settings: Settings, *, fresh: bool) -> Measurement:
        self._session.check(settings)
        run = self._session.measure(settings, fresh=fresh)
        measurement = Measurement(self._session, self._item, settings, run)
        self._session.record(self._item, measurement_entry(self._item.nodeid, run, measurement.summary))
        return measurement


class Measurement:
    """One measured run, its figures, and the checks a test can make on it.

    ``run`` is the raw record, ``summary`` every figure computed from it.
    """

    def __init__(self, session: SpeedbenchSession, item: pytest.Item, settings: Settings, run: Run) -> None:
        self.run = run
        self.settings = settings
        self._session = session
        self._item = item

    @cached_property
    def summary(self) -> Summary:
        """All figures of the run."""
        return summarize(self.run)

    @property
    def al_macro(self) -> float | None:
        """Mean acceptance length over conversations; ``None`` without acceptance records."""
        return self.summary.acceptance.overall.al_macro

    @property
    def al_pooled(self) -> float | None:
        """Acceptance length over all verify steps; ``None`` without acceptance records."""
        return self.summary.acceptance.overall.al_pooled

    @property
    def output_tps(self) -> float | None:
        """Generated tokens per second of the whole run."""
        return self.summary.throughput.output_tps

    def category(self, name: str) -> AcceptanceFigures:
        """The acceptance figures of one category.

        Raises:
            ConfigError: the run has no such category.
        """
        figures = self.summary.acceptance.by_category
        if name not in figures:
            raise ConfigError(f"The run has no category {name!r}.", f"It has: {', '.join(figures)}.")
        return figures[name]

    def gate(self, *, baseline: str | None = None, tolerance: Any = None) -> GateResult:
        """Compare with a stored baseline and return the verdicts, without failing.

        Args:
            baseline: the pair whose baseline to compare with; this run's own pair if left out.
            tolerance: as ``--speedbench-tolerance`` takes it, or a number, or a table by category.

        Raises:
            BaselineError: there is no such baseline, it is damaged, or it is not comparable with this run.
        """
        stored = self._session.baseline(self._item, self.settings, baseline or self.run.pair.name)
        _check_comparable(stored.acceptance_key, self.run, f"the baseline of {stored.pair!r} on {stored.split!r}")
        result = compare(pair_up(stored, self.run), _policy(self.settings.tolerance, tolerance))
        self._session.record(self._item, gate_entry(self._item.nodeid, self.run.pair.name, result))
        return result

    def assert_no_regression(self, *, baseline: str | None = None, tolerance: Any = None) -> None:
        """Fail if a category's acceptance length dropped by more than the tolerance.

        With ``--speedbench-update`` this run becomes the baseline if the test passes, and nothing is compared.

        Raises:
            RegressionError: a category regressed, or lacks the data to say.
            BaselineError: see :meth:`gate`.
        """
        if self.settings.update and baseline in (None, self.run.pair.name):
            self._session.stage(self._item, self.settings, self.run)
            return
        _raise_if_failed(self.gate(baseline=baseline, tolerance=tolerance))

    def assert_lossless(self, *, prompts: int | None = None, near_ties: bool = False) -> None:
        """Fail if the pair's greedy output is not the target's own, token for token.

        The target alone is measured on the same prompts, once a session. With ``prompts`` only so many of them are
        compared, chosen as ``--speedbench-prompts`` chooses. With ``near_ties`` an output may differ where the target's
        own log-probabilities of the two tokens are so close that rounding in its dtype turns them over, in as many
        outputs as are looked at.

        Raises:
            NotLosslessError: an output differs; the message shows where first.
            ConfigError: the run was sampled, or has no drafter.
        """
        if not self.run.sampling.greedy:
            raise ConfigError("A sampled run cannot be compared token by token.", "Measure it at temperature 0.")
        if self.run.pair.drafter is None:
            raise ConfigError(f"The pair {self.run.pair.name!r} has no drafter to check.", "Check a pair that has one.")
        if self.run.pair.endpoint is not None:
            raise ConfigError(
                f"The server at {self.run.pair.endpoint} cannot decode without its drafter.",
                "Let the target alone be served too: compare with a measurement of it, or drop the endpoint.",
            )
        alone = replace(self.run.pair, name=f"{self.run.pair.model} alone", drafter=None)
        asked = [count for count in (prompts, self.settings.prompts) if count is not None]
        settings = replace(self.settings, pair=alone, prompts=min(asked, default=None))
        target = self._session.measure(settings)
        found = differences(target, self.run)
        judged = self._session.judge(settings, target, found)
        ties = sum(difference.near_tie is True for difference in judged)
        asked_prompts = len(target.conversations)
        entry = LosslessEntry(self._item.nodeid, self.run.pair.name, asked_prompts, len(found), ties)
        self._session.record(self._item, entry)
        if not found or (near_ties and ties == len(found)):
            return

        def text(ids: tuple[int, ...]) -> str:
            return self._session.text(self.run, ids)

        pair, dtype = self.run.pair.name, dtype_of(target)
        raise NotLosslessError(lossless_message(pair, judged, len(found), asked_prompts, dtype, text))


class Comparison:
    """Two measurements of the same prompts: is the candidate worse than the reference?"""

    def __init__(
        self, session: SpeedbenchSession, item: pytest.Item, reference: Measurement, candidate: Measurement
    ) -> None:
        self.reference = reference
        self.candidate = candidate
        self._session = session
        self._item = item

    def gate(self, *, tolerance: Any = None) -> GateResult:
        """Compare and return the verdicts, without failing. ``tolerance`` is as in :meth:`Measurement.gate`.

        Raises:
            BaselineError: the two measurements are not comparable.
        """
        reference, candidate = self.reference.run, self.candidate.run
        _check_comparable(AcceptanceKey.of(reference), candidate, f"the measurement of {reference.pair.name!r}")
        result = compare(pair_up(reference, candidate), _policy(self.candidate.settings.tolerance, tolerance))
        self._session.record(self._item, gate_entry(self._item.nodeid, candidate.pair.name, result))
        return result

    def assert_no_regression(self, *, tolerance: Any = None) -> None:
        """Fail if a category's acceptance length is lower than the reference's by more than the tolerance.

        Raises:
            RegressionError: a category regressed, or lacks the data to say.
            BaselineError: the two measurements are not comparable.
        """
        _raise_if_failed(self.gate(tolerance=tolerance))


def _check_comparable(key: AcceptanceKey, run: Run, what: str) -> None:
    """Refuse a comparison of unlike things. A missing record is not one: the gate names it, prompt by prompt."""
    measured = AcceptanceKey.of(run)
    if measured.source is None:
        measured = msgspec.structs.replace(measured, source=key.source, draft_length=key.draft_length)
    found = acceptance_differences(key, measured)
    if found:
        raise BaselineError(
            f"This run of {run.pair.name!r} is not comparable with {what}: {'; '.join(map(str, found))}.",
            "Measure under the same settings; after an intended change record a new baseline with --speedbench-update.",
        )


def _policy(settings: Tolerance, tolerance: Any) -> GatePolicy:
    chosen = settings if tolerance is None else parse_tolerance(tolerance, "tolerance")
    return GatePolicy(tolerance=chosen.default, by_category=chosen.by_category)


def _raise_if_failed(result: GateResult) -> None:
    if result.failed:
        raise RegressionError(failure_message(result))


def _sampling(base: Sampling, temperature: float, top_p: float, seed: int) -> Sampling:
    if temperature < 0 or not 0 < top_p <= 1:
        raise ConfigError(
            f"A temperature of {temperature} with a top_p of {top_p} cannot be sampled.",
            "Give a temperature of at least 0 and a top_p above 0 and up to 1.",
        )
    return replace(base, temperature=temperature, top_p=top_p, seed=seed)
