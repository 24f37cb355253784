"""What rounding may turn over."""

from __future__ import annotations

_MANTISSA_BITS = {"float32": 23, "float16": 10, "bfloat16": 7}
_LOGIT_EXPONENT = 4
_FLOAT32_LIMIT = 1e-4


def near_tie_limit(dtype: str | None) -> float | None:
    """The largest difference of two log-probabilities, in nats, that rounding in ``dtype`` may turn over.

    Two units in the last place of a logit between 16 and 32, where the largest logits of language models lie. In
    float32 the order of summation matters more than the last place, so the limit is 1e-4 there. ``None`` for a dtype
    that is not known.
    """
    bits = _MANTISSA_BITS.get(dtype or "")
    return None if bits is None else max(2.0 ** (1 + _LOGIT_EXPONENT - bits), _FLOAT32_LIMIT)
