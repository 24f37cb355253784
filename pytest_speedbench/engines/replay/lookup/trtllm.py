"""The rule of TensorRT-LLM's n-gram drafter: a pool of n-grams and of what followed them.

From its sources, never run: ``tensorrt_llm/_torch/speculative/ngram.py`` and ``drafter.py``, and the sampler's greedy
verification, in copies of 2025 from about 1.1 to 1.2.

- At every step the end of the text is added to the pool: every n-gram of it, with the K tokens after it, or fewer where
  the text ends. Of what followed an n-gram, longer pieces replace shorter ones.
- The longest n-gram at the end of the text is looked up, and the first of what followed it is the draft.
- A draft is filled up with token 0 to K tokens, or made of them alone, and all are verified.
- What is accepted is counted up to the output's end, and not beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.lookup.settings import TrtllmPool
from pytest_speedbench.engines.replay.walk import Reach, matching
from pytest_speedbench.outputs import StoredOutput

Tokens: TypeAlias = tuple[int, ...]
_PADDING = 0


@dataclass(frozen=True, slots=True)
class TrtllmLookup:
    """Drafts for requests that have a pool each."""

    settings: TrtllmPool

    def reach(self, stored: StoredOutput) -> Reach:
        """What would have been accepted of one request."""
        text, last = stored.prompt_ids + stored.continued, len(stored.output_ids) - 1
        pool, most = _Pool(self.settings), self.settings.draft_length
        steps: dict[int, VerifyStep] = {}
        place = 0
        while place < last:
            length = len(stored.prompt_ids) + place + 1
            draft = pool.draft(text, length)
            padded = draft + (_PADDING,) * (most - len(draft))
            accepted = min(matching(padded, text[length:]), last - place - 1)
            steps[place] = VerifyStep(most, accepted)
            place += accepted + 1
        return steps.__getitem__


@dataclass(slots=True)
class _Pool:
    """What followed every n-gram of one request, in the order of its coming."""

    settings: TrtllmPool
    _followed: dict[Tokens, list[Tokens]] = field(default_factory=dict)
    _read: int = 0

    def draft(self, text: Tokens, length: int) -> Tokens:
        """Add the end of a text of so many tokens, and draft from what followed the longest n-gram at its end."""
        settings, pool = self.settings, self._followed
        sizes = range(min(settings.longest, length - 1), 0, -1)
        for size in sizes:
            for end in range(self._read + size, length):
                gram, following = text[end - size : end], text[end : min(end + settings.draft_length, length)]
                followed = pool.get(gram)
                if followed is None or (not settings.keeps_all and len(following) > len(followed[0])):
                    pool[gram] = [following]
                elif following not in followed:
                    _add(followed, following)
        # What was cut short by the text's end is read again.
        self._read = max(0, length - (settings.draft_length + settings.longest - 1))
        for size in sizes:
            followed = pool.get(text[length - size : length])
            if followed is not None:
                return followed[0 if settings.drafts_oldest else -1]
        return ()


def _add(followed: list[Tokens], following: Tokens) -> None:
    """Drop what is shorter, and add.

    As it is done there: removed while it is gone through, so that the one after each that is removed is kept.
    """
    for known in followed:
        if len(known) < len(following):
            followed.remove(known)
    followed.append(following)
