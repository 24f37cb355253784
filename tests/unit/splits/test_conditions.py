from __future__ import annotations

from typing import Any

import pytest

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.splits import Prompt, Split
from pytest_speedbench.splits.conditions import Condition, describe, needs_tokenizer, parse_conditions, values_of
from tests.unit.splits.small_tokenizers import ranks

NAME = "--speedbench-where"
HARD = Prompt("a", "coding", "python", ("the the the",), source="books", difficulty="hard")
EASY = Prompt("b", "math", "", ("one plus one is two",), source="web", difficulty="easy")
LONG = Prompt("c", "coding", "rust, unsafe", ("the " * 50, "Why?"), source="web", difficulty="medium")


def chosen(given: Any) -> str:
    conditions = parse_conditions(given, NAME)
    kept = [prompt for prompt in (HARD, EASY, LONG) if all(one.matches(prompt, ranks()) for one in conditions)]
    return "".join(prompt.question_id for prompt in kept)


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("difficulty=hard", "a"),
        ("difficulty=hard|medium", "ac"),
        (" difficulty = hard | medium , category = coding ", "ac"),
        ("difficulty!=hard|medium", "b"),
        ("category=coding,source!=web", "a"),
        ("sub_category=python", "a"),
        ("question_id=a|b", "ab"),
        ("turns>=2", "c"),
        ("turns=1", "ab"),
        ("turns!=1", "c"),
        ("turns>1,turns<3", "c"),
        ("multiturn=yes", "c"),
        ("multiturn=no", "ab"),
        ("multiturn!=yes", "ab"),
        ("chars<=11", "a"),
        ("chars<20", "ab"),
        ("chars<1k", "abc"),
        ("chars>1k", ""),
        ("tokens<=3", "a"),
        ("tokens>3,difficulty=medium", "c"),
        ({"difficulty": "hard"}, "a"),
        ({"difficulty": ["hard", "medium"], "turns": ">=2"}, "c"),
        ({"difficulty": "!=hard|medium"}, "b"),
        ({"sub_category": ["rust, unsafe"]}, "c"),
        ({"turns": 2}, "c"),
        ({"chars": [">11", "< 50"]}, "b"),
        ({"multiturn": True}, "c"),
        ({"multiturn": False}, "ab"),
        ({"tokens": "<=3"}, "a"),
        ({}, "abc"),
    ],
)
def test_choosing(given: Any, ids: str) -> None:
    assert chosen(given) == ids


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "'' is no condition. Write for example difficulty=hard"),
        ("hard", "'hard' is no condition"),
        ("turns>=2,", "'' is no condition"),
        ("dificulty=hard", "no field 'dificulty' to choose prompts by. Did you mean 'difficulty'?"),
        ("turns>=two", "'two' in 'turns>=two' is no number. Write a whole number after"),
        ("turns==2", "'=2' in 'turns==2' is no number"),
        ("turns>=1.5", "is no number"),
        ("turns=1|2", "is no number"),
        ("tokens<-1", "is no number"),
        ("difficulty=", "is no condition on a text. Write difficulty=ONE|ANOTHER"),
        ("difficulty=hard|", "is no condition on a text"),
        ("difficulty==hard", "is no condition on a text"),
        ("difficulty>hard", "is no condition on a text"),
        ("multiturn=maybe", "is neither yes nor no. Write multiturn=yes"),
        ({"difficulty": []}, "difficulty = [] is no condition"),
        ({"turns": 1.5}, "turns = 1.5 is no condition"),
        ({"turns": [None]}, "turns = [None] is no condition"),
        ({"turns": {"min": 2}}, "is no condition"),
        ({"turns": True}, "'yes' in 'turns=yes' is no number"),
        ({"length": 3}, "no field 'length'"),
    ],
)
def test_mistakes_are_named(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_conditions(given, NAME)
    assert str(caught.value).startswith(f"{NAME}: ")
    assert message in str(caught.value)


def test_tokens_need_a_tokenizer_and_come_last() -> None:
    conditions = parse_conditions("tokens<2k,turns=1", NAME)
    assert conditions == (Condition("turns", "=", 1), Condition("tokens", "<", 2000))
    assert needs_tokenizer(conditions)
    assert not needs_tokenizer(parse_conditions("chars<2k", NAME))
    with pytest.raises(ConfigError, match="tokens<2000 counts tokens, and the target's tokenizer is not known here"):
        conditions[1].matches(HARD, None)


def test_in_words() -> None:
    conditions = parse_conditions({"difficulty": ["hard", "medium"], "turns": ">=2", "chars": "<8k"}, NAME)
    assert describe(conditions) == "difficulty=hard|medium, turns>=2, chars<8000"
    assert parse_conditions(describe(conditions), NAME) == conditions


def test_the_values_there_are() -> None:
    split = Split("own", (HARD, EASY, LONG), "", 3)
    assert values_of(split, "difficulty") == ("easy", "hard", "medium")
    assert values_of(split, "multiturn") == ("no", "yes")
    assert values_of(split, "turns") == values_of(split, "tokens") == ()
