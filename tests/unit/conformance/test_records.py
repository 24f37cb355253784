from __future__ import annotations

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.conformance.promises.records import record_fault

K = 3


def record(
    histogram: tuple[int, ...] = (1, 0, 0, 2),
    undrafted: int | None = 1,
    discarded: int | None = 2,
    source: AcceptanceSource = AcceptanceSource.ENGINE,
) -> AcceptanceRecord:
    """Three verify steps that accepted 0, 3 and 3, one step without a draft, and two tokens cut off."""
    return AcceptanceRecord(len(histogram) - 1, histogram, None, undrafted, discarded, source)


@pytest.mark.parametrize(
    ("found", "output_tokens", "words"),
    [
        (record(), 9, None),
        (record(), 10, "1 + S 3 + A 6 + U 1 − discarded 2 = 9"),
        (record(discarded=None), 9, None),
        (record(discarded=None), 12, "imply -1 discarded tokens"),
        (record(discarded=None), 7, "imply 4 discarded tokens"),
        (record(discarded=4), 7, "imply 4 discarded tokens"),
        (record(undrafted=None, discarded=None), 30, None),
        (record(undrafted=None, discarded=None), 6, "S + A = 9 are too many tokens"),
        (record((1, 2)), 9, "a draft length of 1, and 3 was asked"),
        (record(source=AcceptanceSource.STREAM), 9, None),
        (record(source=AcceptanceSource.COUNTERS), 9, "of the engine's counters"),
    ],
)
def test_a_record_obeys_its_identities(found: AcceptanceRecord, output_tokens: int, words: str | None) -> None:
    fault = record_fault(found, output_tokens, K)
    assert fault is None if words is None else words in str(fault)
