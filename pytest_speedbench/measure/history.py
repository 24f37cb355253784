"""What of a reply goes into the conversation before the next turn: as the target's family has it, or refused by name.

A reply is fed back as content, and what a template makes of content is not always what a server that knows the family
would put there: special tokens vanish when a reply is decoded, so that a thought is glued to the answer, and a thought
that was cut at the output limit is half a thought in the place of an answer. Nothing of that goes back in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.prompts import ChatEncoder, dialogue, naming
from pytest_speedbench.splits.schema import Prompt

_THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>", "<channel|>"),
    ("◁think▷", "◁/think▷"),
)
"""How families mark the beginning and the end of a thought: Qwen3, DeepSeek and many others; Magistral; Seed; MiniMax;
Cohere; Gemma; Kimi."""

_START, _CHANNEL, _FINAL = "<|start|>", "<|channel|>", "final"
_IN_CHANNEL = re.compile(
    r"<\|channel\|>(?P<channel>\w*).*?<\|message\|>(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
"""A message of a family that answers in channels, as gpt-oss does."""

_MARKS = frozenset({_START, _CHANNEL, "<|message|>", *(mark for marks in _THOUGHTS for mark in marks)})
_REMEDY = "Raise the output limit if replies are cut, or ask prompts of one turn (--speedbench-where=turns=1)."
_COMPARED_CHARS = 80
_SHOWN_TOKENS = 4


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply without its end.

    Attributes:
        plain: its text, special tokens left out.
        whole: its text, special tokens written out.
        special: the special tokens in it, each once.
    """

    plain: str
    whole: str
    special: tuple[str, ...]


def content_of(
    encoder: ChatEncoder, prompt: Prompt, contents: Sequence[str], output_ids: Sequence[int], ends: Collection[int]
) -> str:
    """The content by which the reply to a turn stands in the turns after it.

    - A reply without a thought and without special tokens is its text.
    - A reply in channels is its final one.
    - A reply with a thought that has an end is the whole text where the template takes the thought out of it or puts it
      back as it was, and else the answer alone.
    - A reply with other special tokens is the whole text, if the template puts it back as it was.

    Args:
        encoder: of the target.
        prompt: the conversation.
        contents: of the replies to the turns before this one.
        output_ids: the reply to this turn.
        ends: ids that end a sequence.

    Raises:
        EngineError: the reply ends within a thought, has no final answer, or has tokens that the template does not put
            back or the tokenizer does not know; it names prompt and turn.
    """
    number = len(contents) + 1
    with naming(prompt, number):
        reply = _decoded(encoder, output_ids, ends)
        before = encoder.render(dialogue(prompt.turns[:number], contents, prompt.system))
        spoken = before[before.rfind(_START) :] + reply.whole if _START in before else reply.whole
        if _CHANNEL in spoken:
            return _final_of(spoken)

        def after(content: str) -> str:
            return encoder.render(dialogue(prompt.turns[: number + 1], [*contents, content], prompt.system))

        for opening, closing in _THOUGHTS:
            if before.rstrip().endswith(opening) or reply.whole.lstrip().startswith(opening):
                return _with_thought(reply, closing, before, after)
        if reply.special and not _in_place(after(reply.whole), before, reply.whole):
            raise _not_put_back(reply.special)
        return reply.whole if reply.special else reply.plain


def checked_answer(prompt: Prompt, number: int, answer: str) -> str:
    """The answer that a server parted from the thought before it.

    Raises:
        EngineError: there is none; it names prompt and turn.
    """
    if not answer.strip():
        with naming(prompt, number):
            raise EngineError(
                "The server took all of the reply for a thought, so it has no answer to go back.", _REMEDY
            )
    return answer


def _decoded(encoder: ChatEncoder, output_ids: Sequence[int], ends: Collection[int]) -> _Reply:
    ids = list(output_ids)
    while ids and ids[-1] in ends:
        ids.pop()
    plain, whole = encoder.decode(ids), encoder.decode(ids, special=True)
    if plain == whole:
        return _Reply(plain, whole, ())
    names = {token: encoder.decode([token], special=True) for token in ids}
    special = {token: name for token, name in names.items() if name and not encoder.decode([token])}
    # A server may end at more tokens than we know of.
    while ids and special.get(ids[-1], "") not in {"", *_MARKS}:
        ids.pop()
    within = dict.fromkeys(special[token] for token in ids if token in special)
    return _Reply(plain, encoder.decode(ids, special=True), tuple(within))


def _final_of(spoken: str) -> str:
    """The answer of a reply in channels: its last message, if that is a final one."""
    found = list(_IN_CHANNEL.finditer(spoken))
    if not found or found[-1]["channel"] != _FINAL:
        where = f"in the channel {found[-1]['channel']!r}" if found else "before its first message"
        raise EngineError(f"The target's reply ends {where}, so it has no final answer to go back.", _REMEDY)
    return found[-1]["text"]


def _with_thought(reply: _Reply, closing: str, before: str, after: Callable[[str], str]) -> str:
    thought, closed, answer = reply.whole.partition(closing)
    if not closed:
        raise EngineError(
            f"The target's reply ends within its thought (it has no {closing}), so it has no answer to go back.",
            _REMEDY,
        )
    following = after(reply.whole)
    if _in_place(following, before, reply.whole):
        return reply.whole
    if beyond := tuple(token for token in reply.special if token in answer):
        raise _not_put_back(beyond)
    if not answer.strip():
        return ""
    # A template that keeps the thought keeps its last words together with what closes it.
    last_words = (thought.strip()[-_COMPARED_CHARS:] + thought[len(thought.rstrip()) :] + closed).lstrip()
    kept = following.count(last_words) > after(answer).count(last_words)
    return answer if kept else reply.whole


def _in_place(following: str, before: str, whole: str) -> bool:
    """Whether what the target was asked and what it replied stand as they were in the prompt that follows."""
    return following.startswith((before + whole, before + whole.strip()))


def _not_put_back(tokens: Sequence[str]) -> EngineError:
    shown = ", ".join(tokens[:_SHOWN_TOKENS]) + (", …" if len(tokens) > _SHOWN_TOKENS else "")
    return EngineError(
        f"The target's reply has special tokens ({shown}) that its chat template does not put back as they were, and "
        "what they mean is not known here.",
        _REMEDY,
    )
