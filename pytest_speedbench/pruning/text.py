"""Text to count tokens in: what of it the target would say, and whether it holds the prompts that are judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.splits.schema import Split

_AT_ONCE = 1024
_SHORTEST_LINE = 20
"""Characters. A shorter line, such as "Continue.", may stand in any text."""


def tokenized_answers(path: Path, target: Path) -> tuple[Iterator[list[int]], int]:
    """The token ids of every answer in a text file, each tokenized on its own, and the target's vocabulary size.

    Raises:
        ConfigError: a row that cannot be read.
        EngineError: the target's tokenizer cannot be loaded.
    """
    try:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(target, local_files_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(
            f"Text cannot be counted without the tokenizer in {target}: {reason}",
            "Install transformers and put tokenizer.json beside the model's config.json, or give a file of counts.",
        ) from error
    vocab_size = open_checkpoint(str(target), download=True).size("vocab_size") or len(tokenizer)
    return _encode(tokenizer, (answer for answer, _ in _rows(path) if answer)), vocab_size


def prompts_in_text(path: Path, split: Split) -> int:
    """How many prompts of a split stand in a text file: the longest line of a turn is one of the text's lines.

    Lines are compared without surrounding blanks. Turns without a line of at least 20 characters are not looked for.

    Raises:
        ConfigError: a row that cannot be read.
    """
    looked_for = {prompt.question_id: {_longest_line(turn) for turn in prompt.turns} for prompt in split.prompts}
    wanted = {line for lines in looked_for.values() for line in lines if len(line) >= _SHORTEST_LINE}
    found: set[str] = set()
    for _, whole in _rows(path):
        found.update(wanted.intersection(line.strip() for text in whole for line in text.splitlines()))
    return sum(bool(lines & found) for lines in looked_for.values())


def _encode(tokenizer: Any, answers: Iterator[str]) -> Iterator[list[int]]:
    while chunk := list(islice(answers, _AT_ONCE)):
        yield from tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]


def _rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every row's answer text, and all text of the row."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                if path.suffix == ".jsonl":
                    yield from _json_row(line, f"{path}, line {number}")
                else:
                    yield line, [line]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Give a text file in UTF-8.") from error


def _json_row(line: str, where: str) -> Iterable[tuple[str, list[str]]]:
    try:
        row: Any = json.loads(line)
        if "messages" in row:
            spoken = [(str(message["role"]), str(message["content"] or "")) for message in row["messages"]]
            return [(text if role == "assistant" else "", [text]) for role, text in spoken]
        return [(str(row["text"]), [str(row["text"])])]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{where} holds no text: {error!r}.",
            'Each row needs "messages" (a list of role and content) or "text".',
        ) from error


def _longest_line(text: str) -> str:
    return max((line.strip() for line in text.splitlines()), key=len, default="")
