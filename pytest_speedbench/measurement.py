"""What a test holds in its hands: the ``speedbench`` fixture's object and the measurements it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_speedbench.baselines.fingerprint import AcceptanceKey
from pytest_speedbench.baselines.published import read_published
from pytest_speedbench.config import DEFAULT_DRAFT_LENGTH, Drafter, DrafterMethod, Pair, Sampling
from pytest_speedbench.errors import ConfigError, NotLosslessError, RegressionError
from pytest_speedbench.gate import GateResult, SequentialGate, compare, pair_up
from pytest_speedbench.gate.speed import SpeedResult, compare_speed, for_speed
from pytest_speedbench.gate.unpaired import pairing_with_table
from pytest_speedbench.metrics.lossless import differences
from pytest_speedbench.metrics.summary import Summary, summarize
from pytest_speedbench.report.entries import LosslessEntry
from pytest_speedbench.report.gate import gate_entry
from pytest_speedbench.report.lossless import lossless_message
from pytest_speedbench.report.measurement import measurement_entry
from pytest_speedbench.report.regression import with_doubts
from pytest_speedbench.report.speed import slowdown_message, speed_entry
from pytest_speedbench.settings import Settings
from pytest_speedbench.speed import compare_with_stored, measure_in_turn
from pytest_speedbench.sweeps.interleaved import Speedup
from pytest_speedbench.verdicts import Verdicts, check_comparable, check_will_be_comparable, name_of, policy_of

if TYPE_CHECKING:
    import pytest

    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.metrics.acceptance import AcceptanceFigures
    from pytest_speedbench.session import SpeedbenchSession
    from pytest_speedbench.splits import Split

_CALL_KEYS = (
    "engine", "model", "drafter", "draft_length", "dtype", "tensor_parallel", "context_tokens", "pair", "columns",
    "allow_placeholders", "isl", "categories", "where", "prompts", "concurrency", "max_tokens",
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
            **settings: any of ``engine``, ``model``, ``drafter``, ``draft_length``, ``dtype``, ``tensor_parallel``,
                ``context_tokens``, ``columns``, ``isl``, ``allow_placeholders``, ``categories``, ``where``,
                ``prompts``, ``concurrency``, ``max_tokens``, each as on the command line. They mean exactly what they
                say: no option overrides them.

        Raises:
            SpeedbenchError: something asked for does not exist, does not fit, or failed.
        """
        chosen = self._settings(split, pair, settings)
        sampling = _sampling(chosen.sampling, temperature, top_p, seed)
        return self._measure(replace(chosen, sampling=sampling), fresh=fresh)

    def gate(
        self,
        split: str | None = None,
        *,
        pair: str | Pair | None = None,
        baseline: str | None = None,
        tolerance: Any = None,
        **settings: Any,
    ) -> GateResult:
        """Measure as much as the verdict needs, compare with a stored baseline, and return the verdicts; never fail.

        Unless ``--speedbench-sequential=off``, prompts are asked in a random order and a category is no longer asked
        once it is decided, at the same error. A measurement that this session has made in full is used as it is, and
        with ``--speedbench-repeat`` everything is measured so often.

        Args:
            split: as in :meth:`measure`.
            pair: as in :meth:`measure`.
            baseline: the pair whose baseline to compare with; the measured pair's own if left out.
            tolerance: as in :meth:`Measurement.gate`.
            **settings: as in :meth:`measure`.

        Raises:
            BaselineError: there is no such baseline, it is damaged, or it is not comparable with this run.
            SpeedbenchError: something asked for does not exist, does not fit, or failed.
        """
        return self._gate(self._settings(split, pair, settings), baseline, tolerance).result

    def assert_no_regression(
        self,
        split: str | None = None,
        *,
        pair: str | Pair | None = None,
        baseline: str | None = None,
        tolerance: Any = None,
        **settings: Any,
    ) -> None:
        """Measure as much as the verdict needs, and fail if a category's acceptance length dropped by too much.

        The arguments are those of :meth:`gate`. With ``--speedbench-update`` all is measured, the run becomes the
        baseline if the test passes, and nothing is compared.

        Raises:
            RegressionError: a category regressed, or lacks the data to say.
            SpeedbenchError: see :meth:`gate`.
        """
        chosen = self._settings(split, pair, settings)
        if chosen.update and baseline in (None, chosen.pair.name):
            self._measure(chosen, fresh=False).assert_no_regression()
        else:
            self._gate(chosen, baseline, tolerance).check()

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
        self._session.check_undecided(self._item)
        unknown = [key for key in extra if key not in _CALL_KEYS]
        if unknown:
            raise ConfigError(f"measure() takes no {unknown[0]!r}.", f"It takes: {', '.join(_CALL_KEYS)}.")
        call = dict(extra)
        if split is not None:
            call["split"] = split
        name = pair.name if isinstance(pair, Pair) else pair
        if name is not None and (isinstance(pair, str) or name in self.pairs):
            call["pair"] = name  # with what the project says of a pair of this name
        chosen = self._session.settings(self._session.marker(self._item), call)
        return replace(chosen, pair=pair) if isinstance(pair, Pair) else chosen

    def _gate(self, settings: Settings, baseline: str | None, tolerance: Any) -> Verdicts:
        self._session.check(settings)
        # Outputs are wanted whatever the gate says; a replay costs nothing, and refuses other outputs itself.
        if settings.record_outputs or settings.mode == "replay":
            return self._measure(settings, fresh=False).compared(baseline, tolerance)
        stored = self._session.baseline(self._item, settings, baseline or settings.pair.name)
        check_will_be_comparable(stored, settings, self._session.asked(settings))
        drafter = settings.pair.drafter
        # What suffix decoding drafts depends on the answers before, so on the order of the prompts.
        in_order = drafter is not None and drafter.method is DrafterMethod.SUFFIX
        policy = policy_of(settings, tolerance)
        verdict = ("gate", baseline or settings.pair.name, repr(policy))
        measured = self._session.measured(settings) is not None and not self._session.has(settings, verdict)
        if not settings.sequential or settings.repeat > 1 or in_order or measured:
            return self._measure(settings, fresh=False).compared(baseline, tolerance)

        def decide() -> tuple[SequentialGate, Run]:
            planned = self._session.asked(settings).counts()
            rule = SequentialGate(stored, planned, policy, stop_at_first=settings.stop_at_first)
            return rule, self._session.measure_until(settings, rule)

        rule, run = self._session.once(settings, verdict, decide)
        measurement = Measurement.recorded(self._session, self._item, settings, run)
        check_comparable(stored.comparable_key, run, name_of(stored))
        return measurement.record(rule.result(run), stored, [run])

    def _measure(self, settings: Settings, *, fresh: bool) -> Measurement:
        self._session.check(settings)
        run = self._session.measure(settings, fresh=fresh)
        self._session.stage_outputs(self._item, settings, run)
        return Measurement.recorded(self._session, self._item, settings, run)


class Measurement:
    """One measured run, its figures, and the checks a test can make on it.

    ``run`` is the raw record, ``summary`` every figure computed from it.
    """

    def __init__(self, session: SpeedbenchSession, item: pytest.Item, settings: Settings, run: Run) -> None:
        self.run = run
        self.settings = settings
        self._session = session
        self._item = item

    @classmethod
    def recorded(cls, session: SpeedbenchSession, item: pytest.Item, settings: Settings, run: Run) -> Measurement:
        """Of a run, its figures kept for the summary of the session."""
        measurement = cls(session, item, settings, run)
        session.record(item, measurement_entry(item.nodeid, run, measurement.summary))
        return measurement

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

    def gate(
        self, *, baseline: str | None = None, table: str | Path | None = None, tolerance: Any = None
    ) -> GateResult:
        """Compare with a stored baseline and return the verdicts, without failing.

        Args:
            baseline: the pair whose baseline to compare with; this run's own pair if left out.
            table: a file of published figures to compare with in place of a baseline: weaker, and labelled so.
            tolerance: as ``--speedbench-tolerance`` takes it, or a number, or a table by category.

        Raises:
            BaselineError: there is no such baseline or file, it is damaged, or it is not comparable with this run.
        """
        return self.compared(baseline, tolerance, table).result

    def compared(self, baseline: str | None, tolerance: Any, table: str | Path | None = None) -> Verdicts:
        """As :meth:`gate`, with what was compared."""
        if table is not None:
            pairing = pairing_with_table(read_published(self._session.path(table)), self.run)
            return self.record(compare(pairing, policy_of(self.settings, tolerance)), None, [self.run])
        stored = self._session.baseline(self._item, self.settings, baseline or self.run.pair.name)
        check_comparable(stored.comparable_key, self.run, name_of(stored))
        runs = [self.run, *self._session.repeats(self.settings, self.run)]
        return self.record(compare(pair_up(stored, runs), policy_of(self.settings, tolerance)), stored, runs)

    def record(self, result: GateResult, reference: Baseline | Run | None, runs: Sequence[Run]) -> Verdicts:
        """Keep verdicts for the summary."""
        if reference is not None:
            result = with_doubts(result, reference, self.run)
        self._session.record(self._item, gate_entry(self._item.nodeid, self.run.pair.name, result))
        return Verdicts(result, reference, runs)

    def assert_no_regression(
        self, *, baseline: str | None = None, table: str | Path | None = None, tolerance: Any = None
    ) -> None:
        """Fail if a category's acceptance length dropped by more than the tolerance. Arguments as of :meth:`gate`.

        With ``--speedbench-update`` this run becomes the baseline if the test passes, and nothing is compared.

        Raises:
            RegressionError: a category regressed, or lacks the data to say.
            BaselineError: see :meth:`gate`.
        """
        if self.settings.update and table is None and baseline in (None, self.run.pair.name):
            self._session.stage(self._item, self.settings, self.run)
            return
        self.compared(baseline, tolerance, table).check()

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
        if self.run.pair.server is not None:
            raise ConfigError(
                f"{self.run.pair.server} cannot decode without its drafter.",
                "Let the target alone be served too, as a pair of its own, and compare with a measurement of it.",
            )
        alone = self.run.pair.alone()
        asked = [count for count in (prompts, self.settings.prompts) if count is not None]
        settings = replace(self.settings, pair=alone, prompts=min(asked, default=None), record_outputs=False)
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

        pair, dtype = self.run.pair.name, target.dtype
        raise NotLosslessError(lossless_message(pair, judged, len(found), asked_prompts, dtype, text))

    def replay(self, drafter: str) -> Measurement:
        """What another drafter would have had accepted of the same prompts, judged on the outputs stored for this pair.

        Args:
            drafter: as on the command line, such as ``eagle3:/models/head``; its draft length is the pair's.

        Raises:
            ConfigError: the drafter cannot be read.
            EngineError: it cannot be replayed or does not load.
            OutputsError: nothing is stored, or something else than this measurement asked.
        """
        pair = self.run.pair
        length = pair.drafter.draft_length if pair.drafter is not None else DEFAULT_DRAFT_LENGTH
        candidate = replace(self.settings.pair, drafter=Drafter.parse(drafter, length))
        settings = replace(self.settings, pair=candidate, mode="replay", update=False, record_outputs=False)
        self._session.check(settings)
        return Measurement.recorded(self._session, self._item, settings, self._session.measure(settings))

    def speedup(self, rounds: int | None = None) -> Speedup:
        """How many times the Output TPS of the target alone this pair reaches, under the load of this measurement.

        Both are measured in turn, ABBA, so many ``rounds`` each (the settings' if left out). Each bound of the interval
        holds with the settings' family error.

        Raises:
            ConfigError: the pair has no drafter, is on a server of its own making, or the rounds are too few.
        """
        if self.run.pair.drafter is None or self.run.pair.server is not None:
            raise ConfigError(
                f"There is no measuring {self.run.pair.name!r} with and without its drafter.",
                "Use a pair that has one, on an engine that is started here.",
            )
        alone = self.run.pair.alone()
        (measured,) = measure_in_turn(self._session, self.settings, (alone, self.run.pair), rounds)
        return Speedup.of(measured, self.settings.family_error)

    def speed_gate(
        self, rounds: int | None = None, *, baseline: str | None = None, tolerance: Any = None
    ) -> SpeedResult:
        """Compare the speed with a stored baseline of equal hardware, without failing.

        So many ``rounds`` (the settings' if left out) are measured for it on a warm engine. Where the baseline's speed
        is no reference, nothing is compared, and the result's note says why.

        Raises:
            BaselineError: there is no such baseline, it is damaged, or it is not comparable with this run.
        """
        stored = self._session.baseline(self._item, self.settings, baseline or self.run.pair.name)
        check_comparable(stored.comparable_key, self.run, name_of(stored))
        policy = policy_of(self.settings, for_speed(tolerance))
        result = compare_with_stored(self._session, self.settings, self.run, stored, rounds, policy)
        self._session.record(self._item, speed_entry(self._item.nodeid, self.run.pair.name, result))
        return result


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
        return self._compared(tolerance).result

    def _compared(self, tolerance: Any) -> Verdicts:
        reference, candidate = self.reference.run, self.candidate.run
        check_comparable(AcceptanceKey.of(reference), candidate, f"the measurement of {reference.pair.name!r}")
        result = compare(pair_up(reference, candidate), policy_of(self.candidate.settings, tolerance))
        return self.candidate.record(result, reference, [candidate])

    def assert_no_regression(self, *, tolerance: Any = None) -> None:
        """Fail if a category's acceptance length is lower than the reference's by more than the tolerance.

        Raises:
            RegressionError: a category regressed, or lacks the data to say.
            BaselineError: the two measurements are not comparable.
        """
        self._compared(tolerance).check()

    def speed(
        self, rounds: int | None = None, *, concurrency: Sequence[int] | None = None, tolerance: Any = None
    ) -> SpeedResult:
        """Measure the speed of both in turn, ABBA, and return the verdicts, without failing.

        Args:
            rounds: passes over all prompts, each side; the settings' if left out.
            concurrency: conversations at a time, one or several; the settings' if left out.
            tolerance: as in :meth:`Measurement.gate`; a share without a name holds for every figure of the speed.

        Raises:
            ConfigError: too few rounds, or a concurrency that the prompts do not fill.
            EngineError: an engine failed, or gave no times.
        """
        settings = self.candidate.settings
        reference, candidate = self.reference.run.pair, self.candidate.run.pair
        measured = measure_in_turn(self._session, settings, (reference, candidate), rounds, concurrency)
        result = compare_speed(measured, policy_of(settings, for_speed(tolerance)), against=reference.name)
        self._session.record(self._item, speed_entry(self._item.nodeid, candidate.name, result))
        return result

    def assert_no_slowdown(
        self, rounds: int | None = None, *, concurrency: Sequence[int] | None = None, tolerance: Any = None
    ) -> None:
        """Fail if the candidate is slower than the reference by more than the tolerance, in any figure of its speed.

        Raises:
            RegressionError: a throughput dropped or a time rose, or data to say is missing.
            ConfigError: see :meth:`speed`.
            EngineError: see :meth:`speed`.
        """
        result = self.speed(rounds, concurrency=concurrency, tolerance=tolerance)
        if result.failed:
            raise RegressionError(slowdown_message(self.candidate.run.pair.name, result))


def _sampling(base: Sampling, temperature: float, top_p: float, seed: int) -> Sampling:
    if temperature < 0 or not 0 < top_p <= 1:
        raise ConfigError(
            f"A temperature of {temperature} with a top_p of {top_p} cannot be sampled.",
            "Give a temperature of at least 0 and a top_p above 0 and up to 1.",
        )
    return replace(base, temperature=temperature, top_p=top_p, seed=seed)
