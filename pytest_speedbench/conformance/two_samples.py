"""Are two sets of sampled outputs drawn from the same distribution? An exact test by permutation.

If a drafter changes nothing, the outputs of one prompt with and without it are exchangeable: which of them carry the
label "with" is chance. The labels are shuffled within each prompt, and what was seen is compared with what shuffling
gives.

For every position j the statistic is the chi-square of homogeneity, Σ (a − b)² / (a + b) over the tokens that occurred
there (rare ones taken together), a and b being how often with and without the drafter, summed over the prompts.
Standardised over the shuffles it is z_j, and the score of a labelling is max(max_j z_j, Σ_j z_j / √J): one position
that is far off, or all a little. Where the engine says how probable the sampled tokens were, the difference of their
mean log-probabilities is one more statistic among these: a wrong temperature or a share of greedy tokens moves it most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Outputs = Sequence[Sequence[int]]
"""Sampled outputs of one prompt; all of them were given the same output limit."""
Floats = NDArray[np.float64]

LABELLINGS = 20_000
"""The labelling that was seen and 19,999 shuffles. The samples differ if the seen one scores highest of all, which
happens by chance once in as many times: the false-alarm rate is 1 / 20,000, exactly."""

ENDED = -1
_RARE = -2
_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
_TRIALS = 40
_MOST_MISSED = 2
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """What the test found.

    Attributes:
        differ: whether the samples differ.
        position: where most, counted from 1.
        scores: z of every position; ``None`` where all tokens were the same.
        likelihood: z of the mean log-probability; ``None`` without log-probabilities, or if all are equal.
        seen_share: the smallest share of sampled tokens that could be the position's most frequent one in place of a
            drawn one and be found at least 19 times in 20 (of 40 trials on resampled outputs); ``None`` if
            even the largest share tried, 60 %, would not.
    """

    differ: bool
    position: int
    scores: tuple[float | None, ...]
    likelihood: float | None
    seen_share: float | None


def compare_samples(
    with_drafter: Sequence[Outputs],
    without: Sequence[Outputs],
    positions: int,
    log_probabilities: Sequence[Floats] | None = None,
    *,
    seed: int = 1,
) -> TwoSamples:
    """Test whether sampled outputs have the same distribution.

    Args:
        with_drafter: per prompt, the outputs with the drafter.
        without: per prompt, as many outputs without it.
        positions: how many positions are compared; an output that ended before one has ended there.
        log_probabilities: per prompt, [outputs with, then without the drafter; positions]: of each token after those
            before it, 0 where it was not looked up; ``None`` if the engine does not say.
        seed: of the shuffles.

    Raises:
        ValueError: the numbers of outputs differ.
    """
    random = np.random.default_rng(seed)
    table = _Table.of(with_drafter, without, positions, log_probabilities)
    labellings = table.labellings(random)
    mean, spread = labellings.mean(axis=0), labellings.std(axis=0)
    informative = spread > 0

    def score(statistics: Floats) -> Floats:
        z = (statistics - mean) / np.where(informative, spread, np.inf)
        together = z[:, :-1].sum(axis=1) / np.sqrt(max(1, int(np.count_nonzero(informative[:-1]))))
        return np.asarray(np.maximum(z.max(axis=1), together), dtype=np.float64)

    if not informative.any():
        return TwoSamples(False, 1, (None,) * positions, None, None)
    scores = score(labellings)
    differ = bool(scores[0] > scores[1:].max())
    z = (labellings[0] - mean) / np.where(informative, spread, np.inf)
    told = tuple(float(value) if known else None for value, known in zip(z, informative, strict=True))
    return TwoSamples(
        differ=differ,
        position=int(z[:-1].argmax()) + 1,
        scores=told[:-1],
        likelihood=told[-1],
        seen_share=None if differ else table.seen_share(lambda rows: score(rows) > scores[1:].max(), random),
    )


def shares(outputs: Outputs, position: int) -> dict[int, float]:
    """How often each token stands at a position (from 1), as a share; :data:`ENDED` for outputs that ended before."""
    tokens, counts = np.unique(
        [output[position - 1] if position <= len(output) else ENDED for output in outputs], return_counts=True
    )
    return {int(token): int(count) / len(outputs) for token, count in zip(tokens, counts, strict=True)}


def _least_occurrences(outputs: int) -> int:
    """Tokens that occur less often at a position of one prompt's outputs count as one: each alone only adds noise."""
    return min(5, max(2, outputs // 20))


@dataclass(frozen=True, slots=True)
class _Table:
    """All outputs as codes, one for every token that occurs at a position of a prompt's outputs.

    Attributes:
        codes: per prompt, [outputs, positions]; the first half of the outputs came with the drafter.
        positions: of every code.
        modes: per prompt, the code of the most frequent token of every position.
        logs: per prompt, [outputs, positions]: log-probabilities, 0 where unknown.
        mode_logs: per prompt, the mean log-probability of the most frequent token of every position.
    """

    codes: tuple[NDArray[np.int64], ...]
    positions: NDArray[np.int64]
    modes: tuple[NDArray[np.int64], ...]
    logs: tuple[Floats, ...]
    mode_logs: tuple[Floats, ...]

    @classmethod
    def of(
        cls,
        with_drafter: Sequence[Outputs],
        without: Sequence[Outputs],
        positions: int,
        log_probabilities: Sequence[Floats] | None,
    ) -> _Table:
        if [len(outputs) for outputs in with_drafter] != [len(outputs) for outputs in without]:
            raise ValueError("both samples need equally many outputs of every prompt")
        all_codes, places, modes, known = [], [], [], 0
        for ours, theirs in zip(with_drafter, without, strict=True):
            tokens = np.full((len(ours) + len(theirs), positions), ENDED, dtype=np.int64)
            for row, output in enumerate([*ours, *theirs]):
                kept = output[:positions]
                tokens[row, : len(kept)] = kept
            codes, mode = np.empty_like(tokens), np.empty(positions, dtype=np.int64)
            for position in range(positions):
                column = tokens[:, position]
                found, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
                column[counts[inverse] < _least_occurrences(len(tokens))] = _RARE
                found, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
                codes[:, position] = known + inverse
                mode[position] = known + np.where(found == _RARE, 0, counts).argmax()
                places.extend([position] * len(found))
                known += len(found)
            all_codes.append(codes)
            modes.append(mode)
        logs = log_probabilities or [np.zeros(codes.shape) for codes in all_codes]
        mode_logs = tuple(
            np.where(codes == mode, log, 0).sum(axis=0) / np.maximum((codes == mode).sum(axis=0), 1)
            for codes, mode, log in zip(all_codes, modes, logs, strict=True)
        )
        return cls(tuple(all_codes), np.array(places), tuple(modes), tuple(logs), mode_logs)

    def labellings(self, random: np.random.Generator) -> Floats:
        """The statistics [labellings, positions + 1]: first as seen, then shuffled; log-probabilities come last."""
        total = np.zeros((LABELLINGS, self.logs[0].shape[1] + 1))
        for codes, logs in zip(self.codes, self.logs, strict=True):
            total += self._labellings_of(codes, logs.sum(axis=1), random)
        total[:, -1] = np.abs(total[:, -1])
        return total

    def _labellings_of(self, codes: NDArray[np.int64], logs: Floats, random: np.random.Generator) -> Floats:
        """Of one prompt; the log-probabilities' difference has its sign."""
        half = len(codes) // 2
        found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
        occurs = np.zeros((len(codes), len(found)), dtype=np.float32)
        occurs[np.arange(len(codes))[:, None], inverse.reshape(codes.shape)] = 1
        # A token seen once adds the same to every labelling.
        kept = counts > 1
        occurs, counts = occurs[:, kept], counts[kept]
        of_position = np.zeros((len(counts), codes.shape[1]), dtype=np.float32)
        of_position[np.arange(len(counts)), self.positions[found[kept]]] = 1 / counts
        signs = np.where(np.arange(len(codes)) < half, 1, -1).astype(np.float32)
        centred = (logs - logs.mean()).astype(np.float32)[:, None]
        rows = []
        for start in range(0, LABELLINGS, _BATCH):
            batch = np.tile(signs, (min(_BATCH, LABELLINGS - start), 1))
            random.permuted(batch, axis=1, out=batch)
            if start == 0:
                batch[0] = signs
            rows.append(np.hstack([(batch @ occurs) ** 2 @ of_position, batch @ centred]))
        return np.concatenate(rows).astype(np.float64)

    def seen_share(self, found: Callable[[Floats], NDArray[np.bool_]], random: np.random.Generator) -> float | None:
        """See :attr:`TwoSamples.seen_share`; ``found`` says of statistics [n, positions] which would be found."""
        for share in _SHARES:
            rows = np.array([self._spoilt(share, random) for _ in range(_TRIALS)])
            if int(np.count_nonzero(found(rows))) >= _TRIALS - _MOST_MISSED:
                return share
        return None

    def _spoilt(self, share: float, random: np.random.Generator) -> Floats:
        """The statistics of outputs drawn anew from all, a share of one side's tokens made the most frequent one."""
        width = self.logs[0].shape[1]
        ours, theirs = np.zeros(len(self.positions)), np.zeros(len(self.positions))
        difference = 0.0
        for codes, mode, logs, mode_logs in zip(self.codes, self.modes, self.logs, self.mode_logs, strict=True):
            half = len(codes) // 2
            drawn = random.integers(0, len(codes), size=2 * half)
            replaced = random.random((half, width)) < share
            spoilt = np.where(replaced, mode, codes[drawn[:half]])
            ours += np.bincount(spoilt.ravel(), minlength=len(ours))
            theirs += np.bincount(codes[drawn[half:]].ravel(), minlength=len(theirs))
            known = logs[drawn[:half]] != 0
            difference += np.where(replaced & known, mode_logs, logs[drawn[:half]]).sum() - logs[drawn[half:]].sum()
        both = ours + theirs
        parts = np.where(both > 1, (ours - theirs) ** 2 / np.maximum(both, 1), 0)
        by_position = np.bincount(self.positions, weights=parts, minlength=width)
        return np.append(by_position, abs(difference)).astype(np.float64)
