"""How much a figure changed, and how surely: log ratios over conversations, with a variance that is learned widely.

**Estimate.** Every figure is a ratio of two sums over prompts: al_macro of Σ length and Σ 1, al_pooled of Σ tokens and
Σ steps, a conditional acceptance rate of steps that accepted at least k tokens and at least k − 1. Its change is
δ = log(candidate) − log(baseline). Linearised, the error of δ is the sum over prompts of

    ψ_i = (x_i − f x'_i) / Σ x of the candidate − the same of the baseline,

with x, x' what prompt i adds to the two sums and f the figure. The ψ_i of n conversations are independent whatever
happens inside of one; n / (n − 1) Σ ψ_i² estimates the variance of δ from the conversations alone.

**Variance.** A few conversations say little of their own spread. But the steps say how much a conversation scatters at
least, if it was decoded anew: v = Σ over changed prompts of the variance of ψ_i as its steps imply it, were steps
independent. (A prompt with the same counts on both sides was not decoded anew, or to the same effect.) The dispersion
φ = own variance / v is then near 1 in every category, and above where steps hang together or prompts change unequally.
It is learned from all categories, φ_all = (Σ ν φ + m) / (Σ ν + m), and each category's own is drawn towards it,

    variance = v (d φ_all + ν φ) / (d + ν),        d + ν degrees of freedom,

as moderated t statistics do (Smyth 2004, doi:10.2202/1544-6115.1027), ν being the category's effective number of
changed prompts, less one. d = 8 and m = 20 are the weights of what is not the category's own.

**Test.** The larger p of Student's t and of Hall's (1992) monotone skewness-corrected form of it. Student's t alone
calls far too many regressions where most prompts lose a little and few gain much. A category's skewness γ of the ψ_i
is drawn towards 0 by the weights above; or, if that is more, towards that of all categories, which is learned as the
dispersion is and weighs 40: few prompts may hold none of the few that gain. Both forms are closed and are inverted
exactly: interval and verdict always agree.

How far this holds: ``benchmarks/gate_simulation.py`` and ``benchmarks/gate_coverage.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.special import fdtri, stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

T = TypeVar("T", float, "Floats")

MIN_PROMPTS = 3
"""Fewer prompts have no spread to speak of."""

COMMON_WEIGHT = 8
"""d: the dispersion of all categories counts as much as so many changed prompts of the category's own."""
STEPS_WEIGHT = 20
"""m: that steps are independent counts as much as so many changed prompts of all categories together."""
SKEWNESS_WEIGHT = 40
"""The skewness of all categories counts as much as so many changed prompts: a third moment takes many to know."""
CONTRADICTION = 0.1
"""Before an early decision, a spread so improbable under the common dispersion is taken as the category's own."""
_COMMON_FREEDOM = 50
_LARGEST_EXPONENT = 700
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Sums:
    """What each prompt adds to a figure's two sums, and how its steps let it scatter; arrays over prompts.

    Attributes:
        over: x, e.g. tokens.
        under: x', e.g. steps.
        scatter: variance of ``over − figure · under`` if the prompt was decoded anew, its steps being independent.
    """

    over: Floats
    under: Floats
    scatter: Floats

    @property
    def figure(self) -> float:
        """Σ over / Σ under."""
        return float(self.over.sum() / self.under.sum())

    @property
    def influence(self) -> Floats:
        """(x − f x') / Σ x: what each prompt does to the logarithm of the figure."""
        influence: Floats = (self.over - self.figure * self.under) / self.over.sum()
        return influence


@dataclass(frozen=True, slots=True)
class LogRatio:
    """How a figure changed over some prompts.

    Attributes:
        prompts: how many; of the smaller side, where the sides have different ones.
        baseline: the figure before.
        candidate: the figure now.
        own: variance of log(candidate / baseline) from the conversations alone.
        freedom: ν, the degrees of freedom of ``own``.
        skewness: γ of the ψ_i.
        implied: v, the variance that the steps of changed prompts imply; ``None`` where it is not known: where the
            sides have different prompts, these differ from each other besides.
        implied_by_all: the same had all prompts changed.
        changed: how many prompts have other counts than before; of different prompts, all.
    """

    prompts: int
    baseline: float
    candidate: float
    own: float
    freedom: float
    skewness: float
    implied: float | None
    implied_by_all: float
    changed: int

    @classmethod
    def paired(cls, before: Sums, after: Sums, changed: NDArray[np.bool_]) -> LogRatio:
        """Of the same prompts on both sides, in the same order.

        Raises:
            ValueError: no prompts, or a figure that is not above 0.
        """
        _check(before, after)
        prompts = before.over.size
        psi = after.influence - before.influence
        scatter = after.scatter / after.over.sum() ** 2 + before.scatter / before.over.sum() ** 2
        moved = scatter * changed
        implied = float(moved.sum())
        effective = implied**2 / float((moved**2).sum()) if implied else 0.0
        return cls(
            prompts=prompts,
            baseline=before.figure,
            candidate=after.figure,
            own=_variance(psi),
            freedom=effective * (prompts - 1) / prompts if implied else float(prompts - 1),
            skewness=_skewness(psi),
            implied=implied,
            implied_by_all=float(scatter.sum()),
            changed=int(changed.sum()),
        )

    @classmethod
    def unpaired(cls, before: Sums, after: Sums) -> LogRatio:
        """Of different prompts; degrees of freedom as Welch and Satterthwaite.

        Raises:
            ValueError: no prompts, or a figure that is not above 0.
        """
        _check(before, after)
        one, other = _variance(before.influence), _variance(after.influence)
        n, m = before.over.size, after.over.size
        third = _third(after.influence) - _third(before.influence)
        prompts = min(n, m)
        return cls(
            prompts=prompts,
            baseline=before.figure,
            candidate=after.figure,
            own=one + other,
            freedom=satterthwaite(one, max(1, n - 1), other, max(1, m - 1)) if one + other else float(prompts - 1),
            skewness=third / (one + other) ** 1.5 * sqrt(prompts) if one + other else 0.0,
            implied=None,
            implied_by_all=0.0,
            changed=prompts,
        )

    @classmethod
    def to_constant(cls, baseline: float, after: Sums) -> LogRatio:
        """Of a figure that is taken as exact, such as one of a published table.

        Raises:
            ValueError: no prompts, or a figure that is not above 0.
        """
        exact = Sums(np.array([baseline]), np.array([1.0]), np.zeros(1))
        _check(exact, after)
        psi = after.influence
        return cls(
            prompts=psi.size,
            baseline=baseline,
            candidate=after.figure,
            own=_variance(psi),
            freedom=psi.size - 1.0,
            skewness=_skewness(psi),
            implied=None,
            implied_by_all=0.0,
            changed=psi.size,
        )

    @property
    def log_ratio(self) -> float:
        """δ."""
        return log(self.candidate / self.baseline)

    @property
    def dispersion(self) -> float | None:
        """φ: own variance over the implied one; ``None`` where nothing is implied."""
        return self.own / self.implied if self.implied else None


@dataclass(frozen=True, slots=True)
class Common:
    """What all categories have in common in one figure.

    Attributes:
        dispersion: φ_all; 1 where no prompt changed.
        skewness: γ_all; ``None`` for all prompts together, whose own one is drawn towards 0 instead.
    """

    dispersion: float = 1.0
    skewness: float | None = 0.0

    @classmethod
    def of(cls, ratios: Iterable[LogRatio]) -> Common:
        """Learn it from the categories."""
        known = [(ratio.freedom, ratio.dispersion, ratio.skewness) for ratio in ratios if ratio.dispersion is not None]
        weight = sum(freedom for freedom, _, _ in known) + STEPS_WEIGHT
        return cls(
            dispersion=(sum(freedom * dispersion for freedom, dispersion, _ in known) + STEPS_WEIGHT) / weight,
            skewness=sum(freedom * skewness for freedom, _, skewness in known) / weight,
        )

    def drawn(self, skewness: float, freedom: float, weight: float) -> float:
        """A skewness known to so many degrees of freedom, drawn to 0, or to the common one if that is more."""
        own = skewness * freedom / (weight + freedom)
        if self.skewness is None:
            return own
        return max(own, (SKEWNESS_WEIGHT * self.skewness + freedom * skewness) / (SKEWNESS_WEIGHT + freedom))


@dataclass(frozen=True, slots=True)
class RunNoise:
    """What moves all prompts of a run together: variance of one run's δ, known to ``freedom`` degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A change that can be tested: log ratio, its variance, degrees of freedom, skewness.

    ``variance_of_rest`` is a variance that also allows for prompts that are not among these, because they are not asked
    yet, were not asked, or have no data: an unchanged prompt says nothing of them. Lower bounds use the larger of the
    two.
    """

    prompts: int
    log_ratio: float
    variance: float
    freedom: float
    skewness: float
    variance_of_rest: float = 0.0

    @classmethod
    def of(cls, ratio: LogRatio, common: Common | None = None, *, early: bool = False, whole: bool = True) -> Estimate:
        """Moderate a log ratio by what all categories have in common.

        With ``early``, prompts of the category are still to be asked: its own spread is then taken alone where it
        contradicts the common one. Then, and if it is not ``whole`` for other reasons, lower bounds allow for the rest.
        """
        own, dispersion, common = ratio.freedom, ratio.dispersion, common or Common()
        partial = early or not whole
        if not ratio.changed:
            rest = ratio.implied_by_all * common.dispersion if partial else 0.0
            return cls(ratio.prompts, 0.0, 0.0, float(COMMON_WEIGHT), 0.0, rest)
        if dispersion is None or ratio.implied is None:
            return cls(ratio.prompts, ratio.log_ratio, ratio.own, max(own, 1e-9), ratio.skewness)
        weight = 0.0 if early and _contradicts(dispersion, common.dispersion, own) else float(COMMON_WEIGHT)
        moderated = (weight * common.dispersion + own * dispersion) / (weight + own)
        return cls(
            prompts=ratio.prompts,
            log_ratio=ratio.log_ratio,
            variance=ratio.implied * moderated,
            freedom=weight + own,
            skewness=common.drawn(ratio.skewness, own, weight),
            variance_of_rest=ratio.implied_by_all * moderated if partial else 0.0,
        )

    def with_noise(self, noise: RunNoise | None) -> Estimate:
        """With the noise that a whole run has in common; degrees of freedom as Welch and Satterthwaite.

        They are no more than the larger of the two: with their sum, a little noise would narrow the interval.
        """
        if noise is None or not noise.variance:
            return self
        total = self.variance + noise.variance
        freedom = satterthwaite(self.variance, self.freedom, noise.variance, noise.freedom)
        return replace(
            self,
            variance=total,
            freedom=min(freedom, max(self.freedom, noise.freedom)),
            skewness=self.skewness * (self.variance / total) ** 1.5,
            variance_of_rest=self.variance_of_rest + noise.variance if self.variance_of_rest else 0.0,
        )

    def p_value(self, boundary: float) -> float:
        """One-sided p-value of a ratio at or above ``boundary``: small when the ratio is surely below it."""
        distance = self.log_ratio - log(boundary)
        if self.variance == 0:
            return 0.0 if distance < -1e-12 else 1.0
        root = sqrt(self.prompts)
        u = distance / sqrt(self.variance) / root
        tail = root * max(u, _hall(u, self.skewness, self.prompts))
        return float(stdtr(self.freedom, tail))

    def interval(self, level: float) -> tuple[float, float]:
        """Lower and upper bound of the ratio, each with the one-sided error ``level``.

        The upper bound is below a boundary exactly when ``p_value(boundary) <= level``.
        """
        root = sqrt(self.prompts)
        quantile = -float(stdtrit(self.freedom, level)) / root
        up = min(-quantile, _hall_inverse(-quantile, self.skewness, self.prompts))
        down = max(quantile, _hall_inverse(quantile, self.skewness, self.prompts))
        widest = sqrt(max(self.variance, self.variance_of_rest))
        return _exp(self.log_ratio - widest * root * down), _exp(self.log_ratio - sqrt(self.variance) * root * up)

    def detectable_drop(self, tolerance: float, level: float) -> float:
        """The smallest true relative drop that is found with a probability of 80 % at the one-sided ``level``.

        Approximately the tolerance and (t at the level + t at 80 %) standard errors, with the spread seen here
        and what the rest may add to it.
        """
        quantiles = -float(stdtrit(self.freedom, level)) + float(stdtrit(self.freedom, POWER))
        return 1 - (1 - tolerance) * exp(-quantiles * sqrt(max(self.variance, self.variance_of_rest)))


def satterthwaite(one: T, freedom_of_one: T, other: float, freedom_of_other: float) -> T:
    """Degrees of freedom of the sum of two variances that are known to so many each (Welch 1947)."""
    return (one + other) ** 2 / (one**2 / freedom_of_one + other**2 / freedom_of_other)


def _check(before: Sums, after: Sums) -> None:
    for side in (before, after):
        if not side.over.size or not side.over.sum() > 0 or not side.under.sum() > 0:
            raise ValueError("a ratio needs prompts with figures above 0 on both sides")


def _exp(value: float) -> float:
    """Infinite where a number cannot hold it: t has no bounds to speak of below one degree of freedom."""
    return exp(value) if value < _LARGEST_EXPONENT else inf


def _contradicts(dispersion: float, common: float, freedom: float) -> bool:
    if freedom <= 0:
        return False
    return dispersion > common * float(fdtri(freedom, _COMMON_FREEDOM, 1 - CONTRADICTION))


def _variance(psi: Floats) -> float:
    return float((psi**2).sum()) * psi.size / (psi.size - 1) if psi.size > 1 else 0.0


def _third(psi: Floats) -> float:
    return float((psi**3).sum())


def _skewness(psi: Floats) -> float:
    second = float((psi**2).sum())
    return _third(psi) / second**1.5 * sqrt(psi.size) if second > 1e-30 else 0.0


def _hall(u: float, skewness: float, n: int) -> float:
    """Hall's transformation on the scale of U; rising in u."""
    return u + skewness * u**2 / 3 + skewness**2 * u**3 / 27 + skewness / (6 * n)


def _hall_inverse(value: float, skewness: float, n: int) -> float:
    """The u whose transformation is ``value``: the cube in _hall is ((1 + γu/3)³ − 1) / γ."""
    if abs(skewness) < 1e-6:
        return value - skewness / (6 * n)
    return float((np.cbrt(1 + skewness * (value - skewness / (6 * n))) - 1) * 3 / skewness)
