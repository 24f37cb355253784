"""Reads a prepared file back as a user will, and refuses what is not the whole config with all its text."""

from __future__ import annotations

from pathlib import Path

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import Split, load_split
from pytest_speedbench.splits.speed_bench import PLACEHOLDER, check_counts


def read_verified(file: Path, config: str) -> Split:
    """The split in a prepared file.

    Raises:
        SplitError: it cannot be read, has not the config's rows, two rows share an id, or text is missing.
    """
    split = load_split(str(file))
    for prompt in split.prompts:
        # Rows that begin with it are refused by every reader; here none may have it anywhere.
        if any(PLACEHOLDER in turn for turn in prompt.turns):
            raise SplitError(
                f"{file}: the row {prompt.question_id!r} still holds the placeholder for its text.",
                "Prepare the config anew with --force.",
            )
    check_counts(config, split)
    return split
