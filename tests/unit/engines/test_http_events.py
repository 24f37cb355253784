"""Server-sent events, byte by byte."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.engines.http.events import EventStream

BODY = (
    ": a comment\n\n"
    'data: {"text": "Zwanzig Grüße 你好 🙂"}\n\n'
    "event: note\nid: 7\nretry: 10\n\n"
    "data:without a space\r\n\r\n"
    "data: first line\rdata:  second line\r\r"
    ": keep-alive\ndata: [DONE]\n\n"
).encode()
EVENTS = [
    '{"text": "Zwanzig Grüße 你好 🙂"}'.encode(),
    b"without a space",
    b"first line\n second line",
    b"[DONE]",
]


def events(*pieces: bytes) -> list[bytes]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


def test_whole() -> None:
    assert events(BODY) == EVENTS


def test_one_byte_at_a_time() -> None:
    assert events(*(BODY[index : index + 1] for index in range(len(BODY)))) == EVENTS


@pytest.mark.parametrize("cut", range(len(BODY) + 1))
def test_cut_anywhere_in_two(cut: int) -> None:
    assert events(BODY[:cut], BODY[cut:]) == EVENTS


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_cut_anywhere(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(BODY)]
    assert events(*(BODY[start:end] for start, end in itertools.pairwise(bounds))) == EVENTS


def test_an_event_comes_with_the_bytes_that_complete_it() -> None:
    stream = EventStream()
    assert stream.feed(b"data: 1\n") == []
    assert stream.feed(b"\ndata: 2\n\nda") == [b"1", b"2"]
    assert stream.feed(b"ta: 3\r\n") == []
    assert stream.feed(b"\r") == [b"3"]
    assert stream.feed(b"\n") == []
    assert stream.feed(b"data: 4\n\n") == [b"4"]


def test_an_event_that_broke_off_is_none() -> None:
    assert events(b"data: 1\n\ndata: 2\n") == [b"1"]


def test_separators_of_other_kinds_are_no_line_ends() -> None:
    assert events("data: a\u2028b\x0bc\x85d\n\n".encode()) == ["a\u2028b\x0bc\x85d".encode()]


def test_an_empty_event_has_data_and_a_blank_line_has_none() -> None:
    assert events(b"data:\n\n\n\n") == [b""]
