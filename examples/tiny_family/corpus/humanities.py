"""History, philosophy, literature and the arts: explanations from the shelf, dates, and opinions in two sides."""

from __future__ import annotations

from .combined import combined
from .draw import Draw, Task, Turn, article, listing, sentence
from .expository import builders, has
from .humanities_tables import CONS, DEBATES, EVENTS, PROS, WORKS
from .topics import HUMANITIES_TOPICS
from .words import FIRST_NAMES


def _year(year: int) -> str:
    return f"{-year} BC" if year < 0 else str(year)


def _timeline(draw: Draw) -> list[Turn]:
    chosen = draw.some(EVENTS, draw.number(2, 4))
    ordered = sorted(chosen, key=lambda event: event[1])
    lines = "\n".join(f"- {_year(year)}: {name}" for name, year in ordered)
    return [
        (f"Put these events on a timeline: {listing([name for name, _ in chosen])}.", lines),
        ("Which one is the earliest?", f"The earliest is {ordered[0][0]}, in {_year(ordered[0][1])}."),
        ("And the latest?", f"The latest is {ordered[-1][0]}, in {_year(ordered[-1][1])}."),
    ]


def _authors(draw: Draw) -> list[Turn]:
    first, second = draw.some(WORKS, 2)
    return [
        (
            f"Who made {first[0]}, and who made {second[0]}?",
            f"{sentence(first[0])} is {article(first[1])} by {first[2]}. "
            f"{sentence(second[0])} is {article(second[1])} by {second[2]}.",
        ),
        (
            "Which kinds of work are they?",
            f"{sentence(first[0])} is {article(first[1])}, and {second[0]} is {article(second[1])}.",
        ),
    ]


def _debate(draw: Draw) -> list[Turn]:
    topic, name = draw.pick(DEBATES), draw.pick(FIRST_NAMES)
    pros, cons = draw.some(PROS, 2), draw.some(CONS, 2)
    prompt = draw.pick(
        (
            "{n} must argue about {t}. Give two points for and two against.",
            "Weigh {t} for {n}: two reasons for, two against.",
        )
    )
    word = "it" if topic in {"learning Latin", "voting at sixteen", "street art", "handwriting", "homework"} else "they"
    single = {
        "bring": "brings",
        "teach": "teaches",
        "keep": "keeps",
        "open": "opens",
        "give": "gives",
        "make": "makes",
        "cost": "costs",
        "take": "takes",
        "do": "does",
        "can": "can",
        "need": "needs",
        "are": "is",
    }

    def fit(reason: str) -> str:
        if word == "they":
            return reason
        verb, rest = reason.removeprefix("they ").split(" ", 1)
        return f"it {single[verb]} {rest}"

    lines = [f"For: {fit(pros[0])}.", f"For: {fit(pros[1])}.", f"Against: {fit(cons[0])}.", f"Against: {fit(cons[1])}."]
    return [
        (prompt.format(n=name, t=topic), "\n".join(lines)),
        ("Which point is the strongest one for it?", f"The strongest point is that {fit(pros[0])}."),
    ]


def _essay(draw: Draw) -> list[Turn]:
    topic, other = draw.some(HUMANITIES_TOPICS, 2)
    prompt = f"Write a short paragraph on {topic.name} and mention {other.name}."
    answer = (
        f"{sentence(has(topic))}. We meet it in {topic.example}, for instance. "
        f"Like {other.name}, it is still discussed today, because {topic.matters}."
    )
    return [(prompt, answer), (f"Why mention {other.name}?", f"I mentioned it because {other.matters}.")]


_SHARED = builders(HUMANITIES_TOPICS)

TASKS: tuple[Task, ...] = (
    *(Task(name, build) for name, build in _SHARED.items()),
    Task("exam", combined((_timeline, _authors, _essay, *_SHARED.values()), "Part"), 1.5),
    Task("timeline", _timeline, 1.3),
    Task("authors and works", _authors, 1.0),
    Task("for and against", _debate, 1.2),
    Task("short essay", _essay, 1.2),
)
