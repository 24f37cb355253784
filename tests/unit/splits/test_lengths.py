from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.errors import ConfigError, SplitError
from pytest_speedbench.splits import Prompt, Split, load_split
from pytest_speedbench.splits.lengths import fit, parse_count, parse_tokens
from pytest_speedbench.splits.rows import content_hash
from pytest_speedbench.splits.schema import TextTokenizer
from tests.unit.splits.small_tokenizers import ALL, SENTENCES, bundled, ranks

texts = st.lists(
    st.one_of(st.sampled_from(SENTENCES), st.text(st.characters(exclude_categories=["Cs"]), max_size=60)),
    min_size=1,
    max_size=8,
).map(lambda parts: "a" + " ".join(parts))


def split_of(*texts: str, categories: int = 1) -> Split:
    prompts = tuple(
        Prompt(f"q{place}", f"category {place % categories}", "", (text, "And then?"))
        for place, text in enumerate(texts)
    )
    return Split("own", prompts, content_hash(prompts), len(prompts), notes=("As it was.",))


def first_turns(split: Split) -> list[str]:
    return [prompt.turns[0] for prompt in split.prompts]


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=40)
@given(given_texts=st.lists(texts, min_size=1, max_size=6), tokens=st.integers(8, 300), categories=st.integers(1, 3))
def test_any_text(kind: str, given_texts: list[str], tokens: int, categories: int) -> None:
    tokenizer = ALL[kind]()
    split = split_of(*given_texts, categories=categories)
    fitted = fit(split, tokens, tokenizer)
    for before, after in zip(split.prompts, fitted.prompts, strict=True):
        text, original = after.turns[0], before.turns[0]
        assert tokenizer.count(text) == after.isl_tokens
        assert tokenizer.count(text) <= tokens
        text.encode()
        if tokenizer.count(original) >= tokens:
            assert original.startswith(text)
        else:
            assert text.endswith(original)
        assert after == replace(before, turns=(text, "And then?"), isl_tokens=after.isl_tokens)
    assert fit(split, tokens, tokenizer) == fitted
    if all(prompt.isl_tokens == tokens for prompt in fitted.prompts):
        assert first_turns(fit(fitted, tokens, tokenizer)) == first_turns(fitted)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("tokens", [100, 512, 2000])
def test_a_real_split_reaches_the_length(kind: str, tokens: int) -> None:
    fitted = fit(load_split("mini_throughput_256"), tokens, ALL[kind]())
    missing = [tokens - (prompt.isl_tokens or 0) for prompt in fitted.prompts]
    assert 0 <= min(missing) <= max(missing) <= 6
    assert sum(count == 0 for count in missing) > len(missing) / 2


def test_what_is_known_of_the_result() -> None:
    split = split_of("the dog " * 100, "the dog")
    fitted = fit(split, 50, ranks())
    assert fitted.name == "own-isl50"
    assert fit(split, 50, ranks(), served=False).name == "own-isl50-small_base"
    assert fitted.sha256 == content_hash(fitted.prompts) != split.sha256
    assert fitted.total == 2
    assert fitted.notes[:2] == (
        "As it was.",
        "First turns were brought to 50 small_base tokens: 1 were cut and 1 filled with the text of other prompts.",
    )
    assert fit(split_of(SENTENCES[0]), ranks().count(SENTENCES[0]), ranks()).prompts[0].turns[0] == SENTENCES[0]


def words(name: str, count: int) -> str:
    return " ".join(f"{name}{place}" for place in range(count))


def test_filled_with_whole_neighbours_and_the_task_last() -> None:
    split = split_of(*(words(name, 40) for name in "abcdef"))
    length = ranks().count(words("a", 40))
    for prompt, text in zip(split.prompts, first_turns(fit(split, 3 * length, ranks())), strict=True):
        parts = text.split("\n\n")
        assert parts[-1] == prompt.turns[0]
        assert len({part[0] for part in parts}) == len(parts) == 4
        assert parts[1] in first_turns(split)  # between the half that comes first and the one that is cut


def test_the_own_category_comes_first_and_nothing_repeats_before_all_was_used() -> None:
    split = split_of(*(words(name, 40) for name in "abcdef"), categories=2)
    length = ranks().count(words("a", 40))
    for place, text in enumerate(first_turns(fit(split, 5 * length, ranks()))):
        *fillers, task = [part[0] for part in text.split("\n\n")]
        own = "ace" if place % 2 == 0 else "bdf"
        assert set(fillers[:2]) == set(own) - {task}
        assert len(fillers) == len(set(fillers)) == 5

    fitted = fit(split, 12 * length, ranks())
    assert fitted.notes[-1] == "6 of them repeat text: all other prompts together have too little."
    for text in first_turns(fitted):
        *fillers, task = [part[0] for part in text.split("\n\n")]
        assert len(set(fillers[:5])) == 5
        assert fillers[5:10] == fillers[:5]
        assert task not in fillers


def test_no_two_prompts_begin_alike() -> None:
    texts = [words(name, 400 if name in "xyz" else 20) for name in "abcdefgxyz"]
    fitted = first_turns(fit(split_of(*texts), 500, ranks()))
    assert len({text[:12] for text in fitted}) == len(texts)


def test_a_prompt_alone_stays_short() -> None:
    fitted = fit(split_of("the dog"), 50, ranks())
    assert first_turns(fitted) == ["the dog"]
    assert fitted.prompts[0].isl_tokens == 3
    assert fitted.notes[-1] == "1 of them miss 50 tokens, by 47 at most."


def test_nothing_left() -> None:
    with pytest.raises(SplitError, match=r"The first turn of 'q1' has no text left when it is cut to 1 small_base"):
        fit(split_of("the", "😀 the"), 1, ranks())


_ELSEWHERE = """
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.lengths import fit
from tests.unit.splits.small_tokenizers import bundled
print(fit(load_split("mini"), 300, bundled()).sha256)
"""


def test_the_same_in_another_process() -> None:
    here = fit(load_split("mini"), 300, bundled()).sha256
    elsewhere = subprocess.run([sys.executable, "-c", _ELSEWHERE], check=True, capture_output=True, text=True)
    assert elsewhere.stdout.strip() == here


def test_the_order_does_not_depend_on_the_file() -> None:
    split = split_of(*(words(name, 40) for name in "abcdef"))
    turned = replace(split, prompts=split.prompts[::-1])
    assert first_turns(fit(turned, 700, ranks()))[::-1] == first_turns(fit(split, 700, ranks()))


def test_a_tokenizer_that_drops_text_ends_too() -> None:
    class Drops:
        name = "drops"

        def count(self, text: str) -> int:
            return len(text.replace("b", "").replace("\n", ""))

        def cut(self, text: str, tokens: int) -> tuple[str, int]:
            return (
                (text, self.count(text)) if self.count(text) <= tokens else (text[:tokens], self.count(text[:tokens]))
            )

        def pieces(self) -> list[str]:
            return ["a"]

    tokenizer: TextTokenizer = Drops()
    fitted = fit(split_of("bbb", "b", "aa"), 10, tokenizer)
    assert all((prompt.isl_tokens or 0) <= 10 for prompt in fitted.prompts)


@pytest.mark.parametrize(("text", "tokens"), [("8k", 8000), ("1k", 1000), (" 8192 ", 8192), ("32k", 32000), ("1", 1)])
def test_lengths(text: str, tokens: int) -> None:
    assert parse_tokens(text) == parse_count(text) == tokens


@pytest.mark.parametrize("text", ["", "k", "0", "0k", "-1", "1.5k", "8K tokens", "8 k", "1e3", "²"])
def test_no_lengths(text: str) -> None:
    with pytest.raises(ConfigError, match="is no length in tokens"):
        parse_tokens(text)
