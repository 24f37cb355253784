from __future__ import annotations

from collections import Counter

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.random_tokens import CONTROL_WARNING, random_split
from pytest_speedbench.splits.rows import content_hash
from pytest_speedbench.splits.schema import TextTokenizer
from tests.unit.splits.small_tokenizers import ALL, bundled, byte_level


class Letters:
    """Ten letters, each a token."""

    name = "letters"

    def count(self, text: str) -> int:
        return len(text)

    def cut(self, text: str, tokens: int) -> tuple[str, int]:
        return text[:tokens], min(tokens, len(text))

    def pieces(self) -> str:
        return "abcdefghij"


class Mute(Letters):
    """No token of it is text."""

    def pieces(self) -> str:
        return "  "


class Blank(Letters):
    """Whatever is cut has nothing left."""

    def cut(self, text: str, tokens: int) -> tuple[str, int]:  # noqa: ARG002
        return "", 0


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("tokens", [2, 10, 1000])
def test_the_length_is_reached(kind: str, tokens: int) -> None:
    tokenizer = ALL[kind]()
    split = random_split(tokens, 5, tokenizer)
    for prompt in split.prompts:
        assert prompt.isl_tokens is not None
        assert tokens - 4 <= prompt.isl_tokens == tokenizer.count(prompt.turns[0]) <= tokens
        assert prompt.turns[0].strip()
        assert "\ufffd" not in prompt.turns[0]


def test_what_is_known_of_it() -> None:
    split = random_split(100, 12, bundled(), seed=3)
    assert (split.name, split.total, len(split), split.control) == ("random-100", 12, 12, True)
    assert split.origin == "random tokens of target, seed 3"
    assert split.categories == ("random",)
    assert split.prompts[11].question_id == "random-0012"
    assert split.sha256 == content_hash(split.prompts)
    assert "no workload" in CONTROL_WARNING
    assert "23 %" in CONTROL_WARNING


def test_the_same_on_every_machine() -> None:
    assert random_split(12, 2, Letters()).prompts[1].turns == ("jjeigbecjgif",)
    assert random_split(200, 3, byte_level()) == random_split(200, 3, byte_level())
    assert random_split(200, 3, byte_level()).prompts == random_split(200, 8, byte_level()).prompts[:3]


def test_each_draw_is_its_own() -> None:
    drawn = [*random_split(50, 20, Letters()).prompts, *random_split(50, 20, Letters(), seed=1).prompts]
    assert len({prompt.turns for prompt in drawn}) == 40


def test_uniform() -> None:
    counts = Counter("".join(prompt.turns[0] for prompt in random_split(1000, 100, Letters()).prompts))
    statistic = sum((counts[letter] - 10_000) ** 2 / 10_000 for letter in "abcdefghij")
    assert statistic < 27.9  # chi-squared with 9 degrees of freedom exceeds it once in 1,000


@pytest.mark.parametrize(
    ("tokenizer", "message"), [(Mute(), "no token that is text by itself"), (Blank(), "make no text")]
)
def test_no_text(tokenizer: TextTokenizer, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        random_split(5, 1, tokenizer)
