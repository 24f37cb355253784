"""Questions, stories, lists and translations in many languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import languages_asian, languages_latin, languages_near
from .draw import Draw, Task, Turn, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from .language import Language

LANGUAGES: tuple[Language, ...] = (
    *languages_latin.LANGUAGES,
    *languages_near.LANGUAGES,
    *languages_asian.LANGUAGES,
)


def _thanks(language: Language) -> Turn:
    return language.thanks, language.welcome


def _what(draw: Draw, language: Language) -> list[Turn]:
    people = draw.some(language.people, 3)
    told = [
        sentence(language.act.format(name=who[0], act=act[0]))
        for who, act in zip(people, draw.some(language.acts, 3), strict=True)
    ]
    order = draw.some(range(3), 3)
    turns = [(sentence(language.what.format(name=people[place][0])), told[place]) for place in order]
    turns[0] = (language.joiner.join([*told, turns[0][0]]), turns[0][1])
    return [*turns, _thanks(language)]


def _where(draw: Draw, language: Language) -> list[Turn]:
    people = draw.some(language.people, 3)
    places = draw.some(language.places, 3)
    told = [
        sentence(language.at.format(name=who[0], place=place[0])) for who, place in zip(people, places, strict=True)
    ]
    order = draw.some(range(3), 3)
    turns = [(sentence(language.where.format(name=people[place][0])), told[place]) for place in order]
    turns[0] = (language.joiner.join([*told, turns[0][0]]), turns[0][1])
    return [*turns, _thanks(language)]


def _yes_or_no(draw: Draw, language: Language) -> list[Turn]:
    people, places = draw.some(language.people, 2), draw.some(language.places, 2)
    told = [
        sentence(language.at.format(name=who[0], place=place[0])) for who, place in zip(people, places, strict=True)
    ]
    turns = []
    for who, here in ((0, draw.number(0, 1)), (1, draw.number(0, 1))):
        asked = sentence(language.ask_at.format(name=people[who][0], place=places[here][0]))
        verdict = language.yes if who == here else language.no
        turns.append((asked, sentence(verdict.format(name=people[who][0], place=places[who][0]))))
    turns[0] = (language.joiner.join([*told, turns[0][0]]), turns[0][1])
    return [*turns, _thanks(language)]


def _story(draw: Draw, language: Language) -> list[Turn]:
    hero, friend = draw.some(language.people, 2)
    count = draw.number(2, 3)
    acts, places, times = (
        draw.some(language.acts, count),
        draw.some(language.places, count),
        draw.some(language.times, count),
    )
    parts = [draw.pick(language.opening).format(name=hero[0])]
    for number in range(count):
        who = friend if number == 1 else hero
        parts.append(
            language.full.format(name=who[0], time=times[number][0], place=places[number][0], act=acts[number][0])
        )
        if number == 0:
            parts.append(draw.pick(language.weather))
    parts.append(draw.pick(language.ending).format(name=hero[0]))
    prompt = draw.pick(language.tell).format(name=hero[0])
    detail = language.full.format(name=friend[0], time=times[1][0], place=places[1][0], act=acts[1][0])
    text = language.joiner.join(sentence(part) for part in parts)
    asked = sentence(language.what.format(name=friend[0]))
    seen = sentence(language.act.format(name=friend[0], act=acts[1][0]))
    return [(language.joiner.join([sentence(prompt), sentence(detail)]), text), (asked, seen), _thanks(language)]


def _list(draw: Draw, language: Language) -> list[Turn]:
    nouns = [noun for noun, _ in draw.some(language.nouns, draw.number(3, 6))]
    more = [noun for noun, _ in draw.some(language.nouns, 3)]
    return [
        (language.list_them.format(words=language.comma.join(nouns)), "\n".join(f"- {noun}" for noun in nouns)),
        (language.list_them.format(words=language.comma.join(more)), "\n".join(f"- {noun}" for noun in more)),
        _thanks(language),
    ]


def _count(draw: Draw, language: Language) -> list[Turn]:
    start, size = draw.number(0, 5), draw.number(2, 3)
    given, rest = language.numbers[start : start + size], language.numbers[start + size : start + size + 3]
    day = draw.number(0, 6)
    today, following = language.days[day], language.days[(day + 1) % 7]
    asked = sentence(language.next_day.format(day=today))
    return [
        (
            f"{language.count_on.format(words=language.comma.join(given))}{language.joiner}{asked}",
            f"{language.comma.join(rest)}\n{sentence(language.next_day_is.format(day=today, next=following))}",
        ),
        (
            sentence(language.next_day.format(day=following)),
            sentence(language.next_day_is.format(day=following, next=language.days[(day + 2) % 7])),
        ),
        _thanks(language),
    ]


def _hello(draw: Draw, language: Language) -> list[Turn]:
    name, other = draw.some(language.people, 2)
    place = draw.pick(language.places)
    here = sentence(language.at.format(name=name[0], place=place[0]))
    greeting = language.hello_back.format(name=name[0], other=other[0], weather=draw.pick(language.weather))
    first = language.joiner.join(
        [language.hello.format(name=name[0]), here, sentence(language.where.format(name=name[0]))]
    )
    return [(first, language.joiner.join([greeting, here])), _thanks(language)]


def _words_into(draw: Draw, language: Language) -> list[Turn]:
    chosen = draw.some(language.nouns, draw.number(3, 6))
    more = draw.some(language.nouns, 2)
    opener = draw.pick(("Translate into {l}: {w}.", "What are these words in {l}: {w}?", "Give the {l} words for {w}."))
    return [
        (
            opener.format(l=language.name, w=", ".join(english for _, english in chosen)),
            "\n".join(f"{english}: {native}" for native, english in chosen),
        ),
        (f"And {more[0][1]} and {more[1][1]}?", "\n".join(f"{english}: {native}" for native, english in more)),
        ("Back into English, please.", ", ".join(english for _, english in more)),
    ]


def _words_from(draw: Draw, language: Language) -> list[Turn]:
    chosen = draw.some(language.nouns, draw.number(3, 6))
    return [
        (
            f"Translate from {language.name} into English: {', '.join(native for native, _ in chosen)}.",
            "\n".join(f"{native}: {english}" for native, english in chosen),
        ),
        (f"What is the {language.name} word for {chosen[1][1]} again?", chosen[1][0]),
    ]


def _sentence(draw: Draw, language: Language) -> list[Turn]:
    turns = []
    for _ in range(3):
        who, act, place = draw.pick(language.people), draw.pick(language.acts), draw.pick(language.places)
        if draw.chance(0.5):
            native, english = language.act.format(name=who[0], act=act[0]), f"{who[1]} {act[1]}."
        else:
            native, english = language.at.format(name=who[0], place=place[0]), f"{who[1]} is {place[1]}."
        native = sentence(native)
        if draw.chance(0.5):
            turns.append((f"Translate into English: {native}", english))
        else:
            turns.append((f"Translate into {language.name}: {english}", native))
    return turns


def _several(draw: Draw, language: Language) -> list[Turn]:
    parts = [build(draw, language)[0] for build in draw.some((_what, _where, _yes_or_no, _story, _count, _hello), 2)]
    return [("\n".join(asked for asked, _ in parts), "\n".join(told for _, told in parts)), _thanks(language)]


def _everyone(draw: Draw, language: Language) -> list[Turn]:
    people, acts, places = draw.some(language.people, 3), draw.some(language.acts, 3), draw.some(language.places, 3)
    does = [sentence(language.act.format(name=who[0], act=act[0])) for who, act in zip(people, acts, strict=True)]
    stays = [sentence(language.at.format(name=who[0], place=here[0])) for who, here in zip(people, places, strict=True)]
    order = draw.some(range(3), 3)
    asked = [sentence(language.what.format(name=people[who][0])) for who in order]
    asked_at = [sentence(language.where.format(name=people[who][0])) for who in order]
    told = [f"{does[who]}{language.joiner}{stays[who]}" for who in range(3)]
    answers = [f"{does[who]}{language.joiner}{stays[who]}" for who in order]
    count = draw.number(2, 3)
    return [
        (language.joiner.join([*told, *asked[:count]]), "\n".join(answers[:count])),
        (asked_at[0], stays[order[0]]),
        (asked_at[-1], stays[order[-1]]),
        _thanks(language),
    ]


def _both_ways(draw: Draw, language: Language) -> list[Turn]:
    people, acts = draw.some(language.people, 3), draw.some(language.acts, 3)
    native = [sentence(language.act.format(name=who[0], act=act[0])) for who, act in zip(people, acts, strict=True)]
    english = [f"{who[1]} {act[1]}." for who, act in zip(people, acts, strict=True)]
    return [
        (
            f"Here is {language.name} text: {language.joiner.join(native)} What does it mean?",
            f"It means: {' '.join(english)}",
        ),
        (f"Write the first sentence in {language.name} again.", native[0]),
    ]


_BUILDERS: tuple[tuple[str, Callable[[Draw, Language], list[Turn]], float], ...] = (
    ("who does what", _what, 1.3),
    ("who is where", _where, 1.3),
    ("yes or no", _yes_or_no, 1.0),
    ("short story", _story, 2.5),
    ("two tasks", _several, 2.0),
    ("report on everyone", _everyone, 2.0),
    ("list", _list, 0.7),
    ("counting and days", _count, 0.7),
    ("greeting", _hello, 0.8),
    ("words into", _words_into, 0.9),
    ("words into English", _words_from, 0.7),
    ("sentence translation", _sentence, 0.8),
    ("text translation", _both_ways, 0.7),
)


KINDS: tuple[str, ...] = tuple(name for name, _, _ in _BUILDERS)
"""The task templates every language has; a sub-category is ``Language: kind``."""


def _task(name: str, build: Callable[[Draw, Language], list[Turn]], weight: float, language: Language) -> Task:
    return Task(f"{language.name}: {name}", lambda draw: build(draw, language), weight)


TASKS: tuple[Task, ...] = tuple(
    _task(name, build, weight, language) for language in LANGUAGES for name, build, weight in _BUILDERS
)
