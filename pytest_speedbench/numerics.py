"""What rounding may turn over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MANTISSA_BITS = {"float32": 23, "float16": 10, "bfloat16": 7}
_LOGIT_EXPONENT = 4
_FLOAT32_LIMIT = 1e-4


def near_tie_limit(*dtypes: str | None) -> float | None:
    """The largest difference of two log-probabilities, in nats, that rounding in any of these dtypes may turn over.

    Two units in the last place of a logit between 16 and 32, where the largest logits of language models lie. In
    float32 the order of summation matters more than the last place, so the limit is 1e-4 there. ``None`` if a dtype is
    not known.
    """
    bits = [_MANTISSA_BITS.get(dtype or "") for dtype in dtypes]
    known = [count for count in bits if count is not None]
    if len(known) < len(bits) or not known:
        return None
    return max(2.0 ** (1 + _LOGIT_EXPONENT - min(known)), _FLOAT32_LIMIT)


@dataclass(frozen=True, slots=True)
class Exposure:
    """How far rounding may make another text of a greedy output: from the first token on that it turns over.

    Attributes:
        share: the expected share of the output's tokens from there on.
        unchanged: the probability that there is no such token.
    """

    share: float
    unchanged: float


def exposure(margins_nats: Sequence[float] | None, limit_nats: float | None) -> Exposure | None:
    """How far rounding may make another text of an output; ``None`` if margins or limit are not known.

    A margin m is turned over if rounding moves it by more than m. If what rounding adds lies within ± the limit L,
    evenly to both sides and more often near 0 than far from it, the probability of that is at most
    (1 − m / L) / 2: a tail of such a distribution lies below the straight line from 1/2 at 0 to 0 at L.

    Args:
        margins_nats: by how much the target preferred each output token to the next best one.
        limit_nats: L, as from :func:`near_tie_limit`.
    """
    if margins_nats is None or limit_nats is None:
        return None
    share, unchanged, tokens = 0.0, 1.0, len(margins_nats)
    for place, margin in enumerate(margins_nats):
        if margin >= limit_nats:
            continue
        turned = min(1.0, (1 - margin / limit_nats) / 2)
        share += unchanged * turned * (tokens - place) / tokens
        unchanged *= 1 - turned
    return Exposure(share, unchanged)
