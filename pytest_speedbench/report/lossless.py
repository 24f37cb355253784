"""Where outputs first left the target's own, and whether rounding explains it, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_speedbench.metrics.lossless import Judged
from pytest_speedbench.numerics import near_tie_limit

_CONTEXT_TOKENS = 24
_LISTED = 6


def lossless_message(
    pair: str,
    judged: Sequence[Judged],
    different: int,
    asked: int,
    dtype: str | None,
    text: Callable[[tuple[int, ...]], str],
) -> str:
    """The message of a failed check.

    Args:
        pair: the pair's name.
        judged: the first differences, at least one.
        different: how many outputs differ in all.
        asked: how many were compared.
        dtype: in which the target computes; ``None`` if the engine does not say.
        text: the text of output ids.
    """
    first = judged[0].difference

    def shown(token: int | None) -> str:
        return "nothing more" if token is None else f"{text((token,))!r} (id {token})"

    lines = [
        f"{pair} is not lossless: {different} of {asked} greedy outputs differ from the target's own.",
        f"  first in {first.question_id!r}, turn {first.turn + 1}, output token {first.position + 1}"
        f"{_margin(judged[0])}",
        f"  after {text(first.common_ids[-_CONTEXT_TOKENS:])!r}",
        f"  the target alone emits {shown(first.target_id)}, the pair {shown(first.pair_id)}",
    ]
    if len(judged) > 1:
        others = (f"{j.difference.question_id}{_margin(j)}" for j in judged[1:_LISTED])
        lines.append(f"  also: {', '.join(others)}{', …' if different > _LISTED else ''}")
    return "\n".join([*lines, *_explanation(judged, different, dtype)])


def _margin(judged: Judged) -> str:
    if judged.margin_nats is None:
        return " (no tie)" if judged.near_tie is False else ""
    return f" ({'near-tie' if judged.near_tie else 'no tie'}: {judged.margin_nats:+.4f} nats)"


def _explanation(judged: Sequence[Judged], different: int, dtype: str | None) -> list[str]:
    limit = near_tie_limit(dtype)
    why = "a pass over a whole draft rounds otherwise than one over a single token"
    faults = sum(j.near_tie is False for j in judged)
    unknown = sum(j.near_tie is None for j in judged)
    looked_at = "all" if len(judged) == different else f"the first {len(judged)}"
    if faults:
        return [f"  {faults} of {looked_at} are no near-ties of the target's logits: rounding does not explain them."]
    if unknown or limit is None:
        if dtype in (None, "float32"):
            return []
        return [
            f"  In {dtype} {why}, so near-ties may fall the other way.",
            "  Measure in float32 to tell that from a fault.",
        ]
    return [
        f"  In {looked_at} of them the target's two tokens are within {limit:.2g} nats, which rounding in {dtype} can "
        "turn over:",
        f"  {why}. Pass near_ties=True to allow it.",
    ]
