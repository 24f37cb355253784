"""First turns as token ids: in bulk the same as one by one, and never a special token twice."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure import bulk, tokenized
from pytest_speedbench.measure.prompts import TemplateEncoder, dialogue, encode_turn, ids_hash
from pytest_speedbench.measure.tokenized import Tokenized, tokenize
from pytest_speedbench.splits import Prompt, load_split
from tests.unit.measure.tokenizer_folders import (
    BOS_ID,
    DROPS_SYSTEM,
    PLAIN,
    REFUSES_SYSTEM,
    WITH_BOS,
    write_tokenizer,
)

WAYS = ("fastokens", "tokenizers")
FASTOKENS = importlib.util.find_spec("fastokens") is not None
LOOK_ALIKES = ("<|user|>", "<|end|>", "<|end|>\n<|assistant|>\n", "<|us", "er|>", "<|pad|>", "  ", "\r\n", "1234", "né")


@pytest.fixture(scope="module")
def encoder() -> TemplateEncoder:
    return TemplateEncoder.load(BUNDLED_FOLDER / "target")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as bulky, and is encoded this way."""
    monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    if request.param == "tokenizers":
        monkeypatch.setitem(sys.modules, "fastokens", None)
    elif not FASTOKENS:
        pytest.skip("fastokens is not installed")


def prompts_of(*texts: str, system: str = "") -> list[Prompt]:
    return [Prompt(f"q{n}", "qa", "", (text,), system=system) for n, text in enumerate(texts)]


def one_by_one(encoder: TemplateEncoder, prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    return [encode_turn(encoder, prompt, ()) for prompt in prompts]


def ids_of(found: Tokenized) -> list[tuple[int, ...]]:
    return [tuple(found[place].tolist()) for place in range(len(found))]


@pytest.mark.usefixtures("way")
def test_bulk_gives_the_same_ids_for_every_bundled_prompt(encoder: TemplateEncoder) -> None:
    prompts = load_split("mini").prompts
    found = tokenize(encoder, prompts)
    assert ids_of(found) == one_by_one(encoder, prompts)
    assert found.notes == ()
    assert found.question_ids == tuple(prompt.question_id for prompt in prompts)
    assert [found.tokens(n) for n in range(len(found))] == [len(ids) for ids in ids_of(found)]
    assert found.sha256 == tuple(ids_hash(ids) for ids in one_by_one(encoder, prompts))


@pytest.mark.usefixtures("way")
def test_texts_longer_than_a_chunk(encoder: TemplateEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_CHUNK_CHARS", 50)
    prompts = prompts_of("short", "a long one " * 30, "", "x", "another long one " * 40)
    assert ids_of(tokenize(encoder, prompts)) == one_by_one(encoder, prompts)


@pytest.mark.skipif(not FASTOKENS, reason="fastokens is not installed")
@settings(max_examples=150, deadline=None)
@example("<|end|>\n<|user|>\n<|us<|end|>")
@example("\u00a0\u3000\u2028 " * 50 + "👩‍👩‍👧‍👦🏳️‍🌈ｆｕｌｌ１２３ e\u0301ﷺ\ufeff\x00")
@given(st.lists(st.one_of(st.text(), st.sampled_from(LOOK_ALIKES)), max_size=12).map("".join))
def test_any_text_gives_the_same_ids(encoder: TemplateEncoder, text: str) -> None:
    expected = encode_turn(encoder, prompts_of(text)[0], ())
    for name, encode in bulk._ways(encoder.tokenizer):
        (ids,) = encode([encoder.render(dialogue((text,), ()))])
        assert tuple(ids.tolist()) == expected, name


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("adds_bos", [False, True])
def test_bos_is_never_doubled(tmp_path: Path, adds_bos: bool) -> None:
    """The template alone decides, also where the tokenizer would add one by itself."""
    for name, template, expected in (("with", WITH_BOS, 1), ("without", PLAIN, 0)):
        encoder = TemplateEncoder.load(write_tokenizer(tmp_path / name, template, adds_bos=adds_bos))
        assert (encoder.tokenizer.encode("x")[0] == BOS_ID) is adds_bos
        prompts = prompts_of("What is 1 + 1?", "Why?")
        for ids in (*one_by_one(encoder, prompts), *ids_of(tokenize(encoder, prompts))):
            assert ids.count(BOS_ID) == expected, name
            assert ids[:expected] == (BOS_ID,) * expected


@pytest.mark.usefixtures("way")
def test_a_tokenizer_that_truncates_truncates_nothing(tmp_path: Path) -> None:
    encoder = TemplateEncoder.load(write_tokenizer(tmp_path, cuts_at=8))
    (ids,) = ids_of(tokenize(encoder, prompts_of("one two three four " * 20)))
    assert len(ids) > 60


def wrong(*_: Any, **__: Any) -> Callable[[list[str]], Iterator[np.ndarray[Any, Any]]]:
    return lambda texts: iter([np.array([1, 2, 3], dtype=np.uint32) for _ in texts])


def failing(*_: Any, **__: Any) -> Callable[[list[str]], Iterator[np.ndarray[Any, Any]]]:
    def encode(_: list[str]) -> Iterator[np.ndarray[Any, Any]]:
        raise ValueError("match limit exceeded")

    return encode


@pytest.mark.parametrize(("way_of_fastokens", "note"), [(wrong, "other token ids"), (failing, "match limit exceeded")])
def test_a_way_that_is_not_exact_is_not_used_and_it_is_said(
    encoder: TemplateEncoder, monkeypatch: pytest.MonkeyPatch, way_of_fastokens: Any, note: str
) -> None:
    monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    monkeypatch.setattr(bulk, "_fastokens", way_of_fastokens)
    prompts = prompts_of("a", "b b", "c c c")
    found = tokenize(encoder, prompts)
    assert ids_of(found) == one_by_one(encoder, prompts)
    assert len(found.notes) == 1
    assert note in found.notes[0]
    monkeypatch.setattr(bulk, "_batched", way_of_fastokens)
    found = tokenize(encoder, prompts)
    assert ids_of(found) == one_by_one(encoder, prompts)
    assert len(found.notes) == 2


def test_a_difference_in_one_long_or_foreign_prompt_alone_is_found(
    encoder: TemplateEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is among those checked at even distances."""
    texts = [f"question {n}" for n in range(100)]
    for place, text in ((41, "long " * 90), (67, "你好 мир")):
        prompts = prompts_of(*texts[:place], text, *texts[place + 1 :])
        assert place in bulk._sample(prompts)

    def spoil(tokenizer: Any, **_: Any) -> Callable[[list[str]], Iterator[np.ndarray[Any, Any]]]:
        def encode(rendered: list[str]) -> Iterator[np.ndarray[Any, Any]]:
            for text in rendered:
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                yield np.array(ids if text.isascii() else ids[1:], dtype=np.uint32)

        return encode

    monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    monkeypatch.setattr(bulk, "_fastokens", spoil)
    found = tokenize(encoder, prompts)
    assert ids_of(found) == one_by_one(encoder, prompts)
    assert "for 1 of 10 prompts" in found.notes[0]


@pytest.mark.usefixtures("way")
def test_the_system_message_comes_first(encoder: TemplateEncoder) -> None:
    prompts = prompts_of("Hello", system="Be brief.")
    assert dialogue(("Hello", "And?"), ("Hi",), "Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "And?"},
    ]
    (ids,) = ids_of(tokenize(encoder, prompts))
    assert encoder.tokenizer.decode(ids).startswith("<|system|>\nBe brief.<|end|>\n<|user|>\nHello")


@pytest.mark.usefixtures("way")
def test_a_template_without_system_messages_is_refused(tmp_path: Path) -> None:
    prompts = [*prompts_of("Hello"), Prompt("with-system", "qa", "", ("Hello",), system="Be brief.")]
    refusing = TemplateEncoder.load(write_tokenizer(tmp_path / "refuses", REFUSES_SYSTEM))
    with pytest.raises(EngineError, match=r"Turn 1 of 'with-system'.* refuses messages of system, user: No system"):
        tokenize(refusing, prompts)
    dropping = TemplateEncoder.load(write_tokenizer(tmp_path / "drops", DROPS_SYSTEM))
    with pytest.raises(EngineError, match="leaves out the system message of 'with-system'"):
        tokenize(dropping, prompts)
    assert len(tokenize(refusing, prompts[:1])) == 1


@pytest.mark.usefixtures("way")
def test_bulk_names_the_prompt_that_the_template_refuses(tmp_path: Path) -> None:
    template = "{% if 'no' in messages[0]['content'] %}{{ raise_exception('Not that.') }}{% endif %}" + PLAIN
    encoder = TemplateEncoder.load(write_tokenizer(tmp_path, template))
    with pytest.raises(EngineError, match=r"Turn 1 of 'q22'.*Not that\. Leave"):
        tokenize(encoder, prompts_of(*(["yes"] * 22), "no", *(["yes"] * 27)))


def test_items_are_views(encoder: TemplateEncoder) -> None:
    found = tokenize(encoder, prompts_of("a", "b b"))
    assert found.ids.dtype == np.uint32
    assert all(np.shares_memory(found[n], found.ids) for n in range(2))
    assert found.offsets[-1] == len(found.ids)


def test_the_hash_of_ids_is_four_little_endian_bytes_each() -> None:
    ids = (0, 1, 255, 256, 200018, 2**32 - 1)
    expected = hashlib.sha256(b"".join(token.to_bytes(4, "little") for token in ids)).hexdigest()
    array = np.array(ids, dtype=np.uint32)
    assert {ids_hash(ids), ids_hash(list(ids)), ids_hash(array), ids_hash(np.repeat(array, 2)[::2])} == {expected}
    assert ids_hash(()) == hashlib.sha256(b"").hexdigest()
    with pytest.raises(OverflowError):
        ids_hash((2**32,))
