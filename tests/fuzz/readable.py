"""What holds for any bytes whatever: a reader gives a reading that can be used, or an error in words."""

from __future__ import annotations

from pathlib import Path

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.reading import read_files
from pytest_speedbench.splits.rows import Reading, content_hash


def read_any(data: bytes, file: Path) -> Reading | SplitError:
    """Write the bytes to the file, read it, and check what comes out. Anything else that is raised is a bug."""
    file.write_bytes(data)
    try:
        reading = read_files([file])
    except SplitError as error:
        check_error(error, file)
        return error
    check_reading(reading)
    return reading


def check_error(error: SplitError, file: Path) -> None:
    """It names the file, says what to do, and can be shown."""
    assert str(file) in error.problem
    assert error.problem.endswith(".")
    assert error.remedy
    assert len(str(error)) < 4000
    str(error).encode()


def check_reading(reading: Reading) -> None:
    """Its prompts can be asked, told apart and shown."""
    assert reading.prompts
    assert reading.sha256 == content_hash(reading.prompts)
    assert len({prompt.question_id for prompt in reading.prompts}) == len(reading.prompts)
    for prompt in reading.prompts:
        assert prompt.turns
        for text in (prompt.question_id, prompt.category, *prompt.turns):
            assert text.strip()
        for text in (
            prompt.sub_category,
            prompt.source,
            prompt.src_id,
            prompt.difficulty,
            prompt.system,
            *prompt.turns,
        ):
            text.encode()
        assert "\n" not in prompt.question_id + prompt.category + prompt.sub_category
        assert "\0" not in "".join(prompt.turns)
