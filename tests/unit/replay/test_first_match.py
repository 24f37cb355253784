"""Our lookup against transformers' own, on every prefix of small texts over few tokens, where n-grams repeat."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.lookup.first_match import FirstMatch
from pytest_speedbench.engines.replay.walk import matching
from pytest_speedbench.outputs import StoredOutput

texts = st.lists(st.integers(0, 3), min_size=4, max_size=40)


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 5), st.integers(1, 4))
def test_it_drafts_what_transformers_drafts(text: list[int], draft_length: int, longest: int) -> None:
    theirs = PromptLookupCandidateGenerator(
        num_output_tokens=draft_length, max_matching_ngram_size=longest, max_length=1000
    )
    row = StoredOutput(tuple(text[:2]), tuple(text[2:-1]), tuple(text[-1:]), stopped=False)
    reach = FirstMatch(draft_length, longest, 1).reach(row)
    for place in range(len(row.output_ids)):
        length = 2 + place + 1
        prefix = torch.tensor([text[:length]])
        candidates, _ = theirs.get_candidates(prefix)  # type: ignore[arg-type]
        draft = candidates[0, length:].tolist()
        assert reach(place) == VerifyStep(len(draft), matching(draft, text[length:]))


def test_shorter_n_grams_may_be_left_out() -> None:
    row = StoredOutput((1, 2, 3), (1, 9, 2), (4,), stopped=False)
    assert FirstMatch(2, 3, 1).reach(row)(2).proposed_tokens == 2
    assert FirstMatch(2, 3, 2).reach(row)(2).proposed_tokens == 0
