from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.tokenizers import FileTokenizer, folder_tokenizer, o200k_base
from tests.unit.splits.small_tokenizers import ALL, SENTENCES, SPECIAL, bundled, byte_level, ranks, small_encoding

of_every_kind = pytest.mark.parametrize("kind", ALL)

any_script = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
mixed = st.lists(st.one_of(st.sampled_from(SENTENCES), any_script), max_size=6).map(" ".join)


@of_every_kind
@given(text=mixed, tokens=st.integers(1, 60))
def test_a_cut_text_is_a_beginning_that_counts_as_told(kind: str, text: str, tokens: int) -> None:
    tokenizer = ALL[kind]()
    beginning, count = tokenizer.cut(text, tokens)
    assert text.startswith(beginning)
    assert tokenizer.count(beginning) == count <= tokens
    beginning.encode()
    assert tokenizer.cut(beginning, tokens) == (beginning, count)
    if tokenizer.count(text) <= tokens:
        assert beginning == text


@of_every_kind
@given(repeats=st.integers(200, 600), tokens=st.integers(100, 3000))
def test_the_rest_of_a_long_text_does_not_matter(kind: str, repeats: int, tokens: int) -> None:
    tokenizer = ALL[kind]()
    text = " ".join(SENTENCES) * repeats
    beginning, count = tokenizer.cut(text, tokens)
    assert tokens - 8 <= count == tokenizer.count(beginning) <= tokens
    assert tokenizer.cut(text + "x" * 10_000, tokens) == (beginning, count)


@of_every_kind
def test_where_text_grows_denser_more_of_it_is_read(kind: str) -> None:
    tokenizer = ALL[kind]()
    beginning, count = tokenizer.cut("日本語" * 2000 + " the dog" * 20_000, 15_000)
    assert 14_990 <= count == tokenizer.count(beginning) <= 15_000


@of_every_kind
def test_special_tokens_are_ordinary_text(kind: str) -> None:
    tokenizer = ALL[kind]()
    assert tokenizer.count(SPECIAL) > 1
    assert tokenizer.count("") == 0
    assert tokenizer.cut("", 5) == ("", 0)
    assert SPECIAL not in tokenizer.pieces()
    assert "<s>" not in tokenizer.pieces()


@of_every_kind
def test_pieces_are_text_in_an_order_that_stays(kind: str) -> None:
    tokenizer = ALL[kind]()
    pieces = tokenizer.pieces()
    assert pieces == tokenizer.pieces()
    assert all(piece and "\ufffd" not in piece for piece in pieces)
    assert "o" in pieces
    assert any(piece.startswith(" ") and piece.strip() for piece in pieces)


@given(text=mixed, tokens=st.integers(1, 60))
def test_cut_as_the_authors_cut(text: str, tokens: int) -> None:
    encoding = small_encoding()
    theirs = encoding.decode(encoding.encode(text, disallowed_special=())[:tokens], errors="replace")
    beginning, count = ranks().cut(text, tokens)
    if beginning != theirs:  # they end within a character, or text cut off reads as more tokens
        assert theirs.endswith("\ufffd") or ranks().count(theirs) > tokens
        assert theirs.startswith(beginning)
        assert count >= tokens - 4


def test_a_character_of_several_tokens_stays_whole() -> None:
    for tokenizer in (ranks(), byte_level(), bundled()):
        whole = tokenizer.count("a😀")
        assert whole > 2
        assert tokenizer.cut("a😀b", whole) == ("a😀", whole)
        for tokens in range(1, whole):
            assert tokenizer.cut("a😀b", tokens) == ("a", 1)


def test_spaces_before_the_cut_are_kept() -> None:
    bytes_of_it = {character: place for place, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab={**bytes_of_it, "aĠ": 256}, merges=[("a", "Ġ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    assert FileTokenizer(tokenizer, "spaces").cut("a b", 1) == ("a ", 1)


def test_the_tokenizer_of_a_folder() -> None:
    assert bundled().name == "target"
    assert "<|user|>" not in bundled().pieces()
    assert len(bundled().pieces()) > 3000


def test_a_folder_that_has_none(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"has no tokenizer\.json"):
        folder_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SplitError, match=r"tokenizer\.json cannot be used: "):
        folder_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("package", "load"), [("tiktoken", o200k_base), ("tokenizers", lambda: folder_tokenizer(Path()))]
)
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, package: str, load: Callable[[], object]) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SplitError, match=r"not installed.*pytest-speedbench\[lengths\]"):
        load()


def test_the_ranks_of_the_authors_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: small_encoding() if name == "o200k_base" else None)
    assert o200k_base().count("the dog") == 3


@pytest.mark.parametrize(
    "error", [ConnectionError("no route to host"), ValueError("hash mismatch."), ImportError("requests")]
)
def test_ranks_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    with pytest.raises(SplitError, match=r"can be neither found nor downloaded: .*[a-z]\. Let .* TIKTOKEN_CACHE_DIR"):
        o200k_base()
