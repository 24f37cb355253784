"""Coding by editing: the prompt holds the code, the answer repeats it with one change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .code_parts import LIST_NAMES, ListFunction, draw_list_function
from .draw import Draw, Task, Turn
from .words import PLAIN_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

_RESULT_NAMES = ("answer", "output", "outcome", "gathered", "collected", "final", "summary", "found", "kept", "chosen")


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def draw_module(draw: Draw, count: int) -> list[ListFunction]:
    """``count`` list functions with different names."""
    functions: dict[str, ListFunction] = {}
    while len(functions) < count:
        function = draw_list_function(draw)
        functions.setdefault(function.name, function)
    return list(functions.values())


def _size(draw: Draw) -> int:
    return draw.choices((1, 2, 3, 8), (50, 30, 10, 10))[0]


def _join(functions: list[ListFunction], render: Callable[[ListFunction], str]) -> str:
    return "\n\n\n".join(render(function) for function in functions)


def _rename(code: str, old: str, new: str) -> str:
    return re.sub(rf"\b{old}\b", new, code)


def _rename_variable(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, _size(draw))
    code = _join(functions, lambda function: function.code)
    old = draw.pick(functions).parameter
    new = draw.pick([name for name in (*LIST_NAMES, *_RESULT_NAMES) if not re.search(rf"\b{name}\b", code)])
    renamed = _rename(code, old, new)
    again = draw.pick(functions).result
    newer = draw.pick([name for name in _RESULT_NAMES if name != new])
    return [
        (
            f"Rename the variable `{old}` to `{new}`:\n\n{_fenced(code)}",
            f"Here is the code with `{new}`:\n\n{_fenced(renamed)}",
        ),
        (
            f"Also rename `{again}` to `{newer}`.",
            f"Here is the code with `{newer}`:\n\n{_fenced(_rename(renamed, again, newer))}",
        ),
    ]


def _rename_function(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, _size(draw))
    code = _join(functions, lambda function: function.code)
    old = draw.pick(functions).name
    new = f"{draw.pick(PLAIN_WORDS)}_{draw.pick(PLAIN_WORDS)}"
    return [
        (
            f"Rename the function `{old}` to `{new}` and leave the rest as it is:\n\n{_fenced(code)}",
            f"Here is the code with `{new}`:\n\n{_fenced(_rename(code, old, new))}",
        )
    ]


def _add_docstrings(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, _size(draw))
    code = _join(functions, lambda function: function.code)
    changed = _join(functions, lambda function: function.with_docstring)
    return [
        (
            f"Add a docstring to every function:\n\n{_fenced(code)}",
            f"Here is the code with docstrings:\n\n{_fenced(changed)}",
        )
    ]


def _add_hints(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, _size(draw))
    code = _join(functions, lambda function: function.code)
    changed = _join(functions, lambda function: function.with_hints)
    return [
        (f"Add type hints to this code:\n\n{_fenced(code)}", f"Here is the code with type hints:\n\n{_fenced(changed)}")
    ]


def _one_of_many(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, draw.choices((3, 5, 10), (60, 30, 10))[0])
    code = _join(functions, lambda function: function.code)
    first, second = draw.some(functions, 2)
    return [
        (
            f"Show me only the function `{first.name}` from this file:\n\n{_fenced(code)}",
            f"Here is `{first.name}`:\n\n{_fenced(first.code)}",
        ),
        (f"And `{second.name}`?", f"Here is `{second.name}`:\n\n{_fenced(second.code)}"),
    ]


def _fix_bug(draw: Draw) -> list[Turn]:
    functions = draw_module(draw, _size(draw))
    broken = draw.pick(functions)
    wrong = broken.code.replace(f"return {broken.result}", f"return {broken.parameter}")
    shown = _join(functions, lambda function: wrong if function is broken else function.code)
    fixed = _join(functions, lambda function: function.code)
    return [
        (
            f"The function `{broken.name}` returns the wrong thing. Fix it:\n\n{_fenced(shown)}",
            f"It must return `{broken.result}`, not `{broken.parameter}`. Here is the fixed code:\n\n{_fenced(fixed)}",
        )
    ]


def _complete(draw: Draw) -> list[Turn]:
    function = draw_list_function(draw)
    lines = function.with_docstring.split("\n")
    start = "\n".join(lines[: draw.number(2, 4)])
    return [
        (
            f"Complete this function:\n\n{_fenced(start)}",
            f"Here is the whole function:\n\n{_fenced(function.with_docstring)}",
        ),
        ("Add type hints too.", f"Here is the function with type hints:\n\n{_fenced(function.with_hints)}"),
    ]


def _constants(draw: Draw) -> list[Turn]:
    names = draw.some(PLAIN_WORDS, draw.number(3, 8))
    values = [draw.number(1, 999) for _ in names]
    lines = [
        f"{name.upper()}_{draw.pick(('LIMIT', 'SIZE', 'COUNT', 'RATE'))} = {value}"
        for name, value in zip(names, values, strict=True)
    ]
    place = draw.number(0, len(lines) - 1)
    name = lines[place].split(" ")[0]
    new = draw.number(1000, 9999)
    changed = [*lines[:place], f"{name} = {new}", *lines[place + 1 :]]
    return [
        (
            f"Change `{name}` to {new}:\n\n{_fenced(chr(10).join(lines))}",
            f"Here are the constants with the new value:\n\n{_fenced(chr(10).join(changed))}",
        )
    ]


def _copy_drill(draw: Draw) -> list[Turn]:
    names = [f"{draw.pick(PLAIN_WORDS)}_{draw.invented().lower()}" for _ in range(draw.number(4, 12))]
    return [(f"Repeat these identifiers: {', '.join(names)}", ", ".join(names))]


TASKS: tuple[Task, ...] = (
    Task("rename variable", _rename_variable, 1.0),
    Task("rename function", _rename_function, 0.7),
    Task("add docstring", _add_docstrings, 0.7),
    Task("add type hints", _add_hints, 0.7),
    Task("fix bug", _fix_bug, 0.8),
    Task("complete function", _complete, 0.8),
    Task("pick function", _one_of_many, 0.6),
    Task("change constant", _constants, 0.8),
    Task("copy identifiers", _copy_drill, 2.4),
)
