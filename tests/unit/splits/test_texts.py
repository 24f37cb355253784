"""Long texts, kept small: like a tuple, and smaller."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.splits.schema import Prompt
from pytest_speedbench.splits.texts import Texts, compact

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4).map(tuple)


@given(TEXTS, TEXTS)
def test_it_is_a_tuple_of_texts_to_everyone(texts: tuple[str, ...], others: tuple[str, ...]) -> None:
    kept = Texts(texts)
    assert kept == texts
    assert texts == kept
    assert hash(kept) == hash(texts)
    assert (kept == others, kept == Texts(others)) == (texts == others, texts == others)
    assert (tuple(kept), len(kept), kept[1:], repr(kept)) == (texts, len(texts), texts[1:], repr(texts))
    assert all(kept[place] == text for place, text in enumerate(texts))


def test_only_what_gets_smaller_is_kept_so() -> None:
    english, with_emoji = "word " * 1000, "word " * 1000 + "🙂"
    assert compact((english,)) == (english,)
    assert isinstance(compact((english,)), tuple)
    assert isinstance(compact(("🙂",)), tuple)
    kept = compact((with_emoji,))
    assert isinstance(kept, Texts)
    assert sys.getsizeof(kept._encoded[0]) < sys.getsizeof(with_emoji) / 3


def test_prompts_compare_by_their_texts() -> None:
    texts = ("Grüße an 世界 " * 500,)
    assert Prompt("a", "qa", "", Texts(texts)) == Prompt("a", "qa", "", texts)
