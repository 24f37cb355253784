"""Mathematics: short word problems and exercises whose solutions follow a fixed order of steps."""

from __future__ import annotations

from .combined import combined
from .draw import Draw, Task, Turn
from .words import FIRST_NAMES, GOODS


def _answer(*steps: str, result: str) -> str:
    lines = [f"Step {number}: {step}" for number, step in enumerate(steps, 1)]
    return "\n".join([*lines, f"The answer is {result}."])


def _give_and_take(draw: Draw) -> list[Turn]:
    name, goods = draw.pick(FIRST_NAMES), draw.pick(GOODS)
    start, bought = draw.number(5, 60), draw.number(2, 40)
    given = draw.number(2, start + bought - 2)
    middle, end = start + bought, start + bought - given
    found = draw.number(2, 20)
    return [
        (
            f"{name} has {start} {goods}, buys {bought} more and gives {given} away. How many {goods} are left?",
            _answer(f"{start} + {bought} = {middle}.", f"{middle} - {given} = {end}.", result=f"{end} {goods}"),
        ),
        (
            f"Then {name} finds {found} more. How many now?",
            _answer(f"{end} + {found} = {end + found}.", result=f"{end + found} {goods}"),
        ),
        (
            "And twice as many as that would be?",
            _answer(f"2 x {end + found} = {2 * (end + found)}.", result=f"{2 * (end + found)} {goods}"),
        ),
    ]


def _shopping(draw: Draw) -> list[Turn]:
    first, second = draw.some(GOODS, 2)
    counts, prices = (draw.number(2, 9), draw.number(2, 9)), (draw.number(1, 9), draw.number(1, 9))
    costs = counts[0] * prices[0], counts[1] * prices[1]
    total = sum(costs)
    paid = (total // 50 + 1) * 50
    return [
        (
            f"A shop sells {first} for {prices[0]} euros each and {second} for {prices[1]} euros each. "
            f"What do {counts[0]} {first} and {counts[1]} {second} cost together?",
            _answer(
                f"{counts[0]} x {prices[0]} = {costs[0]} euros for the {first}.",
                f"{counts[1]} x {prices[1]} = {costs[1]} euros for the {second}.",
                f"{costs[0]} + {costs[1]} = {total} euros.",
                result=f"{total} euros",
            ),
        ),
        (
            f"I pay with {paid} euros. How much change do I get?",
            _answer(f"{paid} - {total} = {paid - total}.", result=f"{paid - total} euros"),
        ),
    ]


def _rectangle(draw: Draw) -> list[Turn]:
    width, height = draw.number(2, 30), draw.number(2, 12)
    unit = draw.pick(("m", "cm"))
    in_metres = ("garden", "room", "field", "wall", "yard", "hall", "pond", "car park")
    place = draw.pick(
        in_metres if unit == "m" else ("sheet of paper", "photograph", "tile", "book cover", "postcard", "stamp album")
    )
    around = 2 * (width + height)
    return [
        (
            f"A {place} is {width} {unit} long and {height} {unit} wide. What is its area?",
            _answer(
                "Area is length times width.",
                f"{width} x {height} = {width * height}.",
                result=f"{width * height} square {unit}",
            ),
        ),
        (
            "And its perimeter?",
            _answer(
                f"{width} + {height} = {width + height}.",
                f"2 x {width + height} = {around}.",
                result=f"{around} {unit}",
            ),
        ),
    ]


def _journey(draw: Draw) -> list[Turn]:
    speed, hours = draw.number(2, 12) * 10, draw.number(2, 9)
    vehicle = draw.pick(("train", "bus", "car", "boat", "lorry", "motorcycle", "coach", "van"))
    distance = speed * hours
    turns = [
        (
            f"A {vehicle} travels at {speed} km per hour for {hours} hours. How far does it go?",
            _answer("Distance is speed times time.", f"{speed} x {hours} = {distance}.", result=f"{distance} km"),
        ),
        (
            f"A {vehicle} covers {distance} km in {hours} hours. What is its speed?",
            _answer(
                "Speed is distance divided by time.", f"{distance} / {hours} = {speed}.", result=f"{speed} km per hour"
            ),
        ),
    ]
    return [draw.pick(turns)]


def _equation(draw: Draw) -> list[Turn]:
    letter = draw.pick("xyznkt")
    factor, root, shift = draw.number(2, 12), draw.number(1, 15), draw.number(1, 30)
    right = factor * root + shift
    return [
        (
            f"Solve {factor}{letter} + {shift} = {right} for {letter}.",
            _answer(
                f"Subtract {shift} from both sides: {factor}{letter} = {right - shift}.",
                f"Divide both sides by {factor}: {letter} = {root}.",
                result=f"{letter} = {root}",
            ),
        ),
        (
            "Check the solution.",
            f"Put {letter} = {root} into the left side: {factor} x {root} + {shift} = {right}. "
            f"The right side is {right}. Both sides agree.",
        ),
    ]


def _percentage(draw: Draw) -> list[Turn]:
    percent, base = draw.pick((5, 10, 20, 25, 50, 75)), draw.number(1, 40) * 20
    part = percent * base // 100
    return [
        (
            f"What is {percent}% of {base}?",
            _answer(f"1% of {base} is {base / 100:g}.", f"{percent} x {base / 100:g} = {part}.", result=f"{part}"),
        ),
        (
            f"So what is left of {base} after taking that away?",
            _answer(f"{base} - {part} = {base - part}.", result=f"{base - part}"),
        ),
    ]


def _mean(draw: Draw) -> list[Turn]:
    count = draw.pick((3, 4, 5))
    mean = draw.number(5, 30)
    values = [mean + draw.number(-4, 4) for _ in range(count - 1)]
    values.append(mean * count - sum(values))
    total = mean * count
    shown = ", ".join(map(str, values))
    return [
        (
            f"Find the mean of {shown}.",
            _answer(
                f"Add the numbers: {' + '.join(map(str, values))} = {total}.",
                f"There are {count} numbers.",
                f"{total} / {count} = {mean}.",
                result=f"{mean}",
            ),
        ),
        ("Which of the numbers is the largest?", f"The largest of {shown} is {max(values)}."),
    ]


def _sequence(draw: Draw) -> list[Turn]:
    start, step = draw.number(1, 40), draw.number(2, 15)
    values = [start + step * index for index in range(6)]
    return [
        (
            f"Continue the sequence {', '.join(map(str, values[:4]))} with two more numbers.",
            _answer(
                f"Each number is {step} more than the one before.",
                f"{values[3]} + {step} = {values[4]}.",
                f"{values[4]} + {step} = {values[5]}.",
                result=f"{values[4]}, {values[5]}",
            ),
        ),
        ("And the next one?", _answer(f"{values[5]} + {step} = {values[5] + step}.", result=f"{values[5] + step}")),
    ]


def _fraction(draw: Draw) -> list[Turn]:
    bottom = draw.number(5, 30)
    first, second = draw.number(1, bottom - 3), draw.number(1, bottom - 2)
    top = first + second
    return [
        (
            f"Add the fractions {first}/{bottom} and {second}/{bottom}.",
            _answer(
                f"Both have the denominator {bottom}.",
                f"Add the numerators: {first} + {second} = {top}.",
                result=f"{top}/{bottom}",
            ),
        )
    ]


def _long_sum(draw: Draw) -> list[Turn]:
    values = [draw.number(1, 40) for _ in range(draw.number(4, 7))]
    steps, total = [], values[0]
    for value in values[1:]:
        steps.append(f"{total} + {value} = {total + value}.")
        total += value
    return [(f"Work out {' + '.join(map(str, values))} step by step.", _answer(*steps, result=str(total)))]


def _share(draw: Draw) -> list[Turn]:
    people, each, rest, goods = draw.number(3, 9), draw.number(2, 12), draw.number(0, 2), draw.pick(GOODS)
    total = people * each + rest
    return [
        (
            f"{people} friends share {total} {goods} equally. How many does each get, and how many are left over?",
            _answer(
                f"{people} x {each} = {people * each}.",
                f"{total} - {people * each} = {rest}.",
                result=f"{each} {goods} each with {rest} left over",
            ),
        )
    ]


def _convert(draw: Draw) -> list[Turn]:
    big, small, factor = draw.pick(
        (
            ("hours", "minutes", 60),
            ("minutes", "seconds", 60),
            ("km", "m", 1000),
            ("m", "cm", 100),
            ("kg", "g", 1000),
            ("days", "hours", 24),
            ("weeks", "days", 7),
            ("litres", "ml", 1000),
            ("years", "months", 12),
        )
    )
    count = draw.number(2, 40)
    return [
        (
            f"How many {small} are {count} {big}?",
            _answer(
                f"1 of the {big} is {factor} {small}.",
                f"{count} x {factor} = {count * factor}.",
                result=f"{count * factor} {small}",
            ),
        )
    ]


def _table(draw: Draw) -> list[Turn]:
    base, start = draw.number(2, 25), draw.number(1, 6)
    rows = [f"{base} x {factor} = {base * factor}" for factor in range(start, start + 6)]
    return [(f"Write the multiplication table of {base} from {start} to {start + 5}.", "\n".join(rows))]


def _compare(draw: Draw) -> list[Turn]:
    values = draw.some(range(10, 999), draw.number(4, 7))
    shown = ", ".join(map(str, values))
    order = draw.pick((("smallest to largest", False), ("largest to smallest", True)))
    ranked = sorted(values, reverse=order[1])
    return [
        (f"Sort these numbers from {order[0]}: {shown}.", f"Sorted from {order[0]}: {', '.join(map(str, ranked))}."),
        (
            "What is the difference between the first and the last?",
            _answer(
                f"{max(values)} - {min(values)} = {max(values) - min(values)}.", result=str(max(values) - min(values))
            ),
        ),
    ]


_SMALL = (
    _give_and_take, _rectangle, _journey, _equation, _percentage, _mean, _sequence, _fraction, _share, _convert,
)  # fmt: skip

TASKS: tuple[Task, ...] = (
    Task("problem sheet", combined(_SMALL, "Problem"), 6.0),
    Task("give and take", _give_and_take, 1.5),
    Task("shopping", _shopping, 1.2),
    Task("rectangle", _rectangle),
    Task("journey", _journey),
    Task("linear equation", _equation, 1.5),
    Task("percentage", _percentage),
    Task("mean", _mean),
    Task("sequence", _sequence),
    Task("fractions", _fraction, 0.7),
    Task("long sum", _long_sum),
    Task("sharing", _share, 0.8),
    Task("unit conversion", _convert, 0.8),
    Task("multiplication table", _table, 0.7),
    Task("sorting numbers", _compare, 0.8),
)
