"""Prompt lookup replayed: the first occurrence of the longest last n-gram, as vLLM and transformers look it up."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.walk import Reach, matching
from pytest_speedbench.outputs import StoredOutput


@dataclass(frozen=True, slots=True)
class PromptLookup:
    """Drafts what followed the last tokens where they stood first.

    Attributes:
        draft_length: K; a match close to the end of the text gives fewer.
        longest: tokens of the longest n-gram looked up.
        shortest: tokens of the shortest one.
    """

    draft_length: int
    longest: int
    shortest: int

    def reach(self, stored: StoredOutput) -> Reach:
        """What would have been accepted of one request."""
        text = stored.prompt_ids + stored.continued
        index = _Index(text, self.longest)

        def after(place: int) -> VerifyStep:
            length = len(stored.prompt_ids) + place + 1
            draft = self._draft(index, text, length)
            return VerifyStep(len(draft), matching(draft, text[length : length + len(draft)]))

        return after

    def _draft(self, index: _Index, text: tuple[int, ...], length: int) -> tuple[int, ...]:
        index.read_to(length)
        for size in range(min(self.longest, length - 1), self.shortest - 1, -1):
            start = index.first_after(text[length - size : length])
            if start is not None and start < length:
                return text[start : min(start + self.draft_length, length)]
        return ()


class _Index:
    """Where every n-gram of a growing text ended first."""

    def __init__(self, text: tuple[int, ...], longest: int) -> None:
        self._text = text
        self._ends: list[dict[tuple[int, ...], int]] = [{} for _ in range(longest)]
        self._read = 0

    def read_to(self, length: int) -> None:
        """Take in the text's first ``length`` tokens."""
        for end in range(self._read + 1, length + 1):
            for size, ends in enumerate(self._ends, start=1):
                if size <= end:
                    ends.setdefault(self._text[end - size : end], end)
        self._read = max(self._read, length)

    def first_after(self, words: tuple[int, ...]) -> int | None:
        """The place after the first occurrence of an n-gram."""
        return self._ends[len(words) - 1].get(words)
