"""Short questions: from facts given in the question, and from a small shelf of common knowledge."""

from __future__ import annotations

from .combined import combined
from .draw import Draw, Task, Turn, article, listing
from .invented import draw_fact, draw_facts
from .knowledge import ANIMALS, COUNTRIES, OPPOSITES, PROFESSIONS, THINGS
from .words import FIRST_NAMES, GOODS, PLAIN_WORDS, WEEKDAYS


def _given_fact(draw: Draw) -> list[Turn]:
    facts = draw_facts(draw, draw.number(1, 3))
    fact = draw.pick(facts)
    told = " ".join(one.sentence for one in facts)
    prompt = f"{told} {fact.question}" if draw.chance(0.5) else f"Given: {told}\nQuestion: {fact.question}"
    other = draw_fact(draw)
    return [
        (prompt, f"The answer is {fact.short}. It is said here: {fact.sentence}"),
        (f"{other.sentence} {other.question}", f"The answer is {other.short}. It is said here: {other.sentence}"),
        ("And what was the answer to my first question?", f"The answer to your first question was {fact.short}."),
    ]


def _country(draw: Draw) -> list[Turn]:
    country, capital, continent, language = draw.pick(COUNTRIES)
    who = draw.pick(FIRST_NAMES)
    kinds = (
        (f"{who} plans a trip to {country}. What is the capital?", f"The capital of {country} is {capital}."),
        (f"On which continent would {who} find {country}?", f"{country} lies in {continent}."),
        (f"{who} flies to {country}. Which language is spoken there?", f"People in {country} speak {language}."),
    )
    return draw.some(kinds, 3)


def _two_countries(draw: Draw) -> list[Turn]:
    first, second = draw.some(COUNTRIES, 2)
    return [
        (
            f"What are the capitals of {first[0]} and {second[0]}?",
            f"The capital of {first[0]} is {first[1]}, and the capital of {second[0]} is {second[1]}.",
        ),
        (
            "On which continents do they lie?",
            f"{first[0]} lies in {first[2]}, and {second[0]} lies in {second[2]}.",
        ),
    ]


def _animal(draw: Draw) -> list[Turn]:
    first, second = draw.some(ANIMALS, 2)
    return [
        (
            f"How many legs do {article(first[0])} and {article(second[0])} have together?",
            f"{article(first[0]).capitalize()} has {first[1]} legs, and {article(second[0])} has {second[1]}. "
            f"Together they have {first[1] + second[1]} legs.",
        ),
        (f"Where does the {first[0]} live?", f"The {first[0]} lives {first[2]}."),
        (f"And the {second[0]}?", f"The {second[0]} lives {second[2]}."),
    ]


def _opposites(draw: Draw) -> list[Turn]:
    pairs = draw.some(OPPOSITES, 3)
    words = [pair[draw.number(0, 1)] for pair in pairs]
    other = [pair[1 - pair.index(word)] for pair, word in zip(pairs, words, strict=True)]
    lines = "\n".join(f"- {word}: {opposite}" for word, opposite in zip(words, other, strict=True))
    return [
        (f"What are the opposites of {listing(words)}?", lines),
        (
            f"Make a sentence with {other[0]} and {words[0]}.",
            f"One box is {other[0]}, and the other one is {words[0]}.",
        ),
    ]


def _profession(draw: Draw) -> list[Turn]:
    job, work, place, tool = draw.pick(PROFESSIONS)
    name = draw.pick(FIRST_NAMES)
    return [
        (
            f"{name} is {article(job)} in {draw.invented()}. What does {name} do all day?",
            f"{article(job).capitalize()} {work}. So {name} is often found {place} and uses {tool}.",
        ),
        (f"Which tool does {name} need?", f"As {article(job)}, {name} needs {tool}."),
    ]


def _purpose(draw: Draw) -> list[Turn]:
    first, second = draw.some(THINGS, 2)
    return [
        (
            f"What are {article(first[0])} and {article(second[0])} for?",
            f"{article(first[0]).capitalize()} is used to {first[1]}, and {article(second[0])} is used to {second[1]}.",
        ),
        (
            "What are they made of?",
            f"{article(first[0]).capitalize()} is usually made of {first[2]}, and {article(second[0])} of {second[2]}.",
        ),
    ]


def _memory(draw: Draw) -> list[Turn]:
    people, things = draw.some(FIRST_NAMES, 3), draw.some(PLAIN_WORDS, 3)
    told = ", ".join(f"{who}'s word is {what}" for who, what in zip(people, things, strict=True))
    return [
        (f"Remember: {told}. What is {people[1]}'s word?", f"{people[1]}'s word is {things[1]}."),
        (f"And {people[0]}'s?", f"{people[0]}'s word is {things[0]}."),
        (f"And {people[2]}'s?", f"{people[2]}'s word is {things[2]}."),
        ("Say all three again.", f"{listing(things).capitalize()}."),
    ]


def _prices(draw: Draw) -> list[Turn]:
    goods = draw.some(GOODS, 4)
    prices = draw.some(range(2, 99), 4)
    told = ", ".join(f"{one} cost {price}" for one, price in zip(goods, prices, strict=True))
    cheap, dear = goods[prices.index(min(prices))], goods[prices.index(max(prices))]
    return [
        (
            f"In a shop {told} crowns a piece. Which is the cheapest?",
            f"The {cheap} are the cheapest: they cost {min(prices)} crowns.",
        ),
        ("And the dearest?", f"The {dear} are the dearest: they cost {max(prices)} crowns."),
    ]


def _yes_or_no(draw: Draw) -> list[Turn]:
    name, day, other = draw.pick(FIRST_NAMES), *draw.some(WEEKDAYS, 2)
    shop = f"{draw.pick(('bakery', 'library', 'bank', 'museum', 'market'))} of {draw.invented()}"
    asked = draw.pick((day, other))
    answer = f"No. The {shop} is closed on {day}." if asked == day else f"Yes. The {shop} is closed on {day} only."
    return [
        (f"The {shop} is closed on {day} only. Can {name} go there on {asked}?", answer),
        ("On which day is it closed?", f"It is closed on {day}."),
    ]


def _copy_drill(draw: Draw) -> list[Turn]:
    codes = [draw.code() for _ in range(draw.number(4, 9))]
    place = draw.number(0, len(codes) - 1)
    return [
        (f"Read these codes back to me: {' '.join(codes)}", " ".join(codes)),
        ("Which code comes first and which last?", f"First comes {codes[0]}, last comes {codes[-1]}."),
        (f"What is code number {place + 1}?", f"Code number {place + 1} is {codes[place]}."),
    ]


_SMALL = (_given_fact, _country, _two_countries, _animal, _profession, _purpose, _memory, _prices, _yes_or_no)

TASKS: tuple[Task, ...] = (
    Task("quiz", combined(_SMALL, "Question"), 5.0),
    Task("given facts", _given_fact, 2.5),
    Task("travel", _country, 1.0),
    Task("two capitals", _two_countries, 1.0),
    Task("animals", _animal, 1.0),
    Task("opposites", _opposites, 1.0),
    Task("profession", _profession, 1.2),
    Task("purpose of things", _purpose, 1.2),
    Task("memory", _memory, 1.0),
    Task("prices", _prices, 1.0),
    Task("opening days", _yes_or_no, 0.7),
    Task("read back codes", _copy_drill, 2.4),
)
