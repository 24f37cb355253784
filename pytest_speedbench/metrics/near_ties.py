"""How much of a replayed conversation another rounding may have made another text of."""

from __future__ import annotations

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.measure.run import Conversation, Turn


def exposed_share(conversation: Conversation) -> float | None:
    """The expected share of a conversation's decode steps that stand in text which rounding may have made another one.

    From the first token on that rounding turns over, the rest of the output is another text, and with it the prompts of
    all turns after it: turn t of exposure x_t is another text in all its steps unless none of the turns before it
    changed, so its share is 1 − (1 − x_t) Π of their probabilities to be unchanged.

    Returns:
        0 for what was decoded and is not in doubt; ``None`` for replayed outputs whose margins are not known.
    """
    turns = [turn for turn in conversation.turns if _steps(turn)]
    if not any(_is_replayed(turn) for turn in turns):
        return 0.0
    exposed, steps, unchanged = 0.0, 0, 1.0
    for turn in turns:
        if turn.exposure is None:
            return None
        exposed += _steps(turn) * (1 - (1 - turn.exposure.share) * unchanged)
        steps += _steps(turn)
        unchanged *= turn.exposure.unchanged
    return exposed / steps


def turned_over(conversation: Conversation) -> float | None:
    """The probability that rounding made another text of any of a conversation's replayed outputs.

    Returns:
        0 for what was decoded and is not in doubt; ``None`` for replayed outputs whose margins are not known.
    """
    unchanged = 1.0
    for turn in conversation.turns:
        if _is_replayed(turn):
            if turn.exposure is None:
                return None
            unchanged *= turn.exposure.unchanged
    return 1 - unchanged


def _is_replayed(turn: Turn) -> bool:
    return turn.acceptance is not None and turn.acceptance.source is AcceptanceSource.REPLAY


def _steps(turn: Turn) -> int:
    return (turn.acceptance.decode_steps or turn.acceptance.verify_steps) if turn.acceptance is not None else 0
