"""The bundled splits: their columns, their spread, their lengths, and that the tiny family never trained on them."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import pytest_speedbench
from examples.tiny_family.corpus import (
    CATEGORIES,
    heldout_conversations,
    is_held_out,
    sub_categories,
    training_conversations,
)

PACKAGE = Path(pytest_speedbench.__file__).parent
BUNDLED = PACKAGE / "splits" / "bundled"
TOKENIZER = PACKAGE / "tiny" / "target"

COLUMNS = {
    "question_id": str,
    "category": str,
    "sub_category": str,
    "turns": list,
    "source": str,
    "src_id": str,
    "difficulty": str,
    "multiturn": bool,
}
THROUGHPUT = {"mini_throughput_256": 256, "mini_throughput_512": 512, "mini_throughput_1k": 1024}
SPLITS = ("mini", *THROUGHPUT)

Row = dict[str, Any]


def rows_of(split: str) -> list[Row]:
    return [json.loads(line) for line in (BUNDLED / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def by_category(rows: list[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row["category"] == name] for name in {row["category"] for row in rows}}


def trigram_cosine(first: str, second: str) -> float:
    one, two = (Counter(text[place : place + 3] for place in range(len(text) - 2)) for text in (first, second))
    product = sum(count * two[key] for key, count in one.items())
    return product / math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in two.values()))


def script_of(text: str) -> Counter[str]:
    """How many letters of each script there are, by the first word of the letters' Unicode names."""
    return Counter(unicodedata.name(letter).split(" ")[0] for letter in text if letter.isalpha())


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_has_exactly_the_speed_bench_columns(split: str) -> None:
    for row in rows_of(split):
        assert {name: type(value) for name, value in row.items()} == COLUMNS
        assert list(row) == list(COLUMNS)
        assert all(isinstance(turn, str) and turn.strip() for turn in row["turns"])
        assert 1 <= len(row["turns"]) <= 5
        assert row["multiturn"] == (len(row["turns"]) > 1)
        assert row["source"] == "pytest-speedbench"
        assert row["difficulty"] in {"easy", "medium", "hard"}


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_unique_and_text_is_whole(split: str) -> None:
    rows = rows_of(split)
    assert len({row["question_id"] for row in rows}) == len(rows)
    assert len({tuple(row["turns"]) for row in rows}) == len(rows)
    assert not any("\N{REPLACEMENT CHARACTER}" in turn for row in rows for turn in row["turns"])


def test_mini_has_16_rows_in_each_category_with_a_multi_turn_quota() -> None:
    rows = rows_of("mini")
    grouped = by_category(rows)
    assert set(grouped) == set(CATEGORIES)
    for category, members in grouped.items():
        assert len(members) == 16, category
        assert sum(row["multiturn"] for row in members) >= 2, category
        assert len({row["sub_category"] for row in members}) >= 8, category
    assert max(len(row["turns"]) for row in rows) == 5


def test_mini_multilingual_spans_languages_and_scripts() -> None:
    rows = by_category(rows_of("mini"))["multilingual"]
    assert len({row["sub_category"].split(":")[0] for row in rows}) >= 12
    main_scripts = {script_of(" ".join(row["turns"])).most_common(1)[0][0] for row in rows}
    assert len(main_scripts) >= 6, main_scripts


def test_mini_prompts_are_unlike_each_other() -> None:
    for category, rows in by_category(rows_of("mini")).items():
        texts = [" ".join(row["turns"]).casefold() for row in rows]
        likeness = [trigram_cosine(first, second) for first, second in combinations(texts, 2)]
        assert max(likeness) < 0.8, category
        assert sum(likeness) / len(likeness) < 0.4, category


@pytest.mark.parametrize("split", THROUGHPUT)
def test_throughput_splits_have_32_single_turn_rows_per_entropy_class(split: str) -> None:
    grouped = by_category(rows_of(split))
    assert set(grouped) == {"low_entropy", "mixed", "high_entropy"}
    for members in grouped.values():
        assert len(members) == 32
        assert not any(row["multiturn"] for row in members)


@pytest.mark.parametrize("split", THROUGHPUT)
def test_throughput_prompts_are_no_repeated_filler(split: str) -> None:
    for row in rows_of(split):
        lines = [line for line in row["turns"][0].splitlines() if len(line) > 60]
        assert len(set(lines)) == len(lines), row["question_id"]


@pytest.mark.parametrize("split", THROUGHPUT)
def test_throughput_prompts_have_the_exact_number_of_tokens(split: str) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    lengths = {
        row["question_id"]: len(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": row["turns"][0]}], add_generation_prompt=True, return_dict=True
            )["input_ids"]
        )
        for row in rows_of(split)
    }
    assert {name: length for name, length in lengths.items() if length != THROUGHPUT[split]} == {}


def test_no_bundled_prompt_occurs_in_the_training_text() -> None:
    asked = {row["turns"][0] for split in SPLITS for row in rows_of(split)}
    assert all(is_held_out(prompt) for prompt in asked)
    trained = {conversation.messages[0].content for conversation in training_conversations(seed=1, count=20_000)}
    assert asked & trained == set()


def test_training_text_is_reproducible_and_covers_all_categories() -> None:
    first = list(training_conversations(seed=7, count=1500))
    assert first == list(training_conversations(seed=7, count=1500))
    assert first != list(training_conversations(seed=8, count=1500))
    assert {conversation.category for conversation in first} == set(CATEGORIES)


def test_training_conversations_alternate_and_end_with_an_answer() -> None:
    for conversation in training_conversations(seed=3, count=3000):
        roles = [message.role for message in conversation.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles
        assert len(roles) <= 10
        assert all(message.content.strip() == message.content != "" for message in conversation.messages)


def test_a_share_of_the_training_text_has_several_turns_in_every_category() -> None:
    several, total = Counter[str](), Counter[str]()
    for conversation in training_conversations(seed=4, count=12_000):
        total[conversation.category] += 1
        several[conversation.category] += len(conversation.messages) > 2
    for category in CATEGORIES:
        assert 0.1 < several[category] / total[category] < 0.25, category


def test_heldout_conversations_have_the_turns_asked_for() -> None:
    found = next(heldout_conversations("rag", seed=1, sub_category="quote the passage", turns=5))
    assert [message.role for message in found.messages] == ["user", "assistant"] * 5
    assert is_held_out(found.messages[0].content)


@pytest.mark.parametrize(
    ("category", "sub_category", "turns", "message"),
    [
        ("poetry", None, None, "unknown category 'poetry'"),
        ("coding", "sonnet", None, "coding has no task 'sonnet'"),
        ("multilingual", "German: list", 5, "makes no dialogues of 5 turns"),
    ],
)
def test_heldout_conversations_refuse_what_does_not_exist(
    category: str, sub_category: str | None, turns: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        next(heldout_conversations(category, seed=1, sub_category=sub_category, turns=turns))


def test_every_template_has_heldout_prompts() -> None:
    for category in CATEGORIES:
        for name in sub_categories(category):
            found = next(heldout_conversations(category, seed=2, sub_category=name))
            assert (found.category, found.sub_category) == (category, name)
