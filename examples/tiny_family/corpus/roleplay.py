"""Roleplay: the user gives a character, a mood and a place, the answer stays in that character."""

from __future__ import annotations

from .draw import Draw, Task, Turn, article
from .palette import Palette
from .roleplay_phrases import (
    ACTS,
    ANSWERS,
    FAREWELLS,
    GREETINGS,
    OFFERS,
    PROPHECIES,
    QUESTIONS,
    SECRETS,
    USER_LINES,
)


def _reply(palette: Palette, *kinds: tuple[str, tuple[str, ...]]) -> str:
    draw = palette.draw
    spoken = [palette.phrase(kind, templates) for kind, templates in kinds]
    if draw.chance(0.6):
        spoken.insert(draw.number(0, 1), f"*{palette.fill(draw.pick(ACTS))}*")
    return " ".join(spoken)


def _cast(draw: Draw) -> tuple[Palette, str]:
    palette = Palette(draw)
    frame = draw.pick(
        (
            "You are {name}, {kind} {role} {at}.",
            "Play {name}, {kind} {role} who works {at}.",
            "Pretend to be {kind} {role} called {name} {at}.",
            "Stay in character: {name}, {kind} {role} {at}.",
        )
    )
    return palette, palette.fill(frame.replace("{kind}", article(palette.mood)))


def _dialogue(palette: Palette, frame: str, first: str, *kinds: tuple[str, tuple[str, ...]]) -> list[Turn]:
    more = [("answer", ANSWERS)] * palette.draw.number(0, 2)
    turns = [(f"{frame} {first}", _reply(palette, kinds[0], *more, *kinds[1:]))]
    for line, kind in palette.draw.some(USER_LINES, 4):
        templates = {"answer": ANSWERS, "secret": SECRETS, "offer": OFFERS, "farewell": FAREWELLS}[kind]
        turns.append((line, _reply(palette, (kind, templates), ("answer", ANSWERS), ("question", QUESTIONS))))
    return turns


def _greet(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = draw.pick(("Greet a visitor.", "A stranger comes in. Say hello.", "Welcome me."))
    return _dialogue(palette, frame, first, ("greeting", GREETINGS), ("answer", ANSWERS), ("question", QUESTIONS))


def _day(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = draw.pick(("How was your day?", "Tell me about your day.", "What happened to you today?"))
    return _dialogue(
        palette, frame, first, ("answer", ANSWERS), ("secret", SECRETS), ("answer", ANSWERS), ("question", QUESTIONS)
    )


def _secret(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = draw.pick(("Tell me a secret.", "I know you hide something. What is it?", "Whisper your secret to me."))
    return _dialogue(palette, frame, first, ("secret", SECRETS), ("secret", SECRETS), ("farewell", FAREWELLS))


def _trade(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = f"I want to buy your {palette.noun()}. What do you say?"
    return _dialogue(palette, frame, first, ("offer", OFFERS), ("answer", ANSWERS), ("offer", OFFERS))


def _farewell(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = draw.pick(
        ("I have to leave now.", "It is late. Say goodbye to me.", "My ship leaves soon. Any last words?")
    )
    return _dialogue(palette, frame, first, ("answer", ANSWERS), ("secret", SECRETS), ("farewell", FAREWELLS))


def _help(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = f"I have lost my {palette.noun()}. Can you help me?"
    return _dialogue(palette, frame, first, ("answer", ANSWERS), ("question", QUESTIONS), ("offer", OFFERS))


def _quarrel(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = f"You broke my {palette.noun()}! Explain yourself."
    return _dialogue(palette, frame, first, ("answer", ANSWERS), ("answer", ANSWERS), ("offer", OFFERS))


def _prophecy(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = draw.pick(("Tell my fortune.", "Look into the crystal ball for me.", "What will the next year bring?"))
    prophecies = [("prophecy", PROPHECIES)] * draw.number(2, 3)
    return _dialogue(palette, frame, first, *prophecies, ("farewell", FAREWELLS))


def _interview(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    asked = draw.some([line for line, kind in USER_LINES if kind == "answer"], 2)
    first = f"I am a reporter. {asked[0]} {asked[1]}"
    return _dialogue(palette, frame, first, ("answer", ANSWERS), ("answer", ANSWERS), ("secret", SECRETS))


def _oath(draw: Draw) -> list[Turn]:
    palette, frame = _cast(draw)
    first = f"Swear an oath on the {palette.noun()} before your friends."
    return _dialogue(palette, frame, first, ("greeting", GREETINGS), ("prophecy", PROPHECIES), ("offer", OFFERS))


def _two_voices(draw: Draw) -> list[Turn]:
    first, second = Palette(draw), Palette(draw)
    second.place = first.place
    prompt = (
        f"Play two characters {first.at}: {article(first.mood)} {first.role} and {article(second.mood)} {second.role}. "
        "Let them talk."
    )
    first.name, second.name = f"The {first.role}", f"The {second.role}" if second.role != first.role else "The stranger"
    lines = []
    for palette, kind, templates in (
        (first, "greeting", GREETINGS),
        (second, "answer", ANSWERS),
        (first, "secret", SECRETS),
        (second, "farewell", FAREWELLS),
    ):
        lines.append(f"{palette.name}: {palette.phrase(kind, templates)}")
    return [
        (prompt, "\n".join(lines)),
        ("What does the first one reply?", f"{first.name}: {first.phrase('offer', OFFERS)}"),
    ]


TASKS: tuple[Task, ...] = (
    Task("greeting", _greet, 1.5),
    Task("day report", _day, 1.2),
    Task("secret", _secret),
    Task("trade", _trade),
    Task("farewell", _farewell),
    Task("asking for help", _help),
    Task("quarrel", _quarrel),
    Task("prophecy", _prophecy),
    Task("interview", _interview),
    Task("oath", _oath, 0.6),
    Task("two characters", _two_voices),
)
