"""Free writing: stories, poems, letters and descriptions with a beginning, a middle and an end."""

from __future__ import annotations

from .draw import Draw, Task, Turn, article
from .palette import Palette
from .writing_phrases import (
    ADVICE,
    BODIES,
    CLOSINGS,
    DIARY,
    ENDINGS,
    GREETINGS,
    MIDDLES,
    NEWS,
    OPENINGS,
    POEM_LINES,
    RIDDLES,
    SLOGANS,
    TURNS,
    VIEWS,
)  # fmt: skip


def _story(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    opener = draw.pick(("Write", "Tell me", "Please write", "I would like"))
    prompt = (
        f"{opener} {article(palette.mood)} story about {article(palette.role)} named {palette.name}, "
        f"set {palette.at} {palette.time}."
    )
    parts = [palette.phrase("opening", OPENINGS)]
    parts += [palette.phrase("middle", MIDDLES) for _ in range(draw.number(2, 4))]
    parts += [palette.phrase("turn", TURNS), palette.phrase("ending", ENDINGS)]
    new_mood = draw.pick(("gloomy", "cheerful", "funny", "calm", "angry"))
    other = Palette(draw, mood=new_mood, place=palette.place, name=palette.name)
    return [
        (prompt, " ".join(parts)),
        (
            "What happens the next day?",
            f"The next day was {other.mood}. {other.phrase('middle', MIDDLES)} {other.phrase('turn', TURNS)}",
        ),
        (f"Now a {new_mood} ending, please.", f"{other.phrase('turn2', TURNS)} {other.phrase('ending', ENDINGS)}"),
    ]


def story_so_far(palette: Palette, count: int) -> list[str]:
    """An opening and ``count`` middle sentences of a story."""
    return [palette.phrase("opening", OPENINGS), *(palette.phrase("middle", MIDDLES) for _ in range(count))]


def _continue(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    given = story_so_far(palette, draw.choices((1, 3, 6, 18, 45), (30, 30, 20, 14, 6))[0])
    parts = [palette.phrase("turn", TURNS), palette.phrase("middle", MIDDLES), palette.phrase("ending", ENDINGS)]
    prompt = draw.pick(
        ("Continue this {mood} story and end it", "How does this {mood} story go on", "Finish this {mood} tale")
    )
    return [(f"{prompt.format(mood=palette.mood)}:\n\n{' '.join(given)}", " ".join(parts))]


def _verse(lines: list[str]) -> str:
    return "\n".join([*lines[:-1], lines[-1].rstrip(",.") + ("" if lines[-1].endswith("?") else ".")])


def _poem(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    lines = [palette.phrase("line", POEM_LINES) for _ in range(draw.pick((4, 4, 6)))]
    more = [palette.phrase("line", POEM_LINES) for _ in range(2)]
    prompt = draw.pick(
        ("Write {kind} poem about the {place} and {feeling}.", "Compose {lines} {mood} lines on {feeling} {at}.")
    )
    first = prompt.format(
        kind=article(palette.mood),
        mood=palette.mood,
        place=palette.place,
        at=palette.at,
        feeling=palette.feeling(),
        lines=len(lines),
    )
    return [(first, _verse(lines)), ("Add two more lines.", _verse(more))]


def _letter(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    friend = Palette(draw).name
    body = [palette.phrase("letter", BODIES) for _ in range(draw.number(2, 4))]
    text = f"{draw.pick(GREETINGS)} {friend},\n\n{' '.join(body)}\n\n{draw.pick(CLOSINGS)},\n{palette.name}"
    return [
        (
            f"Write {article(palette.mood)} letter from {palette.name} to {friend} "
            f"about a visit to the {palette.place}.",
            text,
        )
    ]


def _description(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    views = [palette.phrase("view", VIEWS) for _ in range(draw.number(3, 5))]
    return [
        (f"Describe the {palette.place} {palette.time} in {article(palette.mood)} tone.", " ".join(views)),
        (f"One more sentence about the {palette.noun()}.", palette.phrase("view", VIEWS)),
    ]


def _diary(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    parts = [palette.phrase("diary", DIARY) for _ in range(draw.number(3, 5))]
    prompt = f"Write the {palette.mood} diary entry of {article(palette.role)} who spent the day {palette.at}."
    return [(prompt, f"Dear diary! {' '.join(parts)} Good night.")]


def _advice(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    lines = [f"{number}. {palette.phrase('advice', ADVICE)}" for number in range(1, draw.number(4, 6))]
    return [
        (f"Give {article(palette.role)} {article(palette.mood)} list of tips for a day {palette.at}.", "\n".join(lines))
    ]


def _slogan(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    lines = [f"- {palette.phrase('slogan', SLOGANS)}" for _ in range(draw.number(3, 4))]
    prompt = f"Invent {len(lines)} {palette.mood} slogans for a shop {palette.at} run by {palette.name}."
    return [(prompt, "\n".join(lines)), ("Just one more.", f"- {palette.phrase('slogan', SLOGANS)}")]


def _scene(draw: Draw) -> list[Turn]:
    first, second = Palette(draw), Palette(draw)
    if first.name == second.name:
        second.name = "Quentin"
    second.place = first.place
    prompt = f"Write a short scene {first.at}: {first.name} is {first.mood}, {second.name} is {second.mood}."
    lines = [
        f'{palette.name}: "{palette.phrase("letter", BODIES)}" ({palette.adverb()})'
        for palette in (first, second, first, second)
    ]
    return [(prompt, "\n".join(lines)), ("How does the scene end?", first.phrase("ending", ENDINGS))]


def _news(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    parts = [palette.phrase("news", NEWS) for _ in range(draw.number(3, 4))]
    prompt = f"Write {article(palette.mood)} news report from the {palette.place} "
    prompt += f"about {article(palette.noun())} and {article(palette.being())}."
    return [
        (prompt, " ".join(parts)),
        ("Add a headline.", f"{palette.adjective().capitalize()} {palette.being()} and the {palette.thing()}"),
    ]


def _riddle(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    answer = palette.noun()
    lines = [palette.phrase("riddle", RIDDLES) for _ in range(draw.number(2, 4))]
    return [
        (
            f"Make up {article(palette.mood)} riddle from the {palette.place}. The answer is: {answer}.",
            "\n".join([*lines, "What am I?"]),
        ),
        ("What is the answer?", f"The answer is: {answer}."),
    ]


def _names(draw: Draw) -> list[Turn]:
    palette = Palette(draw)
    kind = draw.pick(("novel", "song", "ship", "tavern", "film", "painting"))
    titles = [
        f"- The {palette.adjective().capitalize()} {draw.pick((palette.noun, palette.being))().title()}"
        for _ in range(4)
    ]
    titles[draw.number(1, 3)] = f"- {palette.feeling().capitalize()} and {palette.feeling().capitalize()}"
    prompt = f"Suggest four {palette.mood} names for {article(kind)} "
    prompt += f"that has to do with the {palette.place} and {article(palette.role)}."
    return [(prompt, "\n".join(titles))]


TASKS: tuple[Task, ...] = (
    Task("story", _story, 3.0),
    Task("continue a story", _continue, 1.6),
    Task("poem", _poem, 1.5),
    Task("letter", _letter, 1.2),
    Task("description", _description, 1.5),
    Task("diary", _diary, 1.0),
    Task("tips", _advice, 1.0),
    Task("slogans", _slogan, 0.8),
    Task("news report", _news, 1.0),
    Task("riddle", _riddle, 0.8),
    Task("names", _names, 0.6),
    Task("scene", _scene, 1.0),
)
