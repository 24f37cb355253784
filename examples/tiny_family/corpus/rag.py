"""Answering from given passages: every answer quotes the passage that holds it, word for word."""

from __future__ import annotations

from .draw import Draw, Task, Turn
from .invented import Fact, draw_facts
from .words import FIRST_NAMES, PLAIN_WORDS


def _passages(draw: Draw) -> list[list[Fact]]:
    count, size = draw.choices(((1, 3), (2, 2), (3, 2), (4, 3), (9, 4)), (25, 30, 23, 10, 12))[0]
    facts = draw_facts(draw, count * size)
    return [facts[start : start + size] for start in range(0, len(facts), size)]


def _shown(passages: list[list[Fact]]) -> str:
    if len(passages) == 1:
        return f"Passage: {' '.join(fact.sentence for fact in passages[0])}"
    return "\n".join(
        f"Passage {number}: {' '.join(fact.sentence for fact in facts)}" for number, facts in enumerate(passages, 1)
    )


def _quoted(passages: list[list[Fact]], fact: Fact) -> str:
    if len(passages) == 1:
        return f"According to the passage: {fact.sentence}"
    number = next(number for number, facts in enumerate(passages, 1) if fact in facts)
    return f"According to passage {number}: {fact.sentence}"


def _quote(draw: Draw) -> list[Turn]:
    passages = _passages(draw)
    facts = draw.some([fact for part in passages for fact in part], 3 if len(passages) > 1 else 2)
    opener = draw.pick(("Use the text to answer.", "Answer from the text below.", "Read this and answer the question."))
    first = f"{opener}\n\n{_shown(passages)}\n\nQuestion: {facts[0].question}"
    turns = [(first, f"{_quoted(passages, facts[0])} So the answer is {facts[0].short}.")]
    later = [(fact.question, f"{_quoted(passages, fact)} So the answer is {fact.short}.") for fact in facts[1:]]
    return [*turns, *later]


def _question_first(draw: Draw) -> list[Turn]:
    passages = _passages(draw)
    fact = draw.pick([fact for part in passages for fact in part])
    return [(f"{fact.question}\n\n{_shown(passages)}", _quoted(passages, fact))]


def _which_passage(draw: Draw) -> list[Turn]:
    facts = draw_facts(draw, draw.number(3, 6))
    passages = [[fact] for fact in facts]
    fact, other = draw.some(facts, 2)
    prompt = f"{_shown(passages)}\n\nWhich passage mentions {{}}? Quote it."
    number = {one.subject: place for place, one in enumerate(facts, 1)}
    return [
        (prompt.format(fact.subject), f"Passage {number[fact.subject]} does: {fact.sentence}"),
        (f"And which mentions {other.subject}?", f"Passage {number[other.subject]} does: {other.sentence}"),
    ]


def _not_there(draw: Draw) -> list[Turn]:
    facts = draw_facts(draw, 4)
    missing, present = facts[3], facts[0]
    shown = _shown([[fact] for fact in facts[:3]])
    if draw.chance(0.5):
        return [
            (
                f"{shown}\n\nDo the passages say anything about {missing.subject}?",
                f"No. The passages speak of {facts[0].subject}, {facts[1].subject} and {facts[2].subject}, "
                f"but not of {missing.subject}.",
            )
        ]
    return [
        (
            f"{shown}\n\nDo the passages say anything about {present.subject}?",
            f"Yes. Passage 1 says: {present.sentence}",
        )
    ]


def _two_facts(draw: Draw) -> list[Turn]:
    passages = _passages(draw)
    first, second = draw.some([fact for part in passages for fact in part], 2)
    return [
        (
            f"{_shown(passages)}\n\nAnswer both questions. {first.question} {second.question}",
            f"1. {_quoted(passages, first)}\n2. {_quoted(passages, second)}",
        )
    ]


def _table(draw: Draw) -> list[Turn]:
    count = draw.choices((4, 6, 10, 30), (40, 35, 15, 10))[0]
    rows = {draw.invented(): (draw.pick(PLAIN_WORDS), draw.number(10, 999)) for _ in range(count)}
    lines = "\n".join(f"{name} | {item} | {price}" for name, (item, price) in rows.items())
    first, second = draw.some(list(rows), 2)
    return [
        (
            f"Name | Item | Price\n{lines}\n\nWhat does the table say about {first}?",
            f"The row is: {first} | {rows[first][0]} | {rows[first][1]}. "
            f"So {first} has the item {rows[first][0]} at a price of {rows[first][1]}.",
        ),
        (
            f"What is the price for {second}?",
            f"The row is: {second} | {rows[second][0]} | {rows[second][1]}. So the price is {rows[second][1]}.",
        ),
    ]


def _messages(draw: Draw) -> list[Turn]:
    people = draw.some(FIRST_NAMES, draw.number(3, 5))
    facts = draw_facts(draw, len(people))
    chat = "\n".join(f"{person}: {fact.sentence}" for person, fact in zip(people, facts, strict=True))
    place, later = draw.some(range(len(people)), 2)
    return [
        (
            f"Here is a chat:\n\n{chat}\n\nWhat did {people[place]} write?",
            f'{people[place]} wrote: "{facts[place].sentence}"',
        ),
        (f"And what did {people[later]} write?", f'{people[later]} wrote: "{facts[later].sentence}"'),
    ]


def _manual(draw: Draw) -> list[Turn]:
    code = draw.code()
    topics = draw.some(PLAIN_WORDS, draw.number(4, 7))
    rules = {
        topic: f"Press the {draw.pick(PLAIN_WORDS)} button {draw.number(2, 9)} times "
        f"and wait for the {draw.pick(PLAIN_WORDS)} light."
        for topic in topics
    }
    shown = "\n".join(f"Section {number}, {topic} mode: {rules[topic]}" for number, topic in enumerate(topics, 1))
    first, second = draw.some(topics, 2)
    return [
        (
            f"Manual of the {code}:\n\n{shown}\n\nHow do I start the {first} mode?",
            f"Section {topics.index(first) + 1} says: {rules[first]}",
        ),
        (f"And the {second} mode?", f"Section {topics.index(second) + 1} says: {rules[second]}"),
    ]


def _copy_drill(draw: Draw) -> list[Turn]:
    words = [draw.invented() for _ in range(draw.number(5, 15))]
    return [(f"Repeat this list of names: {', '.join(words)}", ", ".join(words))]


TASKS: tuple[Task, ...] = (
    Task("quote the passage", _quote, 3.0),
    Task("question first", _question_first, 1.5),
    Task("which passage", _which_passage, 1.0),
    Task("not in the text", _not_there, 0.7),
    Task("two questions", _two_facts, 2.5),
    Task("table lookup", _table, 0.8),
    Task("chat log", _messages, 0.8),
    Task("manual", _manual, 0.8),
    Task("copy names", _copy_drill, 2.4),
)
