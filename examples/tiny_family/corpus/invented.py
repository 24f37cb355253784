"""Invented facts: sentences about places, people and things that nobody can know, only copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .words import FIRST_NAMES, MONTHS, PLAIN_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .draw import Draw

_BUILDINGS = (
    "library", "harbour", "museum", "station", "market", "school", "theatre", "mill", "bridge", "tower", "hospital",
    "garden", "castle", "bakery", "lighthouse", "workshop", "archive", "observatory", "factory", "stadium",
)  # fmt: skip
_TRADES = (
    "architect", "baker", "botanist", "captain", "carpenter", "chemist", "composer", "doctor", "engineer", "farmer",
    "gardener", "historian", "inventor", "judge", "librarian", "merchant", "painter", "pilot", "sculptor", "teacher",
)  # fmt: skip
_STUFF = (
    "glass", "copper", "wool", "salt", "paper", "timber", "honey", "silk", "iron", "clay", "tea", "leather", "wheat",
    "marble", "rope", "soap", "ink", "cheese", "oil", "barley",
)  # fmt: skip
_COLOURS = ("red", "blue", "green", "white", "black", "yellow", "brown", "grey", "purple", "orange", "silver", "golden")
_ANIMALS = ("lizard", "bird", "beetle", "fish", "frog", "moth", "snake", "bat", "crab", "spider", "fox", "turtle")


@dataclass(frozen=True, slots=True)
class Fact:
    """One invented fact: its sentence, a question that it answers, and the bare answer."""

    subject: str
    sentence: str
    question: str
    short: str


def _person(draw: Draw) -> str:
    return f"{draw.pick(FIRST_NAMES)} {draw.invented()}"


def _built(draw: Draw) -> Fact:
    thing, town, year = draw.pick(_BUILDINGS), draw.invented(), draw.number(1400, 2020)
    who = f"the {draw.pick(_TRADES)} {_person(draw)}"
    text = f"The {thing} of {town} was built in {year} by {who}."
    if draw.chance(0.5):
        return Fact(town, text, f"When was the {thing} of {town} built?", str(year))
    return Fact(town, text, f"Who built the {thing} of {town}?", who)


def _exports(draw: Draw) -> Fact:
    town, tons = draw.invented(), draw.number(20, 9800)
    first, second = draw.some(_STUFF, 2)
    text = f"Every year the town of {town} sells {tons} tons of {first} and some {second}."
    if draw.chance(0.5):
        return Fact(town, text, f"How many tons of {first} does {town} sell?", f"{tons} tons")
    return Fact(town, text, f"What does the town of {town} sell?", f"{first} and {second}")


def _device(draw: Draw) -> Fact:
    code, company = draw.code(), draw.invented()
    weight, price = draw.number(2, 900), draw.number(15, 2500)
    text = f"The {code} made by {company} weighs {weight} grams and costs {price} crowns."
    if draw.chance(0.5):
        return Fact(code, text, f"How much does the {code} weigh?", f"{weight} grams")
    return Fact(code, text, f"What does the {code} cost?", f"{price} crowns")


def _animal(draw: Draw) -> Fact:
    species, place = draw.invented(), draw.invented()
    kind, colour = draw.pick(_ANIMALS), draw.pick(_COLOURS)
    text = f"The {species} is a {colour} {kind} that lives in the valleys of {place}."
    if draw.chance(0.5):
        return Fact(species, text, f"Where does the {species} live?", f"in the valleys of {place}")
    return Fact(species, text, f"What is the {species}?", f"a {colour} {kind}")


def _meeting(draw: Draw) -> Fact:
    group, town = draw.invented(), draw.invented()
    day, month = draw.number(1, 28), draw.pick(MONTHS)
    leader = _person(draw)
    text = f"The {group} Society meets in {town} on {month} {day} and is led by {leader}."
    if draw.chance(0.5):
        return Fact(group, text, f"Who leads the {group} Society?", leader)
    return Fact(group, text, f"On which day does the {group} Society meet?", f"{month} {day}")


def _river(draw: Draw) -> Fact:
    river, lake, length = draw.invented(), draw.invented(), draw.number(40, 3900)
    text = f"The river {river} is {length} km long and flows into Lake {lake}."
    if draw.chance(0.5):
        return Fact(river, text, f"How long is the river {river}?", f"{length} km")
    return Fact(river, text, f"Where does the river {river} end?", f"Lake {lake}")


def _password(draw: Draw) -> Fact:
    room, words = draw.number(10, 99), "-".join(draw.some(PLAIN_WORDS, 3))
    who = _person(draw)
    text = f"The key word of room {room} is {words}, and only {who} may change it."
    if draw.chance(0.5):
        return Fact(f"room {room}", text, f"What is the key word of room {room}?", words)
    return Fact(f"room {room}", text, f"Who may change the key word of room {room}?", who)


def _prize(draw: Draw) -> Fact:
    who, prize, year = _person(draw), draw.invented(), draw.number(1900, 2024)
    work = draw.pick(("a book", "a song", "a machine", "a map", "a play", "a film", "a garden", "a bridge"))
    text = f"In {year} {who} won the {prize} Prize for {work} about the {draw.pick(PLAIN_WORDS)}."
    if draw.chance(0.5):
        return Fact(who, text, f"Who won the {prize} Prize in {year}?", who)
    return Fact(who, text, f"What did {who} win?", f"the {prize} Prize")


def _crew(draw: Draw) -> Fact:
    ship, port, count = draw.invented(), draw.invented(), draw.number(8, 480)
    captain = _person(draw)
    text = f"Captain {captain} sailed the {ship} from {port} with a crew of {count}."
    if draw.chance(0.5):
        return Fact(ship, text, f"Who was the captain of the {ship}?", f"Captain {captain}")
    return Fact(ship, text, f"How large was the crew of the {ship}?", f"{count} people")


def _train(draw: Draw) -> Fact:
    start, end, number = draw.invented(), draw.invented(), draw.number(100, 999)
    leaves, arrives = f"{draw.number(5, 13)}:{draw.number(10, 59)}", f"{draw.number(14, 22)}:{draw.number(10, 59)}"
    text = f"Train {number} leaves {start} at {leaves} and reaches {end} at {arrives}."
    if draw.chance(0.5):
        return Fact(f"train {number}", text, f"When does train {number} leave {start}?", f"at {leaves}")
    return Fact(f"train {number}", text, f"Where does train {number} arrive at {arrives}?", f"in {end}")


def _match(draw: Draw) -> Fact:
    home, guest = draw.invented(), draw.invented()
    score, visitors = f"{draw.number(3, 9)} to {draw.number(0, 2)}", draw.number(100, 9900)
    text = f"The team of {home} beat {guest} by {score} in front of {visitors} visitors."
    if draw.chance(0.5):
        return Fact(home, text, f"By how much did {home} beat {guest}?", score)
    return Fact(home, text, f"How many visitors saw {home} beat {guest}?", f"{visitors} visitors")


def _island(draw: Draw) -> Fact:
    island, coast, people = draw.invented(), draw.invented(), draw.number(12, 9000)
    text = f"The island of {island} lies off the coast of {coast} and has {people} inhabitants."
    if draw.chance(0.5):
        return Fact(island, text, f"How many people live on {island}?", f"{people} inhabitants")
    return Fact(island, text, f"Off which coast does {island} lie?", f"the coast of {coast}")


def _feast(draw: Draw) -> Fact:
    feast, town, month = draw.invented(), draw.invented(), draw.pick(MONTHS)
    lights, animal = draw.number(3, 700), draw.pick(_ANIMALS)
    text = f"At the {feast} feast in {month}, people in {town} light {lights} candles and carry a paper {animal}."
    if draw.chance(0.5):
        return Fact(feast, text, f"How many candles are lit at the {feast} feast?", f"{lights} candles")
    return Fact(feast, text, f"What do people carry at the {feast} feast?", f"a paper {animal}")


def _book(draw: Draw) -> Fact:
    author, pages, year = _person(draw), draw.number(60, 990), draw.number(1800, 2024)
    title = f"The {draw.pick(_COLOURS).capitalize()} {draw.pick(PLAIN_WORDS).capitalize()}"
    text = f'{author} wrote "{title}" in {year}; it has {pages} pages.'
    if draw.chance(0.5):
        return Fact(author, text, f'Who wrote "{title}"?', author)
    return Fact(author, text, f'How many pages does "{title}" have?', f"{pages} pages")


def _plant(draw: Draw) -> Fact:
    plant, water, colour = draw.invented(), draw.number(2, 95), draw.pick(_COLOURS)
    text = (
        f"The plant {plant} needs {water} drops of water a day and opens its {colour} flowers in {draw.pick(MONTHS)}."
    )
    if draw.chance(0.5):
        return Fact(plant, text, f"How much water does the plant {plant} need?", f"{water} drops a day")
    return Fact(plant, text, f"Which colour are the flowers of the plant {plant}?", colour)


_KINDS: tuple[Callable[[Draw], Fact], ...] = (
    _built, _exports, _device, _animal, _meeting, _river, _password, _prize, _crew,
    _train, _match, _island, _feast, _book, _plant,
)  # fmt: skip


def draw_fact(draw: Draw) -> Fact:
    """One invented fact of a random kind."""
    return draw.pick(_KINDS)(draw)


def draw_facts(draw: Draw, count: int) -> list[Fact]:
    """``count`` invented facts about different subjects."""
    facts: dict[str, Fact] = {}
    while len(facts) < count:
        fact = draw_fact(draw)
        facts.setdefault(fact.subject, fact)
    return list(facts.values())
