"""The gate's decisions on many simulated runs, fast.

Sums over prompts are taken for many runs at once and become the shipped ``LogRatio``; everything after that (common
dispersion, moderation, p-values, intervals, looks and their shares, Holm's levels) is the shipped code. Prompts finish
in turn: one of every category that is still asked, then the next. ``gate_agreement.py`` shows on some hundred runs
that this gives what ``compare`` and ``SequentialGate`` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import log

import numpy as np
from gate_worlds import CATEGORIES, Counts, Floats, Measured
from numpy.typing import NDArray

from pytest_speedbench.config import DEFAULT_FAMILY_ERROR
from pytest_speedbench.gate.compare import Look
from pytest_speedbench.gate.effects import Common, Estimate, LogRatio, RunNoise
from pytest_speedbench.gate.figures import AL_MACRO, AL_POOLED, LENGTHS
from pytest_speedbench.gate.multiplicity import holm_levels
from pytest_speedbench.gate.sequential import looks_at, share_of

BOUNDARY = 0.99
ALL = len(CATEGORIES)
"""The row of all prompts together comes after the categories."""
_CATEGORY_STEPS = 10
Key = tuple[int, str]
Noise = dict[Key, RunNoise]


@dataclass(frozen=True)
class Side:
    """What ``StepCounts`` holds, of many prompts: arrays (runs, categories, prompts)."""

    length: Floats
    steps: Floats
    tokens: Floats
    squares: Floats
    freedom: Floats
    inverse_steps: Floats
    repeats: int

    @classmethod
    def of(cls, counts: Counts) -> Side:
        """Of histograms (runs, repeats, categories, prompts, bins)."""
        per_step = 1.0 + np.arange(counts.shape[-1])
        steps = counts.sum(axis=-1).astype(np.float64)
        tokens = counts @ per_step
        squares = counts @ per_step**2 - tokens**2 / steps
        return cls(
            length=(tokens / steps).mean(axis=1),
            steps=steps.mean(axis=1),
            tokens=tokens.mean(axis=1),
            squares=squares.sum(axis=1),
            freedom=(steps - 1).sum(axis=1),
            inverse_steps=(1 / steps).mean(axis=1),
            repeats=counts.shape[1],
        )

    def first(self, prompts: int, *, together: bool) -> Side:
        """The first prompts of every category; ``together`` as one row."""
        arrays = {}
        for field in _ARRAYS:
            part = getattr(self, field.name)[:, :, :prompts]
            arrays[field.name] = part.reshape(len(part), 1, -1) if together else part
        return Side(**arrays, repeats=self.repeats)

    def of_run(self, run: int) -> Side:
        """One run's."""
        arrays = {field.name: getattr(self, field.name)[run : run + 1] for field in _ARRAYS}
        return Side(**arrays, repeats=self.repeats)

    def sums(self, metric: str) -> tuple[Floats, Floats, Floats]:
        """What ``figures.sums`` gives: over, under, scatter."""
        of_row = _total(self.squares) / np.maximum(1.0, _total(self.freedom))
        one_step = (self.squares + _CATEGORY_STEPS * of_row) / (self.freedom + _CATEGORY_STEPS)
        if metric == AL_MACRO:
            return self.length, np.ones_like(self.length), one_step * self.inverse_steps / self.repeats
        return self.tokens, self.steps, one_step * self.steps / self.repeats


_ARRAYS = fields(Side)[:-1]


class Prefixes:
    """The changes over the first n prompts of every category, and of all together, as ``LogRatio``."""

    def __init__(self, measured: Measured) -> None:
        self._before, self._after = Side.of(measured.before), Side.of(measured.after)
        self._changed = (measured.before.mean(axis=1) != measured.after.mean(axis=1)).any(axis=-1)
        self._changed |= self._before.length != self._after.length
        self._table: dict[tuple[int, str], list[list[list[float]]]] = {}
        self.prompts: int = self._changed.shape[-1]
        self.runs: int = len(self._changed)

    def ratio(self, run: int, row: int, prompts: int, metric: str) -> LogRatio:
        """Of one run."""
        if (prompts, metric) not in self._table:
            parts = [self._changes(prompts, metric, together=together) for together in (False, True)]
            self._table[prompts, metric] = np.concatenate(parts, axis=1).tolist()
        return _log_ratio(prompts * (ALL if row == ALL else 1), *self._table[prompts, metric][run][row])

    def sides(self, run: int) -> tuple[Side, Side, NDArray[np.bool_]]:
        """All prompts of one run before and after, and which changed."""
        return self._before.of_run(run), self._after.of_run(run), self._changed[run]

    def _changes(self, prompts: int, metric: str, *, together: bool) -> Floats:
        before, after = (s.first(prompts, together=together) for s in (self._before, self._after))
        changed = self._changed[:, :, :prompts].reshape(*before.length.shape)
        return _paired(before.sums(metric), after.sums(metric), changed)


def _log_ratio(prompts: int, *values: float) -> LogRatio:
    baseline, candidate, own, freedom, skewness, implied, implied_by_all, changed = values
    return LogRatio(
        prompts, baseline, candidate, own, freedom, skewness, implied or (0.0 if changed == 0 else None),
        implied_by_all, int(changed),
    )  # fmt: skip


def _paired(
    before: tuple[Floats, Floats, Floats], after: tuple[Floats, Floats, Floats], changed: NDArray[np.bool_]
) -> Floats:
    """As ``LogRatio.paired``, of the last axis; (runs, rows, 8)."""
    prompts = changed.shape[-1]
    figures, influence, scatter = zip(*(_figure(*side) for side in (before, after)), strict=True)
    psi, implied_by = influence[1] - influence[0], scatter[1] + scatter[0]
    moved = implied_by * changed
    implied, second = _total(moved), _total(psi**2)
    some = implied > 0
    effective = np.where(some, implied**2 / np.where(some, _total(moved**2), 1), prompts)
    moves = second > 1e-30
    skewness = np.where(moves, _total(psi**3) / np.where(moves, second, 1) ** 1.5 * prompts**0.5, 0.0)
    own = second * prompts / (prompts - 1)
    freedom = effective * (prompts - 1) / prompts
    rows = (*figures, own, freedom, skewness, implied, _total(implied_by), _total(changed))
    return np.concatenate(rows, axis=-1)


def _figure(over: Floats, under: Floats, scatter: Floats) -> tuple[Floats, Floats, Floats]:
    figure, total = _total(over) / _total(under), _total(over)
    return figure, (over - figure * under) / total, scatter / total**2


def _total(values: NDArray[np.float64] | NDArray[np.bool_]) -> Floats:
    total: Floats = values.sum(axis=-1, keepdims=True, dtype=np.float64)
    return total


@dataclass(frozen=True)
class Decision:
    """What the gate came to in one run.

    Attributes:
        p_values: of every figure of every row.
        found: rows and figures that regressed.
        asked: prompts of each category that were asked.
    """

    p_values: dict[Key, float]
    found: frozenset[Key]
    asked: tuple[int, ...]

    @property
    def rows(self) -> frozenset[int]:
        """Rows that regressed."""
        return frozenset(row for row, _ in self.found)


def decide(prefixes: Prefixes, run: int, noise: Noise, metrics: Sequence[str] = LENGTHS) -> Decision:
    """On all prompts, as ``compare``."""
    looks = _looks_at_all_prompts(prefixes, run, noise, metrics)
    return _decision({key: look.p_value for key, look in looks.items()}, (prefixes.prompts,) * ALL)


def common_of(common: Common, row: int) -> Common:
    """What a row has in common with the categories: all prompts together have a skewness of their own."""
    return replace(common, skewness=None) if row == ALL else common


def _looks_at_all_prompts(prefixes: Prefixes, run: int, noise: Noise, metrics: Sequence[str]) -> dict[Key, Look]:
    looks = {}
    for metric in metrics:
        ratios = [prefixes.ratio(run, row, prefixes.prompts, metric) for row in range(ALL + 1)]
        common = Common.of(ratios[:ALL])
        for row, ratio in enumerate(ratios):
            estimate = Estimate.of(ratio, common_of(common, row)).with_noise(noise.get((row, metric)))
            looks[row, metric] = Look(ratio, estimate, BOUNDARY)
    return looks


def _decision(p_values: dict[Key, float], asked: tuple[int, ...]) -> Decision:
    levels = holm_levels(list(p_values.values()), DEFAULT_FAMILY_ERROR)
    found = frozenset(key for (key, p), level in zip(p_values.items(), levels, strict=True) if p <= level)
    return Decision(p_values, found, asked)


class Sequential:
    """One run of the gate that stops early, as ``SequentialGate``."""

    def __init__(self, prefixes: Prefixes, run: int, noise: Noise, metrics: Sequence[str] = LENGTHS) -> None:
        self._prefixes, self._run, self._noise, self._metrics = prefixes, run, noise, metrics
        self._latest: dict[Key, Look] = {}
        self._p_values: dict[Key, float] = {}
        self._decided: set[int] = set()
        self._asked = [0] * ALL

    def decision(self) -> Decision:
        """Ask, look and stop until the end."""
        prompts = self._prefixes.prompts
        for look in looks_at(prompts)[:-1]:
            undecided = self._ask(look)
            self._add(undecided if self._decided else [*undecided, ALL], share_of(look, prompts), early=True)
            self._decide()
        undecided = self._ask(prompts)
        self._add(undecided if self._decided else [*undecided, ALL], share_of(prompts, prompts), early=False)
        return _decision(self._p_values, tuple(self._asked))

    def _ask(self, prompts: int) -> list[int]:
        undecided = [category for category in range(ALL) if category not in self._decided]
        for category in undecided:
            self._asked[category] = prompts
        return undecided

    def _add(self, rows: Sequence[int], share: float, *, early: bool) -> None:
        for metric in self._metrics:
            ratios = [self._prefixes.ratio(self._run, row, asked, metric) for row, asked in enumerate(self._asked)]
            common = Common.of(ratios)
            for row in rows:
                asked = self._asked[0 if row == ALL else row]
                ratio = self._prefixes.ratio(self._run, row, asked, metric)
                noise = self._noise.get((row, metric))
                estimate = Estimate.of(ratio, common_of(common, row), early=early).with_noise(noise)
                look = Look(ratio, estimate, BOUNDARY, share)
                self._latest[row, metric] = look
                self._p_values[row, metric] = min(look.p_value, self._p_values.get((row, metric), 1.0))

    def _decide(self) -> None:
        p_values = list(self._p_values.values())
        p_values += [1.0] * (len(self._metrics) * (ALL + 1) - len(p_values))
        levels = dict(zip(self._p_values, holm_levels(p_values, DEFAULT_FAMILY_ERROR), strict=False))
        for row in set(range(ALL)) - self._decided:
            of_row = [(row, metric) for metric in self._metrics]
            found = any(self._p_values[key] <= levels[key] for key in of_row)
            if found or all(_is_excluded(self._latest[key], levels[key]) for key in of_row):
                self._decided.add(row)


def _is_excluded(look: Look, level: float) -> bool:
    # The interval holds the estimate, so it need not be computed where that is beyond the tolerance.
    if look.estimate.log_ratio < log(BOUNDARY):
        return False
    return look.estimate.interval(level * look.share)[0] >= look.boundary


def calibrated_noise(before: Counts) -> list[Noise]:
    """As ``noise.run_noise``, of each run's baseline; histograms (runs, repeats, categories, prompts, bins)."""
    runs, repeats = before.shape[:2]
    found: list[Noise] = [{} for _ in range(runs)]
    if repeats == 1:
        return found
    steps = before.sum(axis=-1).astype(np.float64)
    tokens = before @ (1.0 + np.arange(before.shape[-1]))
    for metric in LENGTHS:
        over, under = (tokens, steps) if metric == AL_POOLED else (tokens / steps, np.ones_like(steps))
        of_category = np.maximum(0, _excess(over, under).mean(axis=-1))
        overall = np.maximum(0, _excess(*(x.reshape(runs, repeats, 1, -1) for x in (over, under)))[:, 0])
        for noise, common, of_all in zip(found, of_category.tolist(), overall.tolist(), strict=True):
            for row in range(ALL):
                noise[row, metric] = RunNoise(common * (1 + 1 / repeats), repeats - 1)
            noise[ALL, metric] = RunNoise(of_all * (1 + 1 / repeats), repeats - 1)
    return found


def _excess(over: Floats, under: Floats) -> Floats:
    """(runs, repeats, rows, prompts) → (runs, rows)."""
    figure = over.sum(axis=(1, 3), keepdims=True) / under.sum(axis=(1, 3), keepdims=True)
    total = over.sum(axis=3, keepdims=True).mean(axis=1, keepdims=True)
    added = (over - figure * under) / total
    excess: Floats = added.sum(axis=3).var(axis=1, ddof=1) - added.var(axis=1, ddof=1).sum(axis=-1)
    return excess
