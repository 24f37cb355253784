"""Text from outside made safe to print: names in a split, what a server answered, what an engine printed.

A terminal obeys control sequences, and a CI system obeys lines that look like its commands; neither can tell who wrote
them. What is escaped stays readable, and escaping twice is escaping once.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tabs and line breaks
    "\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what reorders or breaks the text around it
    "\ud800-\udfff]"  # halves of a pair, which no encoding can write
)
_COMMAND = re.compile(r"^(\s*)::(?=\S)|##(?=\[|vso\[)", re.MULTILINE)
"""How a line commands GitHub's runner (``::error::``, of old ``##[error]``) or Azure's (``##vso[...]``)."""
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def printable(text: str) -> str:
    r"""The text with everything escaped that a terminal or a CI log would obey, such as ``\x1b``.

    Tabs and line breaks stay. A line that would be a command of a CI system has its first character escaped.
    """
    return _COMMAND.sub(_escaped_command, _UNSAFE.sub(_escaped, text))


def printable_in_colour(text: str) -> str:
    """:func:`printable`, but for the colours of lines that are coloured already."""
    return "".join(part if place % 2 else printable(part) for place, part in enumerate(_COLOUR.split(text)))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _escaped_command(found: re.Match[str]) -> str:
    return f"{found[1]}\\x3a:" if found[1] is not None else "\\x23#"
