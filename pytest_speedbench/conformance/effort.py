"""How much is asked, so that the suite takes two minutes on a fast engine and not much longer on a slow one."""

from __future__ import annotations

from dataclasses import dataclass

_GREEDY_S = 15.0
_MOST_PROMPTS, _LEAST_PROMPTS = 11, 3
_MOST_TOKENS = 48
_SAMPLING_S = 15.0
_MOST_DRAWS, _ENOUGH_DRAWS, _LEAST_DRAWS = 150, 50, 24
_LEAST_DRAWN_PROMPTS = 2
_RANKING_S, _RANKING_OF_FEW_S = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Draws:
    """Sampled outputs: of so many prompts so many each."""

    prompts: int
    each: int


@dataclass(frozen=True, slots=True)
class Effort:
    """What one engine is asked.

    Attributes:
        token_s: seconds per output token of a single request, as measured at the start.
        prompts: greedy prompts.
        tokens: output limit of each.
        positions: of sampled outputs that are compared.
    """

    token_s: float
    prompts: int
    tokens: int
    positions: int

    @classmethod
    def of(cls, token_s: float, draft_length: int) -> Effort:
        """For an engine of this speed: a prefill and two verify steps at least are seen of every request."""
        positions = min(12, 2 * draft_length + 2)
        affordable = _GREEDY_S / max(token_s, 1e-6)
        tokens = int(min(_MOST_TOKENS, max(positions, affordable / _MOST_PROMPTS)))
        prompts = int(min(_MOST_PROMPTS, max(_LEAST_PROMPTS, affordable / tokens)))
        return cls(token_s, prompts, tokens, positions if prompts > _LEAST_PROMPTS else draft_length + 1)

    @property
    def reduced(self) -> bool:
        """Whether the engine is too slow for the full suite."""
        return (self.prompts, self.tokens) != (_MOST_PROMPTS, _MOST_TOKENS)

    @property
    def ranking_s(self) -> float:
        """Seconds that may go into asking how probable the sampled tokens were; few draws need it more."""
        return _RANKING_OF_FEW_S if self.reduced else _RANKING_S

    def draws(self, output_s: float, prompts: int) -> Draws:
        """How many outputs to sample, given how long one takes and how many prompts there are.

        Decided before they are drawn: stopping when the time is up would favour short outputs. Many outputs of few
        prompts show more than few of many.
        """
        affordable = _SAMPLING_S / max(output_s, 1e-6)
        asked = prompts if affordable >= prompts * _ENOUGH_DRAWS else min(prompts, _LEAST_DRAWN_PROMPTS)
        return Draws(asked, int(min(_MOST_DRAWS, max(_LEAST_DRAWS, affordable / asked))))
