"""Simulated measurements of a drafter: the world of the gate's simulations, and harder ones.

Eleven categories of 80 prompts. A prompt's own acceptance length (AL) is normal around its category's, which are those
that were published with SPEED-Bench (its example run: Llama 3.3 70B Instruct with an EAGLE-3 head, TensorRT-LLM, draft
length 3), with a standard deviation of 0.35, clipped to [1.05, 3.95]. Outputs are log-normally long (median 281 tokens,
sigma 0.85, clipped to [8, 4096]); a prompt takes tokens / AL steps, and each step's draft tokens are accepted with one
probability until the first is not. A prompt that nothing happened to has the same counts on both sides with
probability 0.7 and is else decoded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Damage = Callable[[Floats, Floats], Floats]
"""(uniform random marks of prompts: runs, categories, prompts; size by category) → factor of each prompt's AL.

It is 1 where nothing happened.
"""

CATEGORY_AL = {
    "coding": 3.0001,
    "humanities": 2.3699,
    "math": 2.4710,
    "multilingual": 1.7277,
    "qa": 2.3184,
    "rag": 2.7502,
    "reasoning": 2.6142,
    "roleplay": 2.0407,
    "stem": 2.4306,
    "summarization": 2.6026,
    "writing": 2.6364,
}
CATEGORIES = tuple(CATEGORY_AL)
HIT, SCATTERED = CATEGORIES.index("multilingual"), CATEGORIES.index("qa")
DRAFT_LENGTH = 3
PROMPTS = 80
UNCHANGED = 0.7
TOLERANCE = 0.01
_SD, _LOWEST, _HIGHEST = 0.35, 1.05, 3.95
_TOKENS, _SIGMA, _FEWEST, _MOST = 281, 0.85, 8, 4096
_RATES = np.linspace(0, 1, 20_001)
_ALS = 1 + _RATES + _RATES**2 + _RATES**3
_SOLVING_PROMPTS, _SOLVING_MARKS = 5000, 100


def nothing(marks: Floats, _size: Floats) -> Floats:
    """No damage."""
    return np.ones_like(marks)


def everyone(marks: Floats, size: Floats) -> Floats:
    """All prompts of a category lose the same share."""
    return np.broadcast_to(1 - size[:, None], marks.shape)


def a_tenth(marks: Floats, size: Floats) -> Floats:
    """One prompt in ten loses; the others are as before."""
    return np.where(marks < 0.1, 1 - size[:, None], 1.0)


def few_lose_half(marks: Floats, size: Floats) -> Floats:
    """A share of the prompts loses half; the others are as before."""
    return np.where(marks < size[:, None], 0.5, 1.0)


def two_percent_lose_half(marks: Floats, size: Floats) -> Floats:
    """2 % of the prompts lose half, and all change by a share that brings the category to the tolerance."""
    return np.where(marks < 0.02, 0.5, 1.0) * (1 - size[:, None])


def a_tenth_gains(marks: Floats, size: Floats) -> Floats:
    """One prompt in ten gains 30 %, the others lose."""
    return np.where(marks < 0.1, 1.3, 1 - size[:, None])


def one_category_scatters(marks: Floats, size: Floats) -> Floats:
    """Prompts of qa change by ± 20 % (normal, at most ± 40 %) besides; all lose."""
    factors: Floats = np.broadcast_to(1 - size[:, None], marks.shape).copy()
    factors[:, SCATTERED] *= 1 + np.clip(0.2 * ndtri(marks[:, SCATTERED]), -0.4, 0.4)
    return factors


def exponential(marks: Floats, size: Floats) -> Floats:
    """Losses are exponential with this mean, and 25 % at most."""
    losses: Floats = np.minimum(-size[:, None] * np.log1p(-marks), 0.25)
    return 1 - losses


@dataclass(frozen=True)
class World:
    """How two measurements of the same prompts come about.

    Attributes:
        name: in words.
        damage: what happens to prompts.
        size: how much, if it is given; where it is ``None``, as much as brings every category to the tolerance: the
            larger of its expected drops of al_macro and al_pooled is then 1 %.
        only: the one category that is hit; ``None`` for all.
        prompts: of each category.
        unchanged: probability that a prompt that nothing happened to has the same counts on both sides.
        block: so many steps in a row accept alike.
        same_steps: the candidate takes as many steps as the baseline did, not as many tokens.
        run_sd: standard deviation of what moves all prompts of a run together, each run by itself, as a share.
        baseline_runs: runs of the baseline; of several it is calibrated.
    """

    name: str
    damage: Damage = nothing
    size: float | None = 0.0
    only: int | None = None
    prompts: int = PROMPTS
    unchanged: float = UNCHANGED
    block: int = 1
    same_steps: bool = False
    run_sd: float = 0.0
    baseline_runs: int = 1

    def sizes(self) -> Floats:
        """The size of the damage, by category."""
        if self.size is None:
            return _size_at_tolerance(self)
        sizes = np.full(len(CATEGORIES), self.size)
        if self.only is not None:
            sizes[np.arange(len(CATEGORIES)) != self.only] = 0
        return sizes


@dataclass(frozen=True)
class Measured:
    """Steps of many simulated runs that accepted 0, 1, … tokens, (runs, repeats, categories, prompts, bins)."""

    before: Counts
    after: Counts


def simulate(world: World, sizes: Floats, runs: int, rng: np.random.Generator) -> Measured:
    """Draw runs and their baselines."""
    shape = (runs, len(CATEGORIES), world.prompts)
    al, tokens = _prompts(shape, rng)
    factors = world.damage(rng.random(shape), sizes)
    now = _damaged(al, factors)
    repeats = [_draw(_moved(al, world, rng), tokens, None, world, rng) for _ in range(world.baseline_runs)]
    before = np.stack(repeats, axis=1)
    steps = before[:, 0].sum(axis=-1) if world.same_steps else None
    after = _draw(_moved(now, world, rng), tokens, steps, world, rng)
    if not world.run_sd:
        same = (rng.random(shape) < world.unchanged) & (factors == 1)
        after = np.where(same[..., None], before[:, 0], after)
    return Measured(before, after[:, None])


def expected_drops(world: World, sizes: Floats, rng: np.random.Generator) -> Floats:
    """True drops (al_macro, al_pooled) by category, and of all prompts as the last column; without what moves runs.

    Every one of many random prompts is damaged in all ways alike, which leaves little to chance.
    """
    al, tokens = (
        np.repeat(values, _SOLVING_MARKS, axis=-1) for values in _prompts((1, len(CATEGORIES), _SOLVING_PROMPTS), rng)
    )
    strata = np.tile(np.arange(_SOLVING_MARKS), _SOLVING_PROMPTS)
    now = _damaged(al, world.damage((strata + rng.random(al.shape)) / _SOLVING_MARKS, sizes))
    steps = _steps(tokens, al)
    steps_now = steps if world.same_steps else _steps(tokens, now)
    table = np.array([al, steps, al * steps, now, steps_now, now * steps_now])[:, 0].sum(axis=-1)
    length, step, token, length_now, step_now, token_now = np.column_stack([table, table.sum(axis=1)])
    return np.array([1 - length_now / length, 1 - (token_now / step_now) / (token / step)])


def _size_at_tolerance(world: World) -> Floats:
    """By bisection, on the same random prompts in every step: the worse of the two expected drops is the tolerance."""
    low, high = np.full(len(CATEGORIES), -0.1), np.full(len(CATEGORIES), 0.5)
    if world.damage is few_lose_half:
        low[:] = 0
    for _ in range(16):
        middle = (low + high) / 2
        drops = expected_drops(world, middle, np.random.default_rng(7))[:, :-1].max(axis=0)
        low, high = np.where(drops > TOLERANCE, low, middle), np.where(drops > TOLERANCE, middle, high)
    return low


def _prompts(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    means = np.array(list(CATEGORY_AL.values()))[:, None]
    al = np.clip(rng.normal(means, _SD, shape), _LOWEST, _HIGHEST)
    return al, np.clip(rng.lognormal(np.log(_TOKENS), _SIGMA, shape), _FEWEST, _MOST)


def _damaged(al: Floats, factors: Floats) -> Floats:
    return np.where(factors == 1, al, np.clip(al * factors, 1.0, 3.99))


def _moved(al: Floats, world: World, rng: np.random.Generator) -> Floats:
    if not world.run_sd:
        return al
    return np.clip(al * np.exp(rng.normal(0, world.run_sd, (al.shape[0], 1, 1))), 1.0, 3.99)


def _steps(tokens: Floats, al: Floats) -> Floats:
    return np.maximum(1, np.rint(tokens / al))


def _draw(al: Floats, tokens: Floats, steps: Counts | None, world: World, rng: np.random.Generator) -> Counts:
    taken = _steps(tokens, al) if steps is None else steps
    rate = np.interp(al, _ALS, _RATES)
    bins = np.stack([1 - rate, rate * (1 - rate), rate**2 * (1 - rate), rate**3], axis=-1)
    blocks = np.maximum(1, np.rint(taken / world.block)).astype(np.int64)
    counts: Counts = rng.multinomial(blocks, bins / bins.sum(axis=-1, keepdims=True)) * world.block
    return counts
