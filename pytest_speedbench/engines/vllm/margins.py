"""How sure a target was of its tokens, from the log-probabilities that vLLM returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LAST_TOKEN_RANKS = 5
"""How many tokens are asked for at the last place, where the output's own comes with them only if it is among these.

It is not read as part of the prompt, so that an output up to the very end of the context can be asked about.
"""


def margins_of(output_ids: Sequence[int], log_probabilities: Sequence[Mapping[int, float]]) -> tuple[float, ...] | None:
    """By how many nats the target preferred each output token to the best of the others.

    Args:
        output_ids: what was put out.
        log_probabilities: for each of them, by token id, at least the two most probable tokens and the token itself.

    Returns:
        ``None`` if a token is not among those that were given for it.

    Raises:
        ValueError: they are of another number of tokens, or for one of them no other token is given.
    """
    margins = []
    for token, ranked in zip(output_ids, log_probabilities, strict=True):
        if token not in ranked:
            return None
        margins.append(ranked[token] - max(value for other, value in ranked.items() if other != token))
    return tuple(margins)
