"""Explaining a topic from the shelf: the task templates that science and the humanities share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .draw import Draw, Turn, listing, sentence
from .words import FIRST_NAMES

if TYPE_CHECKING:
    from .topics import Topic

AUDIENCES = (
    "a child", "a beginner", "my grandmother", "a tourist", "a busy manager", "a new student", "a curious neighbour",
    "a farmer", "a football fan", "a cook", "a ten-year-old", "a painter", "a nurse", "a taxi driver", "a judge",
    "a shop owner", "a class of pupils", "a visitor", "a musician", "a friend",
)  # fmt: skip

_LINKS = ("In short,", "Put simply,", "To begin with,", "Basically,", "In plain words,", "First of all,")
_WHYS = ("It matters because", "This is important because", "People study it because", "We care about it because")
_CASES = ("A good example is", "Think of", "One case is", "A well known case is", "Picture")

Builder = Callable[[Draw], list[Turn]]


def has(topic: Topic) -> str:
    """``X is ...`` with the definition, as a sentence without full stop."""
    return f"{topic.name} is {topic.what}"


def builders(topics: Sequence[Topic]) -> dict[str, Builder]:
    """The shared task templates over ``topics``, by sub-category."""

    def follow(draw: Draw, topic: Topic) -> list[Turn]:
        other = draw.pick([one for one in topics if one.field == topic.field and one is not topic])
        turns = [
            ("Give me an example.", f"{draw.pick(_CASES)} {topic.example}."),
            ("Why does it matter?", f"{draw.pick(_WHYS)} {topic.matters}."),
            ("Which words belong to it?", f"Words that belong to {topic.name} are {listing(topic.words)}."),
            (f"And what is {other.name}?", f"{sentence(has(other))}. {draw.pick(_CASES)} {other.example}."),
        ]
        return [*draw.some(turns[:3], 3), turns[3]]

    def explain(draw: Draw) -> list[Turn]:
        topic, audience = draw.pick(topics), draw.pick(AUDIENCES)
        prompt = draw.pick(
            (
                "Explain {x} to {y}.",
                "How would you explain {x} to {y}?",
                "Describe {x} so that {y} understands it.",
                "What is {x}? Answer for {y}.",
            )
        ).format(x=topic.name, y=audience)
        told = f"{draw.pick(_LINKS)} {has(topic)}. {draw.pick(_CASES)} {topic.example}."
        answer = f"{told} {draw.pick(_WHYS)} {topic.matters}."
        return [(prompt, answer), *follow(draw, topic)]

    def compare(draw: Draw) -> list[Turn]:
        first, second = draw.some(topics, 2)
        prompt = draw.pick(
            ("Compare {x} and {y}.", "What is the difference between {x} and {y}?", "How do {x} and {y} differ?")
        )
        same = (
            f"Both belong to {first.field}."
            if first.field == second.field
            else (f"The first belongs to {first.field}, the second to {second.field}.")
        )
        answer = f"{sentence(has(first))}, while {has(second)}. {same}"
        return [(prompt.format(x=first.name, y=second.name), answer), *follow(draw, first)]

    def three_words(draw: Draw) -> list[Turn]:
        topic, name = draw.pick(topics), draw.pick(FIRST_NAMES)
        lines = "\n".join(f"- {word}" for word in topic.words)
        prompt = f"{name} studies {topic.field}. Which three words should {name} know for {topic.name}?"
        return [(prompt, f"{name} should know these words:\n{lines}"), *follow(draw, topic)]

    def true_or_false(draw: Draw) -> list[Turn]:
        topic, other = draw.some(topics, 2)
        claimed = topic if draw.chance(0.5) else other
        prompt = draw.pick(("True or false: {x}.", "Is this right? {x}.", "Check this claim: {x}.")).format(
            x=f"{topic.name} is {claimed.what}"
        )
        verdict = "True." if claimed is topic else f"False. That describes {other.name}."
        return [(prompt, f"{verdict} {sentence(has(topic))}."), *follow(draw, topic)]

    def which_field(draw: Draw) -> list[Turn]:
        first, second, third = chosen = draw.some(topics, 3)
        lines = "\n".join(f"{number}. {sentence(one.name)}: {one.field}" for number, one in enumerate(chosen, 1))
        prompt = f"To which field does each belong: {first.name}, {second.name}, {third.name}?"
        return [(prompt, lines), *follow(draw, second)]

    def name_it(draw: Draw) -> list[Turn]:
        topic = draw.pick(topics)
        clues = draw.some((topic.what, f"known from {topic.example}", f"tied to the words {listing(topic.words)}"), 2)
        prompt = draw.pick(("Which term fits: {x}?", "Name it: {x}.", "I look for a word in {f}: {x}. What is it?"))
        answer = f"The term is {topic.name}: {topic.what}. {draw.pick(_WHYS)} {topic.matters}."
        return [(prompt.format(x="; ".join(clues), f=topic.field), answer), *follow(draw, topic)]

    def plan(draw: Draw) -> list[Turn]:
        topic, minutes = draw.pick(topics), draw.number(2, 12) * 5
        name = draw.pick(FIRST_NAMES)
        prompt = f"{name} gives a talk of {minutes} minutes on {topic.name}. Sketch a plan."
        answer = (
            f"1. Begin with the idea: {has(topic)}.\n2. Show an example: {topic.example}.\n"
            f"3. Say why it matters: {topic.matters}.\n4. Close with the key words: {listing(topic.words)}."
        )
        return [(prompt, answer), *follow(draw, topic)]

    return {
        "explain to someone": explain,
        "compare": compare,
        "key words": three_words,
        "true or false": true_or_false,
        "sort by field": which_field,
        "find the term": name_it,
        "plan a talk": plan,
    }
