from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_speedbench.gate.attribution import Attribution, CategoryAttribution, DraftPosition, MovedPrompt, Part
from pytest_speedbench.report.attribution import COLUMNS, attribution_lines, headline


def positions(effects: Sequence[float], first: int = 1) -> tuple[DraftPosition, ...]:
    return tuple(DraftPosition(k, 0.8, 0.4, 0.8, 0.4, effect) for k, effect in enumerate(effects, start=first))


def part(name: str, prompts: int, change: float, contribution: float, outside: float | None = None) -> Part:
    return Part(name, prompts, 2.0, 2.0 * (1 + change), contribution, outside)


def mover(number: int, *, turns: int = 1, same: bool = True, outside: float | None = None) -> MovedPrompt:
    return MovedPrompt(f"multilingual-{number}", "s", 3.0, 1.5, 20, 40, turns, -0.02, same, outside)


MULTILINGUAL = CategoryAttribution(
    name="multilingual",
    prompts=80,
    fell=70,
    rose=4,
    before=2.5,
    after=2.0,
    parts_by="sub-category",
    parts=(part("translation", 40, -0.25, -0.3, 0.6), part("question", 40, -0.15, -0.2, 0.5)),
    positions=positions([-0.4, -0.08, -0.02]),
    positions_pooled=(),
    by_prompt_tokens=(
        part("10–20 tokens", 27, -0.2, -0.2, 0.5),
        part("21–50 tokens", 27, -0.2, -0.15, 0.6),
        part("51–90 tokens", 26, -0.2, -0.15, 0.6),
    ),
    by_output_tokens=(
        part("5–99 tokens", 40, -0.1, -0.1, 0.5),
        part("100–400 tokens", 40, -0.3, -0.4, 0.6),
    ),
    movers=(mover(1, outside=0.8), mover(2, turns=2, same=False, outside=0.7)),
    outside_share=0.591,
    outside_share_elsewhere=0.008,
)
UNPRUNED = replace(MULTILINGUAL, outside_share=None, outside_share_elsewhere=None)


def lines(*categories: CategoryAttribution, not_located: tuple[str, ...] = ()) -> list[str]:
    return attribution_lines(Attribution("the baseline", "acceptance length", categories, not_located))


def test_three_categories_in_full_the_worst_first_and_a_line_for_each_other() -> None:
    losses = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.2, "e": 0.4}
    shown = lines(*(replace(MULTILINGUAL, name=name, after=2.5 - loss) for name, loss in losses.items()))
    heads = [line[0] for line in shown if line[:3] in {f"{name}: " for name in losses}]
    assert heads == ["b", "e", "c", "d", "a"]
    assert shown[-2:] == [
        "d: 2.500 -> 2.300 (-0.200), 80 prompts: 70 fell, 4 rose",
        "a: 2.500 -> 2.400 (-0.100), 80 prompts: 70 fell, 4 rose",
    ]


def test_a_loss_in_full() -> None:
    assert (
        "\n".join(lines(MULTILINGUAL))
        == """\
multilingual: where the loss lies. 2.500 -> 2.000 (-0.500), 80 prompts: 70 fell, 4 rose
  Mostly at draft position 1 (80%), in all 2 sub-categories, in long prompts as much as in short
  ones, more in long outputs; 59% of its output tokens are outside the draft vocabulary (0.8% in the
  other categories).
  draft position   conditional rate       joint rate    effect   of the loss   (prompts weigh alike)
               1     80.0% -> 40.0%   80.0% -> 40.0%    -0.400           80%
               2     80.0% -> 40.0%   80.0% -> 40.0%    -0.080           16%
               3     80.0% -> 40.0%   80.0% -> 40.0%    -0.020            4%
  by sub-category: translation 2.00 -> 1.50 (-25%, 40 prompts, 60% outside); question 2.00 -> 1.70
    (-15%, 40 prompts, 50% outside)
  by prompt length: 10–20 tokens 2.00 -> 1.60 (-20%, 27 prompts, 50% outside); 21–50 tokens 2.00 ->
    1.60 (-20%, 27 prompts, 60% outside); 51–90 tokens 2.00 -> 1.60 (-20%, 26 prompts, 60% outside)
  by output length: 5–99 tokens 2.00 -> 1.80 (-10%, 40 prompts, 50% outside); 100–400 tokens 2.00 ->
    1.40 (-30%, 40 prompts, 60% outside)
  prompts that moved it most (8% of the loss):
    multilingual-1  3.00 -> 1.50  (4.0%, 20 -> 40 steps, 80% outside)
    multilingual-2  3.00 -> 1.50  (4.0%, 20 -> 40 steps, 2 turns, 70% outside, another output)\
"""
    )


def test_nothing_is_said_of_a_vocabulary_that_is_not_pruned() -> None:
    bare = replace(UNPRUNED, parts=(part("a", 80, -0.2, -0.5),), by_prompt_tokens=(), by_output_tokens=(), movers=())
    assert "outside" not in "\n".join(lines(bare))
    assert headline(bare) == "Mostly at draft position 1 (80%)."


def test_one_part_and_parts_of_single_prompts_are_left_out() -> None:
    one = replace(UNPRUNED, parts=(part("all", 80, -0.2, -0.5),))
    single = replace(UNPRUNED, prompts=4, parts=tuple(part(str(i), 1, -0.2, -0.1) for i in range(4)))
    for category in (one, single):
        assert "sub-categor" not in "\n".join(lines(category))


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        ([-0.5], "At draft position 1,"),
        ([-0.02, -0.4, -0.08], "Mostly at draft position 2 (80%),"),
        ([-0.2, -0.2, -0.1], "Spread over the draft, most at draft position 1 (40%),"),
        ([0.1, -0.6], "Mostly at draft position 2 (120%),"),
    ],
)
def test_the_position_in_words(effects: list[float], words: str) -> None:
    assert headline(replace(UNPRUNED, positions=positions(effects))).startswith(words)


def test_steps_without_a_draft_in_words() -> None:
    found = replace(UNPRUNED, positions=positions([-0.4, -0.1], first=0))
    assert headline(found).startswith("Mostly at steps without a draft (80%)")
    assert "       any draft     80.0% -> 40.0%" in "\n".join(lines(found))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("a", -0.2, -0.4), ("b", -0.11, -0.1)], "in all 2 sub-categories"),
        ([("a", -0.4, -0.48), ("b", -0.01, -0.02)], "96% of it in a,"),
        ([("a", -0.3, -0.28), ("b", -0.3, -0.2), ("c", 0.0, -0.02)], "96% of it in a, b,"),
        ([(name, -0.3, -0.1) for name in "abcde"] + [("f", 0.0, 0.0)], "in 5 of 6 sub-categories"),
    ],
)
def test_the_parts_in_words(parts: list[tuple[str, float, float]], words: str) -> None:
    found = tuple(part(name, 10, change, contribution) for name, change, contribution in parts)
    assert words in headline(replace(UNPRUNED, parts=found))


@pytest.mark.parametrize(
    ("short", "long", "words"),
    [
        (-0.2, -0.2, "in long prompts as much as in short ones"),
        (-0.3, -0.16, "in long prompts as much as in short ones"),
        (-0.3, -0.14, "more in short prompts"),
        (0.1, -0.4, "more in long prompts"),
        (-0.05, -0.05, "most in prompts of middling length"),
    ],
)
def test_lengths_in_words(short: float, long: float, words: str) -> None:
    thirds = tuple(part(str(i), 20, change, -0.1) for i, change in enumerate((short, -0.5, long)))
    assert words in headline(replace(UNPRUNED, by_prompt_tokens=thirds))


def test_lengths_of_prompts_and_outputs_are_said_together_if_they_agree() -> None:
    both = replace(UNPRUNED, by_output_tokens=UNPRUNED.by_prompt_tokens)
    assert "in long prompts and outputs as much as in short ones." in headline(both)


def test_a_gain_is_called_one() -> None:
    gained = replace(UNPRUNED, before=2.0, after=2.5, positions=positions([0.4, 0.1]))
    text = "\n".join(lines(gained))
    assert "where the gain lies. 2.000 -> 2.500 (+0.500)" in text
    assert "of the gain" in text
    assert "loss" not in text


def test_no_change_is_one_line() -> None:
    assert lines(replace(UNPRUNED, after=2.5)) == ["multilingual: no change, 2.500, 80 prompts"]
    with pytest.raises(ValueError, match="did not change"):
        headline(replace(UNPRUNED, after=2.5))


def test_what_could_not_be_located_is_named() -> None:
    assert lines(not_located=("qa", "law")) == [
        "Where it lies cannot be said without prompts measured on both sides: qa, law."
    ]


def test_positions_beyond_the_strongest_are_summed() -> None:
    text = lines(replace(UNPRUNED, positions=positions([-0.1] * 4 + [-0.02] * 5)))
    assert sum(line.endswith("%") for line in text) == 7
    assert "      the others" in "\n".join(text)
    assert "-0.060           12%" in "\n".join(text)


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=150), st.integers(1, 12), st.integers(1, 40), st.booleans())
def test_a_category_fits_a_log(name: str, draft_length: int, parts: int, pruned: bool) -> None:
    outside = 0.5 if pruned else None
    found = replace(
        MULTILINGUAL if pruned else UNPRUNED,
        name=name,
        parts=tuple(part(f"{name}{i}", 80 // parts, -0.2, -0.5 / parts, outside) for i in range(parts)),
        positions=positions([-0.5 / draft_length] * draft_length),
        movers=tuple(replace(mover(i, outside=outside), question_id=f"{name}{i}") for i in range(10)),
    )
    text = lines(found)
    assert max(map(len, text)) <= COLUMNS
    assert len(text) <= 30
    assert all(line.isprintable() for line in text)
