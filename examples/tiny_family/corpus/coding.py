"""Coding: functions with predictable bodies, classes, queries, tests and data, in one strict style."""

from __future__ import annotations

from . import code_edits
from .code_parts import (
    COLUMNS,
    ENTITIES,
    FIELD_TYPES,
    ListFunction,
    draw_class,
    draw_list_function,
    draw_text_function,
)
from .draw import Draw, Task, Turn, article, listing

_OPENERS = (
    "Write a Python function",
    "Implement a Python function",
    "I need a Python function",
    "Give me a Python function",
)


def fenced(code: str, language: str = "python") -> str:
    """The code as a fenced block."""
    return f"```{language}\n{code}\n```"


def _list_function(draw: Draw) -> list[Turn]:
    function = draw_list_function(draw)
    prompt = f"{draw.pick(_OPENERS)} `{function.name}` that {function.purpose}."
    answer = f"Here is the function:\n\n{fenced(function.code)}"
    return [(prompt, answer), _docstring_turn(function), _test_turn(draw, function)]


def _docstring_turn(function: ListFunction) -> Turn:
    return "Now add a docstring.", f"Here is the function with a docstring:\n\n{fenced(function.with_docstring)}"


def _test_turn(draw: Draw, function: ListFunction) -> Turn:
    values, result = function.example(draw)
    return "Please write a test for it as well.", f"Here is a test:\n\n{fenced(_test_code(function, values, result))}"


def _test_code(function: ListFunction, values: list[int], result: object) -> str:
    return (
        f"def test_{function.name}():\n    assert {function.name}({values}) == {result!r}\n\n\n"
        f"def test_{function.name}_empty():\n    assert {function.name}([]) == {function.empty!r}"
    )


def _unit_test(draw: Draw) -> list[Turn]:
    function = draw_list_function(draw)
    values, result = function.example(draw)
    prompt = (
        f"Write two tests for this function, one with {values} and one with an empty list:\n\n{fenced(function.code)}"
    )
    return [(prompt, f"Here are the tests:\n\n{fenced(_test_code(function, values, result))}")]


def _text_function(draw: Draw) -> list[Turn]:
    name, purpose, code = draw_text_function(draw)
    prompt = f"{draw.pick(_OPENERS)} `{name}` that {purpose}."
    return [(prompt, f"Here is the function:\n\n{fenced(code)}")]


def _class(draw: Draw) -> list[Turn]:
    name, fields = draw_class(draw)
    described = listing([f"`{field}` ({FIELD_TYPES[field]})" for field in fields])
    body = "\n".join(f"        self.{field} = {field}" for field in fields)
    parameters = ", ".join(f"{field}: {FIELD_TYPES[field]}" for field in fields)
    code = f"class {name}:\n    def __init__(self, {parameters}) -> None:\n{body}"
    shown = ", ".join(f"{field}={{self.{field}}}" for field in fields)
    longer = f'{code}\n\n    def __repr__(self) -> str:\n        return f"{name}({shown})"'
    return [
        (f"Write a Python class `{name}` with the fields {described}.", f"Here is the class:\n\n{fenced(code)}"),
        ("Add a `__repr__` method.", f"Here is the class with the new method:\n\n{fenced(longer)}"),
    ]


def _dataclass(draw: Draw) -> list[Turn]:
    name, fields = draw_class(draw)
    body = "\n".join(f"    {field}: {FIELD_TYPES[field]}" for field in fields)
    code = f"from dataclasses import dataclass\n\n\n@dataclass\nclass {name}:\n{body}"
    prompt = (
        f"Turn this description into a dataclass: {article(name)} has {listing([f'`{field}`' for field in fields])}."
    )
    return [(prompt, f"Here is the dataclass:\n\n{fenced(code)}")]


def _query(draw: Draw) -> list[Turn]:
    table = draw.pick(ENTITIES).lower() + "s"
    shown = draw.some(COLUMNS, draw.number(1, 3))
    test = draw.pick([column for column in COLUMNS if column not in shown])
    limit = draw.number(2, 99)
    order = draw.pick(shown)
    base = f"SELECT {', '.join(shown)}\nFROM {table}\nWHERE {test} > {limit}"
    prompt = f"Write an SQL query that selects {listing(shown)} from {table} where {test} is greater than {limit}."
    return [
        (prompt, f"Here is the query:\n\n{fenced(base + ';', 'sql')}"),
        (f"Sort it by {order}.", f"Here is the sorted query:\n\n{fenced(f'{base}{chr(10)}ORDER BY {order};', 'sql')}"),
        (
            "And only the first ten rows, please.",
            f"Here is the query with a limit:\n\n{fenced(f'{base}{chr(10)}ORDER BY {order}{chr(10)}LIMIT 10;', 'sql')}",
        ),
    ]


def _json(draw: Draw) -> list[Turn]:
    entity = draw.pick(ENTITIES).lower()
    fields = draw.some(COLUMNS, draw.number(2, 4))
    values = {field: draw.number(1, 500) for field in fields}
    described = listing([f"{field} {value}" for field, value in values.items()])
    body = ",\n".join(f'  "{field}": {value}' for field, value in values.items())
    code = f'{{\n  "type": "{entity}",\n{body}\n}}'
    return [
        (f"Write a JSON object of type {entity} with {described}.", f"Here is the object:\n\n{fenced(code, 'json')}")
    ]


def _explain(draw: Draw) -> list[Turn]:
    function = draw_list_function(draw)
    prompt = f"Explain what this function does, step by step:\n\n{fenced(function.code)}"
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(function.steps, 1))
    return [(prompt, f"The function `{function.name}` {function.purpose}.\n\n{steps}")]


def _loop(draw: Draw) -> list[Turn]:
    start, stop, step = draw.number(0, 9), draw.number(20, 60), draw.number(2, 9)
    prompt = f"Print every number from {start} up to {stop} in steps of {step}, in {{}}."
    python = f"for number in range({start}, {stop + 1}, {step}):\n    print(number)"
    script = f"for (let number = {start}; number <= {stop}; number += {step}) {{\n  console.log(number);\n}}"
    turns = [
        (prompt.format("Python"), f"Here is the loop:\n\n{fenced(python)}"),
        (prompt.format("JavaScript"), f"Here is the loop:\n\n{fenced(script, 'javascript')}"),
    ]
    if draw.chance(0.5):
        return [turns[0], ("The same in JavaScript, please.", turns[1][1])]
    return [turns[1], ("The same in Python, please.", turns[0][1])]


TASKS: tuple[Task, ...] = (
    Task("list function", _list_function, 3.0),
    Task("text function", _text_function, 1.0),
    Task("class", _class, 1.0),
    Task("dataclass", _dataclass, 0.8),
    Task("unit test", _unit_test, 1.0),
    Task("sql query", _query, 1.0),
    Task("json object", _json, 0.7),
    Task("explain code", _explain, 1.0),
    Task("loop", _loop, 0.6),
    *code_edits.TASKS,
)
