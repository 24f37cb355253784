"""Token ids on disk: found again for the same texts and tokenizer, and used only if they are what was written."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure import token_cache, tokenized
from pytest_speedbench.measure.prompts import LateEncoder, TemplateEncoder
from pytest_speedbench.measure.token_cache import TokenCache, cache_key
from pytest_speedbench.measure.tokenized import Tokenized, tokenize, tokenize_or_recall
from pytest_speedbench.splits import Prompt
from tests.unit.measure.tokenizer_folders import write_tokenizer

PROMPTS = tuple(Prompt(f"q{n}", "qa", "", (f"What is {n} + {n}? " * 9, "Why?"), system="Be brief.") for n in range(7))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder, for which every split counts as bulky."""
    monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    return write_tokenizer(tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry(cache: Path) -> Path:
    (found,) = (cache / "tokens").iterdir()
    return found


def content(found: Tokenized) -> tuple[object, ...]:
    return found.question_ids, found.ids.tolist(), found.offsets, found.sha256


def refuse(_: Path) -> TemplateEncoder:
    raise EngineError("The tokenizer was loaded.", "It need not be.")


def test_the_second_time_nothing_is_tokenized(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert content(made) == content(tokenize(TemplateEncoder.load(model), PROMPTS))
    monkeypatch.setattr(TemplateEncoder, "load", refuse)
    found = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert content(found) == content(made)
    assert found.notes == made.notes == ()
    assert not found.ids.flags.owndata, "it is mapped, not read"
    assert not found.ids.flags.writeable
    for _ in range(2):
        assert [found.request_ids(n) for n in range(len(PROMPTS))] == [made.request_ids(n) for n in range(len(PROMPTS))]


def test_small_splits_and_no_folder_are_not_cached(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenize_or_recall(LateEncoder(model), PROMPTS, None)
    monkeypatch.setattr(tokenized, "BULK_CHARS", 10**6)
    tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert not cache.exists()


def test_the_key_is_of_all_that_shapes_the_ids(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_first(prompt: Prompt) -> tuple[Prompt, ...]:
        return (prompt, *PROMPTS[1:])

    key = cache_key(model, PROMPTS)
    turns = PROMPTS[0].turns
    others = [
        PROMPTS[1:],
        PROMPTS[::-1],
        with_first(Prompt("other", "qa", "", turns, system="Be brief.")),
        with_first(Prompt("q0", "qa", "", (turns[0] + "?",), system="Be brief.")),
        with_first(Prompt("q0", "qa", "", turns, system="Be long.")),
        with_first(Prompt("q0", "qa", "", ("Be brief." + turns[0],))),
    ]
    assert len({key, *(cache_key(model, prompts) for prompts in others)}) == 1 + len(others)
    later = with_first(Prompt("q0", "math", "x", (turns[0], "Another."), system="Be brief."))
    assert cache_key(model, later) == key, "later turns and categories shape no first turn"
    copied = shutil.copytree(model, tmp_path / "copied")
    assert cache_key(copied, PROMPTS) == key
    (copied / "model.safetensors").write_bytes(b"weights")
    assert cache_key(copied, PROMPTS) == key
    for name in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"):
        other = shutil.copytree(model, tmp_path / name)
        (other / name).write_text((other / name).read_text() + " ")
        assert cache_key(other, PROMPTS) != key, name
    monkeypatch.setattr(token_cache, "_versions", lambda: {"tokenizers": "0"})
    assert cache_key(model, PROMPTS) != key


def cut_off(place: Path) -> None:
    os.truncate(place / "ids.npy", (place / "ids.npy").stat().st_size - 4)


def flip_a_bit(place: Path) -> None:
    data = bytearray((place / "ids.npy").read_bytes())
    data[-1] ^= 1
    (place / "ids.npy").write_bytes(data)


def lose_the_ids(place: Path) -> None:
    (place / "ids.npy").unlink()


def lose_the_index(place: Path) -> None:
    (place / "index.json").unlink()


def cut_the_index(place: Path) -> None:
    os.truncate(place / "index.json", 40)


def index_says(**changes: object) -> Callable[[Path], None]:
    def damage(place: Path) -> None:
        index = json.loads((place / "index.json").read_text())
        (place / "index.json").write_text(json.dumps({**index, **changes}))

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut off": cut_off,
    "a bit": flip_a_bit,
    "no ids": lose_the_ids,
    "no index": lose_the_index,
    "index cut off": cut_the_index,
    "no offsets": index_says(offsets=[]),
    "other offsets": index_says(offsets=[0, 1, 2, 3, 4, 5, 6, 7]),
    "other hashes": index_says(sha256=["x"] * 7),
    "wrong types": index_says(offsets="none"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_made_anew(model: Path, cache: Path, damage: Callable[[Path], None]) -> None:
    made = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    damage(entry(cache))
    again = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert content(again) == content(made)
    (note,) = again.notes
    assert str(cache) in note
    assert "cannot be used" in note
    assert "made anew" in note
    mended = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert (content(mended), mended.notes) == (content(made), ())


def test_an_entry_of_another_number_of_prompts_is_not_used(cache: Path) -> None:
    put(TokenCache(cache), "a")
    found, notes = TokenCache(cache).get("a" * 64, 2)
    assert found is None
    assert "has not the ids of 2 prompts" in notes[0]


def test_a_folder_that_cannot_be_written_is_done_without(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    made = tokenize_or_recall(LateEncoder(model), PROMPTS, tmp_path / "file")
    assert content(made) == content(tokenize(TemplateEncoder.load(model), PROMPTS))
    (note,) = made.notes
    assert f"cannot be kept in {tmp_path / 'file' / 'tokens'} (Not a directory)" in note


def test_a_full_disk_leaves_nothing_behind(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    made = tokenize_or_recall(LateEncoder(model), PROMPTS, cache)
    assert "No space left on device" in made.notes[0]
    assert list((cache / "tokens").iterdir()) == []


def test_several_at_once_leave_one_entry(model: Path, cache: Path) -> None:
    made = tokenize(TemplateEncoder.load(model), PROMPTS)

    def work(_: int) -> tuple[object, ...]:
        return content(tokenize_or_recall(LateEncoder(model), PROMPTS, cache))

    with ThreadPoolExecutor(4) as pool:
        assert all(found == content(made) for found in pool.map(work, range(8)))
    assert not entry(cache).name.startswith(".")


def put(cache: TokenCache, key: str, tokens: int = 1000) -> None:
    assert cache.put(key * 64, np.zeros(tokens, np.uint32), (0, tokens), ("x",)) == ()


def keys(cache: Path) -> list[str]:
    return sorted(place.name[0] for place in (cache / "tokens").iterdir())


def make_old(place: Path, age_s: float) -> None:
    os.utime(place, (time.time() - age_s,) * 2)


def test_the_least_recently_used_go_first(cache: Path) -> None:
    bounded = TokenCache(cache, limit_bytes=3 * 4600)
    for age_s, key in enumerate(("c", "b", "a")):
        put(bounded, key)
        make_old(cache / "tokens" / (key * 64), 100 + age_s)
    assert bounded.get("a" * 64, 1)[0] is not None  # the oldest is used now
    put(bounded, "d")
    assert keys(cache) == ["a", "c", "d"]
    put(bounded, "e", 10_000)
    assert keys(cache) == ["e"]


def test_what_is_not_ours_or_being_written_is_left_alone(cache: Path) -> None:
    fresh, stale, foreign = (cache / "tokens" / name for name in (".writing-fresh", ".writing-stale", "thesis"))
    for place in (fresh, stale, foreign):
        place.mkdir(parents=True)
        (place / "ids.npy").write_bytes(b"half" * 1000)
    for place in (stale, foreign):
        make_old(place, 2 * 24 * 3600)
    put(TokenCache(cache, limit_bytes=1), "a")
    assert (fresh.exists(), stale.exists(), foreign.exists()) == (True, False, True)
    assert len(list((cache / "tokens").iterdir())) == 3
