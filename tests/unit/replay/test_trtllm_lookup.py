"""TensorRT-LLM's n-grams against the rule told plainly, on texts of few tokens, where n-grams repeat."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.engines.replay.lookup.settings import TrtllmPool
from pytest_speedbench.engines.replay.lookup.trtllm import TrtllmLookup
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.outputs import StoredOutput

CONTEXT = 10_000
MOST = 6
tokens = st.integers(0, 3)


class Ordered:
    """A set that keeps the order of its coming, and is gone through by number even while it shrinks."""

    def __init__(self, item: str) -> None:
        self.items = [item]

    def add(self, item: str) -> None:
        if item in self.items:
            return
        number = 0
        while number < len(self.items):
            if len(self.items[number]) < len(item):
                del self.items[number]
            number += 1
        self.items.append(item)


def told(row: StoredOutput, pool: TrtllmPool, output_limit: int) -> list[int]:
    """Accepted tokens of every step. A token is a letter here, so that pieces of text are strings."""
    sure = "".join(map(str, row.prompt_ids + row.continued))
    limit = len(row.prompt_ids) + output_limit
    end = len(row.prompt_ids) + len(row.output_ids)
    followed: dict[str, Ordered] = {}
    begin, accepted = 0, []
    length = len(row.prompt_ids) + 1
    while length < end:
        text = sure[:length]
        room = limit - 1 - length
        draft = ""
        if room > 0:
            for size in range(min(pool.longest, length - 1), 0, -1):
                for place in range(begin, length - size):
                    gram = text[place : place + size]
                    piece = text[place + size :][: pool.draft_length]
                    longer = gram in followed and len(piece) > len(followed[gram].items[0])
                    if gram not in followed or (longer and not pool.keeps_all):
                        followed[gram] = Ordered(piece)
                    else:
                        followed[gram].add(piece)
            known = [text[-size:] for size in range(1, min(pool.longest, length - 1) + 1) if text[-size:] in followed]
            if known:
                draft = followed[max(known, key=len)].items[0 if pool.drafts_oldest else -1][:room]
            begin = max(0, length - pool.draft_length - pool.longest + 1)
        count = 0
        # The target's token is put out, then compared; the last one ends the request.
        for drafted in draft.ljust(pool.draft_length, "0"):
            if length + count + 1 == end or drafted != sure[length + count]:
                break
            count += 1
        accepted.append(count)
        length += count + 1
    return accepted


@st.composite
def requests(draw: st.DrawFn) -> StoredOutput:
    output: Sequence[int] = draw(st.lists(tokens, min_size=1, max_size=30))
    if draw(st.booleans()):
        output = (list(output) * 5)[:40]
    tail = draw(st.lists(tokens, min_size=MOST, max_size=MOST))
    return StoredOutput(
        tuple(draw(st.lists(tokens, min_size=1, max_size=30))), tuple(output), tuple(tail), stopped=True
    )


@settings(max_examples=400, deadline=None)
@given(requests(), st.integers(1, MOST), st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 3))
def test_every_step_accepts_what_the_rule_says(
    row: StoredOutput, draft_length: int, longest: int, keeps_all: bool, drafts_oldest: bool, to_the_limit: int
) -> None:
    pool = TrtllmPool(draft_length, longest, keeps_all, drafts_oldest)
    expected = told(row, pool, len(row.output_ids) + to_the_limit)
    reach, place, accepted = TrtllmLookup(pool).reach(row), 0, []
    while place < len(row.output_ids) - 1:
        accepted.append(reach(place).accepted_tokens)
        place += accepted[-1] + 1
    assert accepted == expected
    record = record_of(row, reach, draft_length, CONTEXT)
    assert (record.verify_steps, record.discarded_tokens) == (len(expected), 0)


def test_the_oldest_or_the_newest_is_drafted() -> None:
    row = StoredOutput((1, 2, 3, 1, 4, 5), (1, 4, 5, 6), (7,) * 4, stopped=False)
    oldest, newest = (TrtllmLookup(TrtllmPool(2, 1, drafts_oldest=which)).reach(row) for which in (True, False))
    assert (oldest(0).accepted_tokens, newest(0).accepted_tokens) == (0, 2)
