from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.errors import ConfigError, EngineError, RegressionError, SpeedbenchWarning
from pytest_speedbench.printable import printable, printable_in_colour

HOSTILE = "\x1b[2Jgone\n::error::planted"
SHOWN = "\\x1b[2Jgone\n\\x3a:error::planted"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("math [easy] — naïve 数学 🧮\tx\ny", "math [easy] — naïve 数学 🧮\tx\ny"),
        (HOSTILE, SHOWN),
        ("  ::set-env name=x::y", "  \\x3a:set-env name=x::y"),
        ("a ::error:: in a line, std::vector", "a ::error:: in a line, std::vector"),
        ("x ##[error]y ##vso[task] ## title", "x \\x23#[error]y \\x23#vso[task] ## title"),
        ("over\rwritten\x07\x9b31m", "over\\x0dwritten\\x07\\x9b31m"),
        ("user\u202etxt.exe\ud800", "user\\u202etxt.exe\\ud800"),
    ],
)
def test_what_a_terminal_or_a_ci_log_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_what_is_printed_can_be_encoded_and_commands_nothing(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()
    assert "\x1b" not in shown
    assert not any(line.lstrip().startswith("::") and line.strip() != "::" for line in shown.split("\n"))


def test_colours_of_ours_stay_and_nothing_else() -> None:
    assert printable_in_colour("\x1b[1;31mregression\x1b[0m \x1b[2J") == "\x1b[1;31mregression\x1b[0m \\x1b[2J"


def test_errors_and_warnings_hold_only_printable_text() -> None:
    error = EngineError(HOSTILE, HOSTILE, HOSTILE)
    assert (error.problem, error.remedy, error.output) == (SHOWN, SHOWN, SHOWN)
    for shown in (
        str(error),
        str(ConfigError(HOSTILE, "")),
        str(RegressionError(HOSTILE)),
        str(SpeedbenchWarning(HOSTILE)),
    ):
        assert "\x1b" not in shown
        assert "\n::" not in shown
