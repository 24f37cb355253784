"""Which draft length K pays, at which concurrency: acceptance and speed for several K and for no drafter at all.

Order of measurement: no drafter, then each K upwards, then no drafter once more; the engine is restarted for each.
While it is alive every concurrency is warmed up with a few prompts that are not recorded, and then measured in
rounds: every concurrency once, then every concurrency again.

What is controlled: all conditions are asked the same prompts in the same order; start-up and first-use costs are
outside of the rounds; a slow spell of the machine hits all concurrencies; a lasting change between the first and the
last hour is seen, because the engine without a drafter is measured at both ends, and its rounds at both ends are the
reference, so that a drift widens every speed-up's interval. What is not controlled: each K is measured in one stretch
of time and one start of the engine, since interleaving restarts would be too dear. A slow spell that covers one K
alone, or a difference between two starts of one engine, counts for or against that K and is in no interval. Where
that matters, sweep twice.

Acceptance is taken from the records of all rounds together. Greedy outputs, and so acceptance, should not depend on
the round; the length of each round is kept beside the total, so that one sees where they do. Speeds are comparable as
far as the outputs are the same; outputs that differ from the first ones without a drafter are counted. An engine that
keeps prompts in a cache across requests must not: only the first round would pay for the prefill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, Protocol

from pytest_speedbench.acceptance import AcceptanceRecord, Counted
from pytest_speedbench.config import Load, Pair, Sampling, Timeouts
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.measure import Progress, Run, SplitIdentity
from pytest_speedbench.metrics.acceptance import AcceptanceFigures, counted_figures
from pytest_speedbench.metrics.throughput import throughput, user_tps
from pytest_speedbench.splits.schema import Split
from pytest_speedbench.sweeps.speed import MIN_ROUNDS, Interval, Speeds, mean_interval

FAMILY_ERROR = 0.01
"""Of all speed-ups at one concurrency together; of the set that holds the fastest K; of one speed's interval."""

WARM_UP_PROMPTS = 4

Pays = Literal["speed-up", "slowdown", "undecided"]


def warm_up_part(split: Split, concurrency: int) -> Split:
    """The first few prompts of a split, to be asked once and not recorded: enough to fill the concurrency."""
    return replace(split, prompts=split.prompts[: max(WARM_UP_PROMPTS, concurrency)])


class Measurer(Protocol):
    """What the sweep needs of :class:`~pytest_speedbench.measure.runner.Runner`."""

    def check(self, pair: Pair) -> None:
        """Refuse a pair that can be known not to run."""

    def measure(
        self,
        pair: Pair,
        split: Split,
        sampling: Sampling,
        load: Load,
        on_progress: Callable[[Progress], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Run:
        """Measure a pair on a split, on the engine that is alive if it has this pair loaded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to sweep.

    Attributes:
        lengths: the draft lengths K, each at least 1.
        concurrencies: conversations at a time, each at least 1.
        rounds: passes over all prompts for each K and concurrency, at least :data:`~.speed.MIN_ROUNDS`.

    Raises:
        ConfigError: nothing to sweep, or too few rounds for an interval.
    """

    lengths: tuple[int, ...]
    concurrencies: tuple[int, ...]
    rounds: int

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1:
            raise ConfigError("The draft lengths to sweep must be at least 1.", "No drafter is measured anyway.")
        if not self.concurrencies or min(self.concurrencies) < 1:
            raise ConfigError("A concurrency must be at least 1.", "Name at least one, such as 1.")
        if self.rounds < MIN_ROUNDS:
            raise ConfigError(
                f"{self.rounds} rounds are too few for an interval.", f"Measure at least {MIN_ROUNDS} rounds."
            )


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over all prompts.

    ``al_macro`` is ``None`` without a drafter or records. ``output_tps`` is the load's, in tokens per second.
    """

    al_macro: float | None
    output_tps: float
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Row:
    """One draft length at one concurrency.

    Attributes:
        draft_length: K; 0 is the engine without a drafter.
        concurrency: conversations at a time.
        rounds: in the order measured; without a drafter, those at the beginning and then those at the end.
        acceptance: of all rounds' conversations together; from the engine's counters, with nothing that is a mean
            over conversations, if no request has a record. ``None`` without a drafter.
        output_tps: geometric mean over rounds, tokens per second, with its own interval at 99 %.
        user_tps_q50: median of User TPS over all requests of all rounds; ``None`` if no request has one.
        speedup: Output TPS over that without a drafter; at one concurrency the intervals of all K hold together at
            99 %. ``None`` without a drafter.
        different_outputs: prompts whose output differed, in any round, from the first one without a drafter.
    """

    draft_length: int
    concurrency: int
    rounds: tuple[Round, ...]
    acceptance: AcceptanceFigures | None
    output_tps: Interval
    user_tps_q50: float | None
    speedup: Interval | None
    different_outputs: int

    @property
    def al_by_round(self) -> tuple[float | None, ...]:
        """``al_macro`` of each round: all alike if acceptance does not depend on the round."""
        return tuple(measured.al_macro for measured in self.rounds)


@dataclass(frozen=True, slots=True)
class AtConcurrency:
    """All draft lengths at one concurrency.

    Attributes:
        concurrency: conversations at a time.
        rows: without a drafter first, then by K.
        best: the K with the highest mean Output TPS.
        may_be_best: with 99 % the truly fastest K is one of these; ``best`` always is.
        pays: ``speed-up`` if some K surely beats no drafter, ``slowdown`` if all surely lose.
        drift: without a drafter, speed at the end over speed at the beginning, at 99 %.
    """

    concurrency: int
    rows: tuple[Row, ...]
    best: int
    may_be_best: tuple[int, ...]
    pays: Pays
    drift: Interval

    @property
    def drifted(self) -> bool:
        """Whether the machine was surely slower or faster at the end than at the beginning."""
        return not self.drift.lower <= 1 <= self.drift.upper

    def row(self, draft_length: int) -> Row:
        """The row of one draft length; 0 is no drafter."""
        return next(row for row in self.rows if row.draft_length == draft_length)


@dataclass(frozen=True, slots=True)
class DraftLengthSweep:
    """A sweep's result. ``pair`` has the draft length it was given with, which means nothing here."""

    pair: Pair
    engine: EngineInfo
    split: SplitIdentity
    prompts: int
    sampling: Sampling
    plan: Plan
    family_error: float
    at: tuple[AtConcurrency, ...]


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A round that was just measured: ``number`` of ``total``, and of which draft length and concurrency."""

    number: int
    total: int
    draft_length: int
    concurrency: int
    result: Round


Watch = Callable[[str], AbstractContextManager[Callable[[Progress], None] | None]]
"""Given a title, a context in which one pass over the prompts reports how far it is."""


def sweep_draft_lengths(
    measurer: Measurer,
    pair: Pair,
    split: Split,
    sampling: Sampling,
    plan: Plan,
    *,
    timeouts: Timeouts | None = None,
    watch: Watch = lambda _: nullcontext(),
    on_round: Callable[[RoundDone], None] = lambda _: None,
) -> DraftLengthSweep:
    """Measure every draft length and no drafter at every concurrency.

    Raises:
        ConfigError: the pair has no drafter, is on a server that is running already, or there are fewer prompts than
            the largest concurrency.
        EngineError: some K cannot run, or the engine does not take the largest concurrency: both before anything is
            recorded where it can be known; or the engine failed while measuring.
    """
    _check(pair, split, plan)
    return _Sweep(measurer, pair, split, sampling, plan, timeouts, watch, on_round).run()


def _check(pair: Pair, split: Split, plan: Plan) -> None:
    if pair.drafter is None:
        raise ConfigError(f"The pair {pair.name!r} has no drafter, so it has no draft length.", "Name a drafter.")
    if pair.server is not None:
        raise ConfigError(
            f"{pair.server} has a draft length of its own.",
            "Name an engine that is started here: the sweep starts it once per draft length.",
        )
    most = max(plan.concurrencies)
    if most > len(split):
        raise ConfigError(
            f"A concurrency of {most} is asked, but only {len(split)} prompts: so many are never under way.",
            f"Ask at least {most} prompts (better several times as many), or lower the concurrency.",
        )


class _Samples:
    """What is kept of the rounds of one draft length at one concurrency."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.records: list[AcceptanceRecord | None] = []
        self.user_tps: list[float] = []
        self.outputs: list[dict[str, int]] = []
        self._counters: list[Counted | None] = []

    def add(self, run: Run) -> Round:
        records = [conversation.acceptance for conversation in run.conversations]
        speed = throughput(run)
        if not speed.output_tps:
            raise EngineError(f"The engine {run.engine.name} gave no times.", "Look at the engine's own log.")
        turns = [turn for conversation in run.conversations for turn in conversation.turns]
        result = Round(AcceptanceFigures.of(records).al_macro, speed.output_tps, speed.generated_tokens)
        self.rounds.append(result)
        self.records.extend(records)
        self._counters.append(run.counters)
        self.user_tps.extend(value for turn in turns if (value := user_tps(turn)) is not None)
        self.outputs.append({c.question_id: hash(tuple(t.output_ids for t in c.turns)) for c in run.conversations})
        return result

    def tps(self) -> list[float]:
        return [measured.output_tps for measured in self.rounds]

    def acceptance(self) -> AcceptanceFigures:
        """Of all rounds' requests; without any record of theirs, of the engine's counters over the rounds."""
        figures = AcceptanceFigures.of(self.records)
        counters = [row for row in self._counters if row is not None]
        if figures.missing < figures.conversations or len(counters) < len(self._counters):
            return figures
        return counted_figures(counters, figures)


class _Sweep:
    """One sweep in the making."""

    def __init__(
        self,
        measurer: Measurer,
        pair: Pair,
        split: Split,
        sampling: Sampling,
        plan: Plan,
        timeouts: Timeouts | None,
        watch: Watch,
        on_round: Callable[[RoundDone], None],
    ) -> None:
        self._measurer = measurer
        self._pair = pair
        self._split = split
        self._sampling = sampling
        self._timeouts = timeouts
        self._watch = watch
        self._on_round = on_round
        self._lengths = tuple(sorted(set(plan.lengths)))
        self._concurrencies = tuple(sorted(set(plan.concurrencies)))
        self._plan = Plan(self._lengths, self._concurrencies, plan.rounds)
        self._total = (len(self._lengths) + 2) * len(self._concurrencies) * plan.rounds
        self._done = 0
        self._samples: dict[tuple[int, int], _Samples] = {}

    def run(self) -> DraftLengthSweep:
        for length in (0, *self._lengths):
            self._measurer.check(self._with(length))
        first = self._measure(0)
        for length in self._lengths:
            self._measure(length)
        self._measure(0)
        return DraftLengthSweep(
            pair=self._pair,
            engine=first.engine,
            split=first.split,
            prompts=len(self._split),
            sampling=self._sampling,
            plan=self._plan,
            family_error=FAMILY_ERROR,
            at=tuple(self._at(concurrency) for concurrency in self._concurrencies),
        )

    def _with(self, length: int) -> Pair:
        drafter = self._pair.drafter
        if not length or drafter is None:
            return replace(self._pair.alone(), name=self._pair.name)
        return replace(self._pair, drafter=replace(drafter, draft_length=length))

    def _measure(self, length: int) -> Run:
        """All rounds of one draft length at every concurrency; returns the last run."""
        pair, title = self._with(length), f"K = {length}" if length else "no drafter"
        # The largest load first: an engine that does not take it says so before anything is recorded.
        for concurrency in reversed(self._concurrencies):
            self._ask(
                pair,
                warm_up_part(self._split, concurrency),
                concurrency,
                f"{title}, concurrency {concurrency}, warm-up",
            )
        for number in range(1, self._plan.rounds + 1):
            for concurrency in self._concurrencies:
                run = self._ask(pair, self._split, concurrency, f"{title}, concurrency {concurrency}, round {number}")
                result = self._samples.setdefault((length, concurrency), _Samples()).add(run)
                self._done += 1
                self._on_round(RoundDone(self._done, self._total, length, concurrency, result))
        return run

    def _ask(self, pair: Pair, split: Split, concurrency: int, title: str) -> Run:
        with self._watch(title) as report:
            return self._measurer.measure(pair, split, self._sampling, Load(concurrency), report, self._timeouts)

    def _at(self, concurrency: int) -> AtConcurrency:
        lengths = (0, *self._lengths)
        speeds = Speeds([self._samples[length, concurrency].tps() for length in lengths])
        drafted = range(1, len(lengths))
        speedups = [speeds.ratio(i, 0, FAMILY_ERROR / len(drafted)) for i in drafted]
        alone = self._samples[0, concurrency].tps()
        ends = Speeds([alone[: self._plan.rounds], alone[self._plan.rounds :]])
        return AtConcurrency(
            concurrency=concurrency,
            rows=tuple(
                self._row(length, concurrency, speedup)
                for length, speedup in zip(lengths, [None, *speedups], strict=True)
            ),
            best=lengths[speeds.fastest(drafted)],
            may_be_best=tuple(lengths[i] for i in speeds.may_be_fastest(drafted, FAMILY_ERROR)),
            pays=_pays(speedups),
            drift=ends.ratio(1, 0, FAMILY_ERROR),
        )

    def _row(self, length: int, concurrency: int, speedup: Interval | None) -> Row:
        samples = self._samples[length, concurrency]
        expected = self._samples[0, concurrency].outputs[0]
        different = {name for outputs in samples.outputs for name in outputs if outputs[name] != expected[name]}
        return Row(
            draft_length=length,
            concurrency=concurrency,
            rounds=tuple(samples.rounds),
            acceptance=samples.acceptance() if length else None,
            output_tps=mean_interval(samples.tps(), FAMILY_ERROR),
            user_tps_q50=median(samples.user_tps) if samples.user_tps else None,
            speedup=speedup,
            different_outputs=len(different),
        )


def _pays(speedups: Sequence[Interval]) -> Pays:
    if any(speedup.lower > 1 for speedup in speedups):
        return "speed-up"
    return "slowdown" if all(speedup.upper < 1 for speedup in speedups) else "undecided"
