"""Science and engineering: explanations from the shelf, and small calculations with formulas."""

from __future__ import annotations

from .combined import combined
from .draw import Draw, Task, Turn, listing
from .expository import builders
from .stem_tables import ELEMENTS, FORMULAS, PROCESSES
from .topics import STEM_TOPICS


def _formula(draw: Draw) -> list[Turn]:
    name, rule, first, second, unit = draw.pick(FORMULAS)
    a, b = draw.number(2, 40), draw.number(2, 12)
    prompt = f"Find the {name} for {first.format(a=a)} and {second.format(b=b)}."
    twice = f"The {name} doubles too: 2 x {a * b} = {2 * a * b} {unit}."
    return [
        (prompt, f"The {name} is {rule}. {a} x {b} = {a * b}. The {name} is {a * b} {unit}."),
        ("What if the first value doubles?", twice),
        ("Which rule did you use?", f"I used this rule: the {name} is {rule}."),
    ]


def _elements(draw: Draw) -> list[Turn]:
    chosen = draw.some(ELEMENTS, draw.number(2, 4))
    lines = "\n".join(f"- {name}: symbol {symbol}, number {number}, {state}" for name, symbol, number, state in chosen)
    light = min(chosen, key=lambda element: element[2])
    return [
        (f"Give symbol, atomic number and state of {listing([element[0] for element in chosen])}.", lines),
        ("Which of them has the smallest number?", f"The smallest number belongs to {light[0]}: {light[2]}."),
    ]


def _process(draw: Draw) -> list[Turn]:
    name, steps = draw.pick(PROCESSES)
    shuffled = draw.some(steps, len(steps))
    ordered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return [
        (f"Put these steps of {name} in order: {' '.join(shuffled)}", ordered),
        ("Which step comes last?", f"The last step is: {steps[-1]}"),
    ]


def _measure(draw: Draw) -> list[Turn]:
    values = [draw.number(10, 99) for _ in range(draw.number(3, 5))]
    thing = draw.pick(("temperature", "length", "mass", "current", "pressure", "speed"))
    spread = max(values) - min(values)
    return [
        (
            f"A student measures the {thing} {len(values)} times: {', '.join(map(str, values))}. "
            "Report minimum, maximum and range.",
            f"Minimum: {min(values)}\nMaximum: {max(values)}\nRange: {max(values)} - {min(values)} = {spread}",
        ),
        (
            "Was the range larger than 20?",
            f"The range is {spread}. {'Yes, it is' if spread > 20 else 'No, it is not'} larger than 20.",
        ),
    ]


_SHARED = builders(STEM_TOPICS)

TASKS: tuple[Task, ...] = (
    *(Task(name, build) for name, build in _SHARED.items()),
    Task("worksheet", combined((_formula, _elements, _process, _measure, *_SHARED.values()), "Task"), 2.5),
    Task("formula", _formula, 1.5),
    Task("elements", _elements, 1.0),
    Task("order a process", _process, 0.7),
    Task("measurements", _measure, 0.7),
)
