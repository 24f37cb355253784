"""Reasoning: small puzzles with one solution, told and solved in steady steps."""

from __future__ import annotations

from itertools import pairwise

from .combined import combined
from .draw import Draw, Task, Turn, article, listing
from .words import FIRST_NAMES, PLAIN_WORDS, WEEKDAYS

_SCALES = (
    ("taller", "tallest", "shortest"), ("older", "oldest", "youngest"), ("faster", "fastest", "slowest"),
    ("stronger", "strongest", "weakest"), ("louder", "loudest", "quietest"), ("richer", "richest", "poorest"),
)  # fmt: skip


def _order(draw: Draw) -> list[Turn]:
    people = draw.some(FIRST_NAMES, draw.number(3, 5))
    more, most, least = draw.pick(_SCALES)
    facts = [f"{first} is {more} than {second}." for first, second in pairwise(people)]
    shuffled = draw.some(facts, len(facts))
    chain = ", then ".join(people)
    return [
        (
            f"{' '.join(shuffled)} Who is the {most}?",
            f"Put them in order: {chain}. The first in this order is {people[0]}. So {people[0]} is the {most}.",
        ),
        (
            f"And who is the {least}?",
            f"The order is {chain}. The last is {people[-1]}. So {people[-1]} is the {least}.",
        ),
    ]


def _syllogism(draw: Draw) -> list[Turn]:
    kinds = [f"{draw.invented().lower()}s" for _ in range(3)]
    who, trait = draw.invented(), draw.pick(("blue", "warm", "round", "heavy", "quiet", "hollow", "bright", "soft"))
    return [
        (
            f"All {kinds[0]} are {kinds[1]}. All {kinds[1]} are {kinds[2]}. {who} is one of the {kinds[0]}. "
            f"Is {who} one of the {kinds[2]}?",
            f"{who} is one of the {kinds[0]}. All {kinds[0]} are {kinds[1]}, so {who} is one of the {kinds[1]}. "
            f"All {kinds[1]} are {kinds[2]}, so {who} is one of the {kinds[2]}. The answer is yes.",
        ),
        (
            f"All {kinds[2]} are {trait}. Is {who} {trait}?",
            f"{who} is one of the {kinds[2]}, and all {kinds[2]} are {trait}. So {who} is {trait}.",
        ),
    ]


def _calendar(draw: Draw) -> list[Turn]:
    today, days = draw.number(0, 6), draw.number(2, 20)
    weeks, rest = divmod(days, 7)
    then = WEEKDAYS[(today + rest) % 7]
    steps = (
        f"{days} days are {weeks} weeks and {rest} days." if weeks else f"Count {days} days on from {WEEKDAYS[today]}."
    )
    return [
        (
            f"Today is {WEEKDAYS[today]}. {draw.pick(FIRST_NAMES)} travels in {days} days. "
            "Which day of the week is that?",
            f"{steps} {rest} days after {WEEKDAYS[today]} comes {then}. So it is {then}.",
        )
    ]


def _boxes(draw: Draw) -> list[Turn]:
    colours = draw.some(("red", "blue", "green", "white", "black", "yellow"), 3)
    things = draw.some(PLAIN_WORDS, 3)
    return [
        (
            f"Three boxes are {listing(colours)}. "
            f"They hold {article(things[0])}, {article(things[1])} and {article(things[2])}. "
            f"The {things[0]} is in the {colours[0]} box. "
            f"The {things[1]} is not in the {colours[2]} box. Where is the {things[2]}?",
            f"The {things[0]} is in the {colours[0]} box. The {things[1]} is not in the {colours[2]} box, "
            f"so it must be in the {colours[1]} box. Only the {colours[2]} box is left for the {things[2]}.",
        )
    ]


def _moves(draw: Draw) -> list[Turn]:
    thing, rooms = (
        draw.pick(PLAIN_WORDS),
        draw.some(("kitchen", "cellar", "garden", "hall", "attic", "study", "garage"), 3),
    )
    people = draw.some(FIRST_NAMES, 2)
    return [
        (
            f"{people[0]} takes the {thing} from the {rooms[0]} to the {rooms[1]}. "
            f"Then {people[1]} carries it to the {rooms[2]}. Where is the {thing} now?",
            f"First the {thing} was in the {rooms[0]}. {people[0]} took it to the {rooms[1]}. "
            f"{people[1]} carried it to the {rooms[2]}. So the {thing} is in the {rooms[2]}.",
        ),
        (f"Where was it before {people[1]} came?", f"Before {people[1]} came, the {thing} was in the {rooms[1]}."),
    ]


def _directions(draw: Draw) -> list[Turn]:
    compass = ("north", "east", "south", "west")
    facing, name = draw.number(0, 3), draw.pick(FIRST_NAMES)
    turns = [draw.pick((("right", 1), ("left", -1))) for _ in range(draw.number(2, 4))]
    steps, now = [], facing
    for word, change in turns:
        now = (now + change) % 4
        steps.append(f"A turn to the {word} gives {compass[now]}.")
    told = ", then ".join(word for word, _ in turns)
    return [
        (
            f"{name} faces {compass[facing]} and turns {told}. Which way does {name} face now?",
            f"{name} starts facing {compass[facing]}. {' '.join(steps)} So {name} faces {compass[now]}.",
        )
    ]


def _conditions(draw: Draw) -> list[Turn]:
    a, b, c = (
        f"the {word} lamp"
        for word in draw.some(("red", "blue", "green", "white", "yellow", "small", "large", "old"), 3)
    )
    positive = draw.chance(0.5)
    prompt = f"If {a} is on, then {b} is on. If {b} is on, then {c} is on. "
    if positive:
        return [
            (
                f"{prompt}{a[0].upper()}{a[1:]} is on. Is {c} on?",
                f"{a[0].upper()}{a[1:]} is on, so {b} is on. {b[0].upper()}{b[1:]} is on, so {c} is on. "
                "The answer is yes.",
            )
        ]
    return [
        (
            f"{prompt}{c[0].upper()}{c[1:]} is off. Is {a} on?",
            f"{c[0].upper()}{c[1:]} is off, so {b} is off. {b[0].upper()}{b[1:]} is off, so {a} is off. "
            "The answer is no.",
        )
    ]


def _word_pattern(draw: Draw) -> list[Turn]:
    first, second = draw.some(PLAIN_WORDS, 2)
    pattern = draw.pick(((0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 0, 0)))
    words = [(first, second)[index] for index in pattern]
    shown = (words * 4)[: draw.number(2 * len(words), 3 * len(words))]
    following = (words * 5)[len(shown)]
    return [
        (
            f"Which word comes next: {', '.join(shown)}?",
            f"The part that repeats is {', '.join(words)}. After {shown[-1]} comes {following}. "
            f"So the next word is {following}.",
        )
    ]


def _odd_one(draw: Draw) -> list[Turn]:
    groups = {
        "fruits": ("apple", "pear", "plum", "cherry", "mango", "lemon", "fig"),
        "tools": ("hammer", "saw", "drill", "chisel", "pliers", "rake", "spade"),
        "birds": ("eagle", "raven", "pigeon", "owl", "heron", "robin", "swan"),
        "metals": ("iron", "copper", "zinc", "tin", "silver", "nickel", "gold"),
        "rooms": ("kitchen", "cellar", "attic", "hall", "bedroom", "study", "pantry"),
    }
    main, other = draw.some(list(groups), 2)
    members, stranger = draw.some(groups[main], 3), draw.pick(groups[other])
    shown = draw.some([*members, stranger], 4)
    return [
        (
            f"Which word does not belong: {', '.join(shown)}?",
            f"{listing(members).capitalize()} are {main}. The word {stranger} belongs to the {other}. "
            f"So {stranger} does not belong.",
        )
    ]


def _queue(draw: Draw) -> list[Turn]:
    people = draw.some(FIRST_NAMES, 4)
    lines = [
        f"{people[0]} stands directly in front of {people[1]}.",
        f"{people[2]} stands directly behind {people[1]}.",
        f"{people[3]} is the last in the queue.",
    ]
    return [
        (
            f"Four people stand in a queue. {' '.join(draw.some(lines, 3))} Who is third?",
            f"{people[0]} comes right before {people[1]}, and {people[2]} right after. {people[3]} is last. "
            f"The queue is {', '.join(people)}. So {people[2]} is third.",
        ),
        ("Who is first?", f"The queue is {', '.join(people)}. So {people[0]} is first."),
    ]


_SMALL = (_order, _syllogism, _calendar, _moves, _directions, _conditions, _word_pattern, _odd_one)

TASKS: tuple[Task, ...] = (
    Task("puzzle sheet", combined(_SMALL, "Puzzle"), 2.0),
    Task("ordering", _order, 1.5),
    Task("syllogism", _syllogism, 1.2),
    Task("calendar", _calendar, 0.7),
    Task("boxes", _boxes, 1.2),
    Task("moving things", _moves),
    Task("directions", _directions, 0.8),
    Task("conditions", _conditions, 0.6),
    Task("word pattern", _word_pattern),
    Task("odd one out", _odd_one, 0.8),
    Task("queue", _queue),
)
