"""The building blocks of the coding tasks: functions over lists and texts, entities and their fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .draw import Draw

ENTITIES = (
    "Account", "Book", "Camera", "Device", "Engine", "Flight", "Garden", "Hotel", "Invoice", "Journey", "Kitchen",
    "Lesson", "Machine", "Network", "Order", "Parcel", "Query", "Recipe", "Sensor", "Ticket", "User", "Vehicle",
    "Widget", "Window", "Yacht", "Zone", "Battery", "Cluster", "Document", "Event", "Folder", "Group", "Helper", "Item",
)  # fmt: skip

FIELD_TYPES = {
    "name": "str", "title": "str", "color": "str", "owner": "str", "city": "str", "code": "str", "status": "str",
    "size": "int", "count": "int", "age": "int", "level": "int", "speed": "int", "index": "int", "capacity": "int",
    "price": "float", "weight": "float", "height": "float", "ratio": "float", "active": "bool", "visible": "bool",
}  # fmt: skip

COLUMNS = (
    "age", "amount", "balance", "capacity", "count", "depth", "height", "length", "level", "points", "price",
    "quantity", "rating", "score", "size", "speed", "stock", "total", "weight", "width",
)  # fmt: skip

LIST_NAMES = ("numbers", "values", "items", "scores", "prices", "amounts", "samples", "points", "sizes", "readings")
_SINGULAR = {name: name[:-1] for name in LIST_NAMES}

TYPE_HINTS = {"sum": "int", "count": "int", "list": "list[int]", "product": "int"}


@dataclass(frozen=True, slots=True)
class ListFunction:
    """A function that filters a list of whole numbers, changes each and gathers the results."""

    name: str
    purpose: str
    parameter: str
    result: str
    header: str
    body: str
    steps: tuple[str, ...]
    gather: str
    keep: Callable[[int], bool]
    change: Callable[[int], int]

    @property
    def code(self) -> str:
        """The function's source."""
        return f"{self.header}\n{self.body}"

    @property
    def docstring(self) -> str:
        """Its one-line docstring with indentation."""
        return f'    """{self.purpose[0].upper()}{self.purpose[1:]}."""'

    @property
    def with_docstring(self) -> str:
        """The source with its docstring."""
        return f"{self.header}\n{self.docstring}\n{self.body}"

    @property
    def typed_header(self) -> str:
        """The ``def`` line with type hints."""
        return f"def {self.name}({self.parameter}: list[int]) -> {TYPE_HINTS[self.gather]}:"

    @property
    def with_hints(self) -> str:
        """The source with type hints."""
        return f"{self.typed_header}\n{self.body}"

    @property
    def empty(self) -> object:
        """What the function returns for an empty list."""
        return {"sum": 0, "count": 0, "list": [], "product": 1}[self.gather]

    def example(self, draw: Draw) -> tuple[list[int], object]:
        """A short input list and the value the function returns for it."""
        values = [draw.number(-9, 12) for _ in range(draw.number(3, 4))]
        kept = [self.change(value) for value in values if self.keep(value)]
        if self.gather == "list":
            return values, kept
        if self.gather == "count":
            return values, len(kept)
        if self.gather == "sum":
            return values, sum(kept)
        product = 1
        for value in kept:
            product *= value
        return values, product


def _filters(limit: int) -> tuple[tuple[str, str, str, Callable[[int], bool]], ...]:
    return (
        ("even", "that are even", "{x} % 2 == 0", lambda x: x % 2 == 0),
        ("odd", "that are odd", "{x} % 2 == 1", lambda x: x % 2 == 1),
        ("positive", "that are positive", "{x} > 0", lambda x: x > 0),
        ("negative", "that are negative", "{x} < 0", lambda x: x < 0),
        (f"above_{limit}", f"that are greater than {limit}", f"{{x}} > {limit}", lambda x: x > limit),
        (f"below_{limit}", f"that are less than {limit}", f"{{x}} < {limit}", lambda x: x < limit),
        (f"multiple_of_{limit}", f"that are multiples of {limit}", f"{{x}} % {limit} == 0", lambda x: x % limit == 0),
    )


def _changes(amount: int) -> tuple[tuple[str, str, str, Callable[[int], int]], ...]:
    return (
        ("", "", "{x}", lambda x: x),
        ("squared", ", each squared", "{x} ** 2", lambda x: x**2),
        ("doubled", ", each doubled", "{x} * 2", lambda x: x * 2),
        (f"plus_{amount}", f", each plus {amount}", f"{{x}} + {amount}", lambda x: x + amount),
        (f"times_{amount}", f", each times {amount}", f"{{x}} * {amount}", lambda x: x * amount),
        (f"minus_{amount}", f", each minus {amount}", f"{{x}} - {amount}", lambda x: x - amount),
    )


_VERBS = {
    "sum": ("sum", "returns the sum of", "total", "0"),
    "list": ("list", "returns a list of", "result", "[]"),
    "count": ("count", "counts", "count", "0"),
    "product": ("product", "returns the product of", "product", "1"),
}


def draw_list_function(draw: Draw) -> ListFunction:
    """A random list function: gather x filter x change x parameter name."""
    gather = draw.pick(("sum", "list", "list", "count", "product"))
    short, verb, result, start = _VERBS[gather]
    limit, amount = draw.number(2, 20), draw.number(2, 12)
    filter_name, filter_words, condition, keep = draw.pick(_filters(limit))
    change_name, change_words, expression, change = draw.pick(_changes(amount))
    if gather == "count":
        change_name, change_words, expression, change = _changes(amount)[0]
    parameter = draw.pick(LIST_NAMES)
    item = _SINGULAR[parameter]
    condition, expression = condition.replace("{x}", item), expression.replace("{x}", item)
    update = {
        "sum": f"total += {expression}",
        "list": f"result.append({expression})",
        "count": "count += 1",
        "product": f"product *= {expression}",
    }[gather]
    name = "_".join(part for part in (short, filter_name, change_name) if part)
    return ListFunction(
        name=name,
        purpose=f"{verb} all {parameter} {filter_words}{change_words}",
        parameter=parameter,
        result=result,
        header=f"def {name}({parameter}):",
        body=(
            f"    {result} = {start}\n    for {item} in {parameter}:\n        if {condition}:\n"
            f"            {update}\n    return {result}"
        ),
        steps=(
            f"It sets `{result}` to `{start}`.",
            f"It goes through `{parameter}` one `{item}` at a time.",
            f"If `{condition}` holds, it runs `{update}`.",
            f"At the end it returns `{result}`.",
        ),
        gather=gather,
        keep=keep,
        change=change,
    )


_TEXT_STEPS = (
    ("strip", "removes the spaces around the text", "text = text.strip()"),
    ("lower", "converts the text to lower case", "text = text.lower()"),
    ("upper", "converts the text to upper case", "text = text.upper()"),
    ("title", "capitalizes every word", "text = text.title()"),
    ("reverse", "reverses the text", "text = text[::-1]"),
)


def draw_text_function(draw: Draw) -> tuple[str, str, str]:
    """Name, purpose and source of a function that changes a text in two or three steps."""
    steps = draw.some(_TEXT_STEPS, draw.number(1, 2))
    old, new = draw.some((" ", "-", "_", ".", ",", ":", "/", "+", "#", "|"), 2)
    steps.insert(
        draw.number(0, len(steps)),
        ("replace", f"replaces every {old!r} with {new!r}", f"text = text.replace({old!r}, {new!r})"),
    )
    name = "_and_".join(step[0] for step in steps)
    purpose = ", then ".join(step[1] for step in steps)
    body = "\n".join(f"    {step[2]}" for step in steps)
    return name, purpose, f"def {name}(text):\n{body}\n    return text"


def draw_class(draw: Draw) -> tuple[str, list[str]]:
    """A class name and two to four of its fields."""
    return draw.pick(ENTITIES), draw.some(tuple(FIELD_TYPES), draw.number(2, 4))
