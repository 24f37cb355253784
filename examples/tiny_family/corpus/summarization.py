"""Summaries by extraction: the key sentences of the text come back word for word."""

from __future__ import annotations

from .draw import Draw, Task, Turn, listing
from .invented import Fact, draw_facts
from .words import FIRST_NAMES, PLAIN_WORDS, WEEKDAYS

_FILLERS = (
    "People there still talk about it.", "Nobody was surprised.", "It rained a little that week.",
    "The details are less important.", "Some visitors took photographs.", "There was tea for everyone.",
    "A few questions remained open.", "The newspapers wrote short notes.", "The rest of the day was quiet.",
    "Children played nearby.", "The weather did not matter.", "Opinions differ on the reasons.",
    "Not much else happened.", "A band played in the evening.", "The roads were busy as usual.",
    "Most people went home early.", "Later the lights went out.", "A dog barked now and then.",
)  # fmt: skip


def _article(draw: Draw) -> tuple[str, list[Fact]]:
    """A text that opens each paragraph with an invented fact and fills the rest with unimportant remarks."""
    size = draw.choices((2, 3, 4, 12, 26), (32, 34, 20, 8, 6))[0]
    facts = draw_facts(draw, size)
    fillers = (draw.some(_FILLERS, len(_FILLERS)) * 2)[:size]
    return "\n".join(f"{fact.sentence} {filler}" for fact, filler in zip(facts, fillers, strict=True)), facts


def _key_sentences(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    prompt = draw.pick(
        ("Summarize this text by its key sentences", "Give the main sentences of this text", "Shorten this text")
    )
    short = " ".join(fact.sentence for fact in facts[:4])
    return [(f"{prompt}:\n\n{text}", short), ("Shorter, please: one sentence.", facts[0].sentence)]


def _bullets(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    lines = [f"- {fact.sentence}" for fact in facts[:5]]
    return [
        (f"Summarize the text as bullet points:\n\n{text}", "\n".join(lines)),
        ("Keep only the first two points.", "\n".join(lines[:2])),
    ]


def _one_sentence(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    return [
        (
            f"Which sentence is the most important one? It comes first.\n\n{text}",
            f"The key sentence is: {facts[0].sentence}",
        ),
        ("And the second fact?", f"The second fact is: {facts[1].sentence}"),
    ]


def _about(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    fact, other = draw.some(facts, 2)
    return [
        (f"{text}\n\nSummarize only what the text says about {fact.subject}.", fact.sentence),
        (f"Now the same for {other.subject}.", other.sentence),
    ]


def _headline(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    names = listing([fact.subject for fact in facts[:3]])
    return [
        (f"Write a headline and one key sentence for this text:\n\n{text}", f"News of {names}\n\n{facts[0].sentence}")
    ]


def _diary(draw: Draw) -> list[Turn]:
    days = WEEKDAYS[: draw.number(3, 5)]
    facts = draw_facts(draw, len(days))
    fillers = draw.some(_FILLERS, len(days))
    text = "\n".join(f"{day}: {filler} {fact.sentence}" for day, fact, filler in zip(days, facts, fillers, strict=True))
    short = "\n".join(f"{day}: {fact.sentence}" for day, fact in zip(days, facts, strict=True))
    place = draw.number(0, len(days) - 1)
    return [
        (f"Shorten every entry of this diary to its fact:\n\n{text}", short),
        (f"What happened on {days[place]}?", facts[place].sentence),
    ]


def _minutes(draw: Draw) -> list[Turn]:
    people = draw.some(FIRST_NAMES, draw.number(3, 5))
    tasks = [f"bring {draw.number(2, 90)} {draw.pick(PLAIN_WORDS)} boxes to {draw.invented()}" for _ in people]
    lines = [f"{name} agreed to {task}. {draw.pick(_FILLERS)}" for name, task in zip(people, tasks, strict=True)]
    result = "\n".join(f"- {name}: {task}" for name, task in zip(people, tasks, strict=True))
    place = draw.number(0, len(people) - 1)
    return [
        (f"List who does what after this meeting:\n\n{' '.join(lines)}", result),
        (f"What does {people[place]} do?", f"{people[place]} has to {tasks[place]}."),
    ]


def _names(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    subjects = [fact.subject for fact in facts]
    return [
        (f"Which names and subjects does this text treat, in order?\n\n{text}", f"The text treats {listing(subjects)}.")
    ]


def _ending(draw: Draw) -> list[Turn]:
    text, facts = _article(draw)
    return [
        (
            f"Summarize the beginning and the end of this text:\n\n{text}",
            f"At the beginning: {facts[0].sentence}\nAt the end: {facts[-1].sentence}",
        )
    ]


def _copy_drill(draw: Draw) -> list[Turn]:
    words = draw.some(PLAIN_WORDS, draw.number(5, 16))
    return [(f"Repeat this list of words: {', '.join(words)}", ", ".join(words))]


TASKS: tuple[Task, ...] = (
    Task("key sentences", _key_sentences, 2.5),
    Task("bullet points", _bullets, 1.5),
    Task("most important sentence", _one_sentence, 1.0),
    Task("about one subject", _about, 1.2),
    Task("headline", _headline, 0.8),
    Task("diary", _diary, 1.0),
    Task("meeting tasks", _minutes, 1.0),
    Task("subjects of a text", _names, 0.7),
    Task("beginning and end", _ending, 0.8),
    Task("copy words", _copy_drill, 2.4),
)
