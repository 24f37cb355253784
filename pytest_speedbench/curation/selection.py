"""The choice itself: greedy from a few starts, then swaps until none helps; the best of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_speedbench.curation.vectors import FloatArray, Lattice

SWAPS_PER_CHOSEN = 20
"""Swaps are stopped after so many times the number of rows to choose; a tenth of that is rarely needed."""

STARTS = 8
"""How many rows are begun with. Of small categories this finds the optimum nearly always, where one start does it in
two of three; large ones gain next to nothing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Rows whose average pairwise similarity is low.

    Attributes:
        rows: ascending.
        swaps: made after the greedy choice.
        total: the sum of the similarities of all ordered pairs, in lattice units.
        settled: whether no swap of one row could lower the average similarity further.
    """

    rows: tuple[int, ...]
    swaps: int
    total: float
    settled: bool


def choose(lattice: Lattice, number: int, *, max_swaps: int | None = None, starts: int = STARTS) -> Choice:
    """Choose rows with a low average pairwise similarity.

    Begins with a row that is unlike all the others, adds the row that is least like those chosen, one by one, and then
    makes the best swap of a chosen row for another for as long as it lowers the sum of similarities. The best of a few
    such beginnings is kept. Equal choices go to the lowest row. A smaller choice need not lie inside a larger one.

    Args:
        lattice: the candidates' vectors.
        number: rows to choose, 1 to all.
        max_swaps: of each beginning; ``None`` for :data:`SWAPS_PER_CHOSEN` times ``number``.
        starts: how many rows to begin with, one after the other: those least like all.

    Complexity: O(n · d) for each row added or swapped in, and O(n · number) for finding a swap; n × number
    similarities are kept.
    """
    limit = SWAPS_PER_CHOSEN * number if max_swaps is None else max_swaps
    firsts = np.argsort(lattice.to_all(), kind="stable")[:starts]
    return min((_choose_from(lattice, int(first), number, limit) for first in firsts), key=lambda choice: choice.total)


def _choose_from(lattice: Lattice, first: int, number: int, limit: int) -> Choice:
    state = _Selection(lattice, first, number)
    swaps = 0
    while (swap := state.best_swap()) is not None and swaps < limit:
        state.swap(*swap)
        swaps += 1
    return Choice(tuple(sorted(state.chosen)), swaps, state.total, settled=swap is None)


class _Selection:
    """The rows chosen so far, and the similarities that say what to change."""

    def __init__(self, lattice: Lattice, first: int, number: int) -> None:
        self._lattice = lattice
        column = lattice.column(first)
        self.chosen: list[int] = [first]
        self._columns = np.empty((number, len(lattice)), dtype=column.dtype)
        self._columns[0] = column
        # Of every row to the chosen ones; what is chosen cannot be chosen again.
        self._to_chosen: FloatArray = column.astype(np.float64)
        self._open = np.zeros(len(lattice))
        self._open[first] = np.inf
        while len(self.chosen) < number:
            self._add(int(np.argmin(self._to_chosen + self._open)))

    @property
    def total(self) -> float:
        """The sum of the similarities of all ordered pairs."""
        return sum(
            float(self._to_chosen[row]) - float(column[row])
            for row, column in zip(self.chosen, self._columns, strict=True)
        )

    def _add(self, row: int) -> None:
        self._put(len(self.chosen), row)
        self.chosen.append(row)

    def _put(self, place: int, row: int) -> None:
        column = self._lattice.column(row)
        self._columns[place] = column
        self._to_chosen += column
        self._open[row] = np.inf

    def best_swap(self) -> tuple[int, int] | None:
        """The place to empty and the row to put there that lower the sum of similarities most; ``None`` if none do."""
        candidates = self._to_chosen + self._open
        best, found = 0.0, None
        without: npt.NDArray[np.float64] = np.empty_like(candidates)
        for place, row in enumerate(self.chosen):
            column = self._columns[place]
            np.subtract(candidates, column, out=without)
            incoming = int(np.argmin(without))
            change = without[incoming] - (self._to_chosen[row] - column[row])
            if change < best:
                best, found = float(change), (place, incoming)
        return found

    def swap(self, place: int, row: int) -> None:
        """Put ``row`` in the place of the one that is there."""
        out = self.chosen[place]
        self._to_chosen -= self._columns[place]
        self._open[out] = 0
        self._put(place, row)
        self.chosen[place] = row
