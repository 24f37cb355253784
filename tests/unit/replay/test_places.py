"""Accepted drafts at every place against one draft after another, with outputs that share rows."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.places import Places
from pytest_speedbench.engines.replay.texts import shared_texts
from pytest_speedbench.engines.replay.walk import matching
from pytest_speedbench.outputs import StoredOutput

K = 3
tokens = st.integers(0, 2)
requests = st.builds(
    lambda prompt, output, overhang: StoredOutput(tuple(prompt), tuple(output), tuple(overhang), False),
    st.lists(tokens, min_size=1, max_size=4),
    st.lists(tokens, min_size=1, max_size=6),
    st.lists(tokens, max_size=K),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(requests, min_size=1, max_size=5), st.data())
def test_places_hold_what_drafting_one_by_one_accepts(outputs: list[StoredOutput], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, 2), min_size=len(outputs), max_size=len(outputs)))
    # A draft for every output and place, by the output's number and the last token read.
    drafts = {
        (number, len(output.prompt_ids) - 1 + place): data.draw(st.lists(tokens, min_size=K, max_size=K))
        for number, output in enumerate(outputs)
        for place in range(len(output.output_ids) - 1)
    }
    places = Places(outputs, rows, K, torch.device("cpu"))
    order = sorted(range(len(outputs)), key=lambda number: rows[number])
    keys = [key for number in order for key in drafts if key[0] == number]
    assert [(rows[number], last_read) for number, last_read in keys] == list(
        zip(places.rows.tolist(), places.last_read.tolist(), strict=True)
    )
    for drafted in range(1, K + 1):
        drafted_tokens = torch.tensor([drafts[key][drafted - 1] for key in keys], dtype=torch.long)
        keys = [keys[kept] for kept in places.keep(drafted, drafted_tokens).tolist()]

    for number, (output, reach) in enumerate(zip(outputs, places.reaches(), strict=True)):
        for place in range(len(output.output_ids) - 1):
            draft = drafts[number, len(output.prompt_ids) - 1 + place]
            assert reach(place) == VerifyStep(K, matching(draft, output.continued[place + 1 :]))


@given(st.lists(st.lists(tokens, min_size=1, max_size=4).map(tuple), min_size=1, max_size=8))
def test_a_text_stands_once_with_all_that_it_begins_with(texts: list[tuple[int, ...]]) -> None:
    shared = shared_texts(texts)
    assert sorted(place for text in shared for place in text.places) == list(range(len(texts)))
    for text in shared:
        assert all(text.ids[: len(texts[place])] == texts[place] for place in text.places)
        assert not any(other.ids[: len(text.ids)] == text.ids for other in shared if other is not text)
