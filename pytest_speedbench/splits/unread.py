"""Columns that are not read are named, so that nobody takes them for asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_speedbench.splits.forms import Form, shown_names

_LENGTHS = frozenset(
    {
        *("output_tokens", "output_len", "output_length", "output_tokens_count", "output_sequence_length", "osl"),
        *("max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens"),
    }
)
_WITHOUT_MEANING = frozenset({"multiturn"})
"""SPEED-Bench's, which the turns say too."""
_MOST_NAMES = 100
_KEPT_CHARACTERS = 80
"""Of a name: enough to be shown cut."""


class Unread:
    """Collects the columns that are not read, over all files and rows."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, names: Iterable[str], form: Form) -> None:
        """Those of a file or row."""
        read = {*form.names, *_WITHOUT_MEANING}
        for name in names:
            if name not in read and len(self._names) < _MOST_NAMES:
                self._names[name[:_KEPT_CHARACTERS]] = None

    def notes(self) -> Iterator[str]:
        """One sentence, if there are any."""
        if self._names:
            names = tuple(self._names)
            lengths = "" if _LENGTHS.isdisjoint(names) else " The output limit is one for all prompts."
            yield f"Columns that are not read: {shown_names(names)}.{lengths}"
