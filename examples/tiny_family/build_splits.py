"""Write the bundled splits: ``python -m examples.tiny_family.build_splits``.

The prompts come from the same templates as the training text, but from its held-out share. The throughput splits are
grown until the tiny tokenizer's chat template renders them to exactly 256, 512 or 1,024 tokens.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.tiny_family.corpus import CATEGORIES, heldout_conversations, is_held_out, sub_categories
from examples.tiny_family.corpus.draw import Draw
from examples.tiny_family.corpus.follow_ups import ECHO_PROMPTS
from examples.tiny_family.corpus.multilingual import KINDS, LANGUAGES
from examples.tiny_family.corpus.sized import ENTROPY_CLASSES, SizedPrompt, draw_sized_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from examples.tiny_family.corpus import Conversation

    Row = dict[str, Any]

ROOT = Path(__file__).parents[2]
TOKENIZER = ROOT / "pytest_speedbench" / "tiny" / "target"
BUNDLED = ROOT / "pytest_speedbench" / "splits" / "bundled"

SEED = 20
ROWS_PER_CATEGORY = 16
ROWS_PER_ENTROPY_CLASS = 32
PROMPT_TOKENS = {"256": 256, "512": 512, "1k": 1024}

TURNS = {3: 2, 6: 3, 10: 2, 13: 5}
"""Which of a category's rows have more than one user turn, and how many."""

MULTILINGUAL_TURNS = {3: 2, 6: 3, 10: 2, 13: 3}

CANDIDATES = 48
"""Drawn for each row; the one least like the rows chosen before is kept."""

LONGEST_TURN_CHARS = 700

COPY_DRILLS = {"copy identifiers", "copy names", "copy words", "read back codes"}

SLIP = re.compile(r"\ba [aeio]|\b(querys|batterys)\b|\? [a-z]")
"""Slips of grammar that the templates make now and then. The training text, and so the weights, contain them, which is
why the templates stay as they are; the splits leave such prompts out."""

SUM_SLACK_TOKENS = 3
"""Units joined add up to a few tokens more or less than each alone."""


def main() -> None:
    """Write the four split files."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_family.build_splits", description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="folder with tokenizer.json (%(default)s)")
    folder: Path = parser.parse_args().tokenizer
    write_rows(BUNDLED / "mini.jsonl", mini_rows())
    count_tokens = token_counter(folder)
    for name, tokens in PROMPT_TOKENS.items():
        write_rows(BUNDLED / f"mini_throughput_{name}.jsonl", throughput_rows(name, tokens, count_tokens))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write one JSON object a line, in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(lines)} rows")


def mini_rows() -> list[Row]:
    """The rows of ``mini``: 16 for each category, each as unlike the others as can be had."""
    return [row for category in CATEGORIES for row in _category_rows(category)]


def _category_rows(category: str) -> list[Row]:
    chosen: list[Conversation] = []
    for number in range(ROWS_PER_CATEGORY):
        slot = _multilingual_slot if category == "multilingual" else _slot
        names, turns = slot(category, number, Counter(one.sub_category for one in chosen))
        candidates = [
            one for name in names for one in _candidates(category, number, name, turns, CANDIDATES // len(names))
        ]
        chosen.append(_best(candidates, chosen))
    return [_row("mini", category, one.sub_category, number, _asked(one)) for number, one in enumerate(chosen)]


def _slot(category: str, number: int, used: Counter[str]) -> tuple[list[str], int]:
    """The templates that may make a category's row, and its number of user turns.

    A single-turn row goes to the first template without a row, if there is one. Every template may have two rows, but
    a plain copying drill only one.
    """
    names = sub_categories(category)
    fresh = [name for name in names if not used[name]]
    free = [name for name in names if used[name] < (1 if name in COPY_DRILLS else 2)]
    turns = TURNS.get(number, 1)
    if turns > 1:
        return [name for name in fresh if name not in COPY_DRILLS] or free, turns
    return fresh[:1] or free, turns


def _multilingual_slot(_category: str, number: int, _used: Counter[str]) -> tuple[list[str], int]:
    """One row for each language; 7 and the number of kinds have no common factor, so that neighbours' kinds differ."""
    kind = KINDS[number * 7 % len(KINDS)]
    return [f"{LANGUAGES[number].name}: {kind}"], MULTILINGUAL_TURNS.get(number, 1)


def _asked(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.messages if message.role == "user"]


def _candidates(category: str, number: int, sub_category: str, turns: int, count: int) -> list[Conversation]:
    stream = heldout_conversations(category, SEED + number, sub_category, turns)
    fit = (
        one for one in stream if all(len(turn) <= LONGEST_TURN_CHARS and not SLIP.search(turn) for turn in _asked(one))
    )
    return list(islice(fit, count))


def _best(candidates: Sequence[Conversation], chosen: Sequence[Conversation]) -> Conversation:
    """The candidate with the fewest turns that merely echo, and among these the one least like those chosen before."""
    seen = [trigrams(" ".join(_asked(one))) for one in chosen]

    def cost(conversation: Conversation) -> tuple[int, float]:
        asked = _asked(conversation)
        own = trigrams(" ".join(asked))
        echoes = sum(turn in ECHO_PROMPTS for turn in asked)
        return echoes, max((cosine(own, other) for other in seen), default=0.0)

    return min(candidates, key=cost)


def trigrams(text: str) -> Counter[str]:
    """How often each run of three characters occurs, in lower case."""
    lower = text.casefold()
    return Counter(lower[place : place + 3] for place in range(len(lower) - 2))


def cosine(first: Counter[str], second: Counter[str]) -> float:
    """Cosine similarity of two counts: 0 without anything in common, 1 for the same proportions."""
    product = sum(count * second[key] for key, count in first.items())
    norms = math.sqrt(sum(count**2 for count in first.values()) * sum(count**2 for count in second.values()))
    return product / norms if norms else 0.0


def _row(split: str, category: str, sub_category: str, number: int, turns: list[str]) -> Row:
    return {
        "question_id": f"{split}-{category}-{number:02d}",
        "category": category,
        "sub_category": sub_category,
        "turns": turns,
        "source": "pytest-speedbench",
        "src_id": f"{sub_category.replace(': ', '-').replace(' ', '-').lower()}-{number:02d}",
        "difficulty": _difficulty(turns),
        "multiturn": len(turns) > 1,
    }


def _difficulty(turns: Sequence[str]) -> str:
    """By what must be kept in mind: three turns or a long prompt are hard, a short single question is easy."""
    length = sum(map(len, turns))
    if len(turns) > 2 or length > 1000:
        return "hard"
    return "easy" if len(turns) == 1 and length < 200 else "medium"


def token_counter(folder: Path) -> Callable[[str], int]:
    """A function that counts the tokens of a user prompt as the chat template renders it.

    The template's marks and the opening of the answer are counted. Raises ``FileNotFoundError`` without a tokenizer.
    """
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{folder} has no tokenizer.json: train the family first, or name another --tokenizer")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def count(prompt: str) -> int:
        messages = [{"role": "user", "content": prompt}]
        rendered = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        return len(tokenizer.backend_tokenizer.encode(rendered, add_special_tokens=False))

    return count


def throughput_rows(name: str, tokens: int, count_tokens: Callable[[str], int]) -> list[Row]:
    """The rows of one throughput split: every prompt is ``tokens`` long as ``count_tokens`` counts."""
    rows: list[Row] = []
    for entropy_class in ENTROPY_CLASSES:
        draw = Draw(f"{SEED}/{name}/{entropy_class}")
        for number in range(ROWS_PER_ENTROPY_CLASS):
            sub_category, prompt = _exact_prompt(draw, entropy_class, number, tokens, count_tokens)
            rows.append(_row(f"mini_throughput_{name}", entropy_class, sub_category, number, [prompt]))
    return rows


def _exact_prompt(
    draw: Draw, entropy_class: str, number: int, tokens: int, count_tokens: Callable[[str], int]
) -> tuple[str, str]:
    for _ in range(200):
        sized = draw_sized_prompt(draw, entropy_class, number)
        found = _fill(draw, sized, tokens, count_tokens)
        if found is not None:
            return sized.sub_category, found
    raise ValueError(f"no {entropy_class} prompt of exactly {tokens} tokens was found")


def _fill(draw: Draw, sized: SizedPrompt, tokens: int, count_tokens: Callable[[str], int]) -> str | None:
    """Grow the body until it nearly fills the length, then add small units so that the rest fits; None if none do.

    What a small unit adds is measured once for each; only sums that come near the gap are rendered and counted.
    """
    units = list(sized.start)
    if SLIP.search(" ".join(units)):
        return None
    while count_tokens(sized.render([*units, following := _sound(sized.unit)], [])) < tokens:
        units.append(following)
    if len(units) > len(sized.start):
        units.pop()
    base = count_tokens(sized.render(units, []))
    gains = {
        small: count_tokens(sized.render(units, [small])) - base for small in {_sound(sized.small) for _ in range(40)}
    }
    pool = sorted(gains)
    for _ in range(20_000):
        chosen = draw.some(pool, draw.number(1, 6))
        if abs(base + sum(gains[small] for small in chosen) - tokens) > SUM_SLACK_TOKENS:
            continue
        prompt = sized.render(units, chosen)
        if is_held_out(prompt) and count_tokens(prompt) == tokens:
            return prompt
    return None


def _sound(make: Callable[[], str]) -> str:
    while SLIP.search(text := make()):
        pass
    return text


if __name__ == "__main__":
    main()
