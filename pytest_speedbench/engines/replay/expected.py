"""What is expected of sampled drafts, given what the target put out; and one exact draw of it. Imports no torch.

Rejection sampling (Leviathan, Kalman and Matias 2023, "Fast inference from transformers via speculative decoding",
algorithm 1) keeps the target's distribution p whatever the drafter: a draft x drawn from q is accepted with probability
min(1, q(x) / p(x)) where x is what the output holds, and where it is not accepted the output's token comes of the
residual. Given the output, the drafts of a step are therefore accepted independently of each other, each with that
probability, as long as all before it were. How many are accepted after every place is then known in distribution, and
walking over the places gives the distribution of the whole record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.base import Answered

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation and the standard deviation of what is drawn from its distribution, in the unit of its name."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class ExpectedAcceptance:
    """The acceptance of one request, or of the turns of one conversation, as sampled drafts have it on average.

    Attributes:
        draft_length: K.
        histogram: K + 1 expected counts: verify steps that accept exactly j tokens.
        proposed_tokens: expected tokens drafted.
        undrafted_steps: expected steps without room for a draft, at the end of the context.
        discarded_tokens: expected tokens verified past the end.
        verified_tokens: least tokens that all verify steps put out together.
        joint: the probability that they put out ``verified_tokens`` + d in s verify steps, [d, s].
    """

    draft_length: int
    histogram: tuple[float, ...]
    proposed_tokens: float
    undrafted_steps: float
    discarded_tokens: float
    verified_tokens: int
    joint: Floats

    @property
    def verify_steps(self) -> Expected:
        """S."""
        return _moments(np.arange(self.joint.shape[1], dtype=float), self.joint.sum(axis=0))

    @property
    def al(self) -> Expected | None:
        """The acceptance length 1 + A / S of one draw; ``None`` where there is no verify step.

        It is the expectation of the ratio, not the ratio of expectations.
        """
        if self.joint.shape[1] == 1:
            return None
        tokens = self.verified_tokens + np.arange(self.joint.shape[0], dtype=float)[:, None]
        steps = np.arange(1, self.joint.shape[1], dtype=float)[None, :]
        return _moments(tokens / steps, self.joint[:, 1:])

    def joined(self, other: ExpectedAcceptance) -> ExpectedAcceptance:
        """Both together, drawn independently: two turns of a conversation.

        Raises:
            ValueError: their drafts are not equally long.
        """
        if self.draft_length != other.draft_length:
            raise ValueError("requests of different draft lengths have no common histogram")
        joint = np.zeros(np.add(self.joint.shape, other.joint.shape) - 1)
        for tokens, ours in enumerate(self.joint):
            for more, theirs in enumerate(other.joint):
                joint[tokens + more] += np.convolve(ours, theirs)
        return ExpectedAcceptance(
            self.draft_length,
            tuple(ours + theirs for ours, theirs in zip(self.histogram, other.histogram, strict=True)),
            self.proposed_tokens + other.proposed_tokens,
            self.undrafted_steps + other.undrafted_steps,
            self.discarded_tokens + other.discarded_tokens,
            self.verified_tokens + other.verified_tokens,
            joint,
        )


@runtime_checkable
class Expects(Protocol):
    """An engine whose records are draws of a distribution that it knows."""

    def expected_at(self, draft_length: int) -> Mapping[Answered, ExpectedAcceptance]:
        """What is expected of the requests that were asked so far, had the drafts been that long; none if not drawn."""


@dataclass(frozen=True, slots=True)
class DrawnReach:
    """How much of a sampled draft is accepted after every output token, drawn once: a :data:`~.walk.Reach`.

    Every token of the output is verified in one step at most, so one draw a token serves every place where a step may
    begin and every draft length.

    Attributes:
        acceptance: [places, K]: with which probability draft k + 1 after output token j is accepted if those before it
            are.
        draws: uniform draws in [0, 1), one for every token from output token 1 on, [places + K - 1].
    """

    acceptance: Floats
    draws: Floats

    @classmethod
    def seeded(cls, acceptance: Floats, prompt_ids: Sequence[int], seed: int) -> DrawnReach:
        """The draw that belongs to a prompt and a seed, whatever else is drawn."""
        digest = sha256(np.asarray(prompt_ids, dtype="<u8").tobytes()).digest()
        random = np.random.default_rng([seed % 2**64, *np.frombuffer(digest, dtype="<u4").tolist()])
        places, longest = acceptance.shape
        return cls(acceptance, random.random(max(0, places + longest - 1)))

    def __call__(self, place: int) -> VerifyStep:
        """What a step after output token ``place`` accepts."""
        probabilities = self.acceptance[place]
        refused = np.flatnonzero(self.draws[place : place + len(probabilities)] >= probabilities)
        return VerifyStep(len(probabilities), int(refused[0]) if len(refused) else len(probabilities))


def windows(probabilities: Floats, places: int, draft_length: int) -> Floats:
    """[places, K] for a drafter that drafts a token alike wherever the step began, as a draft model does.

    Args:
        probabilities: of accepting output tokens 1, 2, … and those past the end; where the context ends they may be
            fewer than places and drafts need, and what is missing is never accepted.
        places: output tokens but the last.
        draft_length: K.
    """
    filled = np.zeros(places + draft_length - 1)
    known = probabilities[: len(filled)]
    filled[: len(known)] = known
    return np.lib.stride_tricks.sliding_window_view(filled, draft_length) if places else np.zeros((0, draft_length))


def expected_acceptance(acceptance: Floats, room: Sequence[int]) -> ExpectedAcceptance:
    """The distribution of one request's record, by going over the places once.

    A step after output token j that accepts m tokens is followed by one after token j + m + 1, as in
    :func:`~.walk.record_of`. Time and memory grow with the square of the output's length, at numpy's speed.

    Args:
        acceptance: [places, K] as in :class:`DrawnReach`.
        room: for every place how long a draft may be; where the context ends it falls to 0 and stays there.

    Raises:
        ValueError: a probability is none, or there is room again after there was none.
    """
    places, longest = acceptance.shape
    if not np.all((acceptance >= 0) & (acceptance <= 1)):
        raise ValueError("probabilities lie between 0 and 1")
    drafted = next((place for place in range(places) if room[place] == 0), places)
    if any(room[drafted:]):
        raise ValueError("there is no room again after the end of the context")
    histogram, proposed = np.zeros(longest + 1), 0.0
    # The places that a step may lead to, each with how many steps were taken before it; used in a circle.
    ahead = np.zeros((longest + 2, drafted + 1))
    ahead[0, 0] = 1.0
    for place in range(drafted):
        here = ahead[place % len(ahead), : place + 1].copy()
        ahead[place % len(ahead)] = 0.0
        accepted = _accepted(acceptance[place, : min(room[place], longest)], longest)
        following = (place + 1 + np.arange(longest + 1)) % len(ahead)
        ahead[following, 1 : place + 2] += np.outer(accepted, here)
        visits = here.sum()
        histogram += visits * accepted
        proposed += visits * min(room[place], longest)
    joint = ahead[(drafted + np.arange(longest + 1)) % len(ahead)]
    beyond = drafted + np.arange(longest + 1) - places
    ended = joint.sum(axis=1)
    return ExpectedAcceptance(
        draft_length=longest,
        histogram=tuple(histogram.tolist()),
        proposed_tokens=float(proposed),
        undrafted_steps=float(ended @ np.maximum(-beyond, 0)),
        discarded_tokens=float(ended @ np.maximum(beyond, 0)),
        verified_tokens=drafted,
        joint=joint,
    )


def expected_al_macro(conversations: Iterable[ExpectedAcceptance]) -> Expected | None:
    """The mean over conversations of their acceptance lengths (al_macro); ``None`` if none has a verify step."""
    lengths = [al for conversation in conversations if (al := conversation.al) is not None]
    if not lengths:
        return None
    spread = math.sqrt(sum(al.deviation**2 for al in lengths)) / len(lengths)
    return Expected(sum(al.mean for al in lengths) / len(lengths), spread)


def _accepted(probabilities: Floats, longest: int) -> Floats:
    """The distribution of how many drafts one step accepts, [K + 1]."""
    reached = np.concatenate(([1.0], np.cumprod(probabilities)))
    found = np.zeros(longest + 1)
    found[: len(reached)] = reached * np.append(1.0 - probabilities, 1.0)
    return found


def _moments(values: NDArray[Any], weights: Floats) -> Expected:
    mean = float((values * weights).sum())
    return Expected(mean, math.sqrt(max(0.0, float(((values - mean) ** 2 * weights).sum()))))
