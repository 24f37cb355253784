"""Replies of reasoning targets in the next turn: what a server would put there, or a refusal; never something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.history import checked_answer, content_of
from pytest_speedbench.measure.prompts import TemplateEncoder, render_turn
from pytest_speedbench.splits import Prompt
from tests.unit.measure.tokenizer_folders import PLAIN, write_tokenizer

END = "<|end|>"
ASKED = Prompt("a", "c", "", ("Say a number.", "And one more?"))
THOUGHT, ANSWER = "The user wants a number.", "It is seven."
START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"

HARMONY = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}{% if '<|channel|>' in m['content'] %}"
    "{{ raise_exception('No channels in content.') }}{% endif %}<|start|>assistant<|channel|>final<|message|>"
    "{{ m['content'] }}<|end|>{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
STRIPS = PLAIN.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1].lstrip('\n') }}")
"""As Qwen3's: the target begins its thought itself, and the template takes it out."""
BEGINS = STRIPS.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}")
"""As DeepSeek-R1's: the template begins the thought."""
BEGINS_AND_KEEPS = PLAIN.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}")
WITHOUT_THINKING = PLAIN.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n</think>{% endif %}")
"""As DeepSeek-V3.1's: a thought that has ended before it began. Its past replies come without."""
REBUILDS = PLAIN.replace("{{ m['content'] }}", "{% if m['role'] == 'assistant' %}A: {% endif %}{{ m['content'] }}")
"""Puts something between the role and a reply, so that a past reply stands in another place than it was put out in."""
TRIMS = PLAIN.replace("{{ m['content'] }}", "{{ m['content'] | trim }}")


def target(
    folder: Path, template: str, special: tuple[str, ...] = (), ordinary: tuple[str, ...] = ()
) -> TemplateEncoder:
    encoder = TemplateEncoder.load(write_tokenizer(folder, template))
    encoder.tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    encoder.tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ordinary])
    return encoder


def ids_of(encoder: TemplateEncoder, text: str) -> tuple[int, ...]:
    return tuple(encoder.tokenizer(text, add_special_tokens=False)["input_ids"])


def second_turn(encoder: TemplateEncoder, reply: str) -> str:
    """The prompt of the second turn after this reply to the first."""
    ends = ids_of(encoder, END)
    return render_turn(encoder, ASKED, [content_of(encoder, ASKED, (), ids_of(encoder, reply), ends)])


def with_answer(encoder: TemplateEncoder, answer: str) -> str:
    return render_turn(encoder, ASKED, [answer])


def harmony(folder: Path) -> TemplateEncoder:
    return target(folder, HARMONY, special=(START, CHANNEL, MESSAGE, "<|return|>", "<|call|>"))


def in_channels(*messages: tuple[str, str]) -> str:
    return f"{END}{START}assistant".join(f"{CHANNEL}{channel}{MESSAGE}{text}" for channel, text in messages)


@pytest.mark.parametrize("end", [END, "<|return|>", ""])
def test_a_reply_in_channels_goes_back_as_its_final_one(tmp_path: Path, end: str) -> None:
    encoder = harmony(tmp_path)
    reply = in_channels(("analysis", THOUGHT), ("commentary", "Hm."), ("final", ANSWER))
    assert second_turn(encoder, reply + end) == with_answer(encoder, ANSWER)
    assert second_turn(encoder, in_channels(("final", ANSWER)) + end) == with_answer(encoder, ANSWER)


def test_a_channel_that_the_prompt_has_opened_counts(tmp_path: Path) -> None:
    """A template may begin the answer itself."""
    template = HARMONY.replace(
        "<|start|>assistant{% endif %}", "<|start|>assistant<|channel|>{%s}<|message|>{%% endif %%}"
    )
    special = (START, CHANNEL, MESSAGE)
    final = target(tmp_path / "final", template.replace("{%s}", "final").replace("%%", "%"), special)
    assert second_turn(final, ANSWER + END) == with_answer(final, ANSWER)
    analysis = target(tmp_path / "analysis", template.replace("{%s}", "analysis").replace("%%", "%"), special)
    with pytest.raises(EngineError, match="in the channel 'analysis'"):
        second_turn(analysis, THOUGHT)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (in_channels(("analysis", "The user wants")), "ends in the channel 'analysis'"),
        (in_channels(("analysis", THOUGHT)) + END, "ends in the channel 'analysis'"),
        (CHANNEL + "ana", "ends before its first message"),
        (
            in_channels(("final", "So:"), ("commentary to=functions.f", "{}")) + "<|call|>",
            "in the channel 'commentary'",
        ),
    ],
)
def test_a_reply_in_channels_without_an_answer_is_refused(tmp_path: Path, reply: str, words: str) -> None:
    with pytest.raises(EngineError, match=rf"^Turn 1 of 'a': The target's reply .*{words}.*no final answer"):
        second_turn(harmony(tmp_path), reply)


@pytest.mark.parametrize(
    ("template", "opening"), [(STRIPS, "<think>"), (BEGINS, ""), (BEGINS_AND_KEEPS, ""), (REBUILDS, "<think>")]
)
@pytest.mark.parametrize("special", [False, True])
def test_of_a_complete_thought_only_the_answer_goes_back(
    tmp_path: Path, template: str, opening: str, special: bool
) -> None:
    tags = ("<think>", "</think>")
    encoder = target(tmp_path, template, tags if special else (), () if special else tags)
    reply = f"{opening}{THOUGHT}</think>{ANSWER}{END}"
    assert second_turn(encoder, reply) == with_answer(encoder, ANSWER)
    if template in (STRIPS, BEGINS):
        assert second_turn(encoder, f"{opening}\n{THOUGHT}\n</think>\n\n{ANSWER}{END}") == with_answer(encoder, ANSWER)


@pytest.mark.parametrize("template", [STRIPS, BEGINS, BEGINS_AND_KEEPS])
def test_nothing_after_a_complete_thought_is_an_empty_answer(tmp_path: Path, template: str) -> None:
    encoder = target(tmp_path, template, ordinary=("<think>", "</think>"))
    opening = "<think>" if template == STRIPS else ""
    for rest in ("", END, f"\n\n{END}"):
        assert second_turn(encoder, f"{opening}{THOUGHT}</think>{rest}") == with_answer(encoder, "")


def test_a_thought_that_the_template_keeps_in_its_place_stays(tmp_path: Path) -> None:
    encoder = target(tmp_path, PLAIN, ("[THINK]", "[/THINK]"))
    reply = f"[THINK]{THOUGHT}[/THINK]{ANSWER}"
    assert second_turn(encoder, reply + END) == with_answer(encoder, reply)
    ids = encoder.encode([{"role": "user", "content": ASKED.turns[0]}]) + ids_of(encoder, reply)
    content = content_of(encoder, ASKED, (), ids_of(encoder, reply + END), ids_of(encoder, END))
    following = encoder.encode(
        [
            {"role": "user", "content": ASKED.turns[0]},
            {"role": "assistant", "content": content},
            {"role": "user", "content": ASKED.turns[1]},
        ]
    )
    assert following[: len(ids)] == ids


def test_a_thought_in_special_tokens_is_not_glued_to_the_answer(tmp_path: Path) -> None:
    encoder = target(tmp_path, REBUILDS, ("[THINK]", "[/THINK]"))
    assert second_turn(encoder, f"[THINK]{THOUGHT}[/THINK]{ANSWER}{END}") == with_answer(encoder, ANSWER)


@pytest.mark.parametrize(
    ("template", "tags", "reply"),
    [
        (STRIPS, ("<think>", "</think>"), "<think>The user"),
        (PLAIN, ("<think>", "</think>"), "\n<think>The user"),
        (BEGINS, ("<think>", "</think>"), "The user"),
        (BEGINS, ("<think>", "</think>"), f"The user{END}"),
        (PLAIN, ("[THINK]", "[/THINK]"), "[THINK]The user"),
    ],
)
@pytest.mark.parametrize("special", [False, True])
def test_a_thought_that_was_cut_is_refused(
    tmp_path: Path, template: str, tags: tuple[str, str], reply: str, special: bool
) -> None:
    encoder = target(tmp_path, template, tags if special else (), () if special else tags)
    with pytest.raises(EngineError, match=r"^Turn 1 of 'a': The target's reply ends within its thought") as caught:
        second_turn(encoder, reply)
    assert tags[1] in caught.value.problem


@pytest.mark.parametrize("template", [PLAIN, TRIMS, REBUILDS, WITHOUT_THINKING])
@pytest.mark.parametrize("reply", [ANSWER, " Two lines.\n", "Close it with </think>, I say. ", "é 你好 👍"])
def test_a_plain_reply_is_its_text(tmp_path: Path, template: str, reply: str) -> None:
    encoder = target(tmp_path, template)
    ids = ids_of(encoder, reply + END)
    assert content_of(encoder, ASKED, (), ids, ids_of(encoder, END)) == encoder.decode(ids)


def test_a_reply_of_an_end_alone_is_empty(tmp_path: Path) -> None:
    encoder = target(tmp_path, PLAIN)
    assert second_turn(encoder, END) == with_answer(encoder, "")
    assert second_turn(encoder, END + END) == with_answer(encoder, "")


def test_an_end_that_is_no_special_token_does_not_go_back(tmp_path: Path) -> None:
    encoder = target(tmp_path, PLAIN, ordinary=("<stop>",))
    ends = ids_of(encoder, "<stop>")
    assert content_of(encoder, ASKED, (), ids_of(encoder, f"{ANSWER}<stop>"), ends) == ANSWER


def test_an_end_that_only_the_server_knows_does_not_go_back(tmp_path: Path) -> None:
    encoder = target(tmp_path, PLAIN, special=("<|eom|>",))
    assert second_turn(encoder, f"{ANSWER}<|eom|>") == with_answer(encoder, ANSWER)


def test_other_special_tokens_go_back_where_they_stood(tmp_path: Path) -> None:
    encoder = target(tmp_path / "plain", PLAIN, special=("<|x|>", "<|y|>"))
    reply = "Seven<|x|> or<|y|> eight."
    assert second_turn(encoder, reply + END) == with_answer(encoder, reply)
    moves = target(tmp_path / "moves", REBUILDS, special=("<|x|>", "<|y|>"))
    with pytest.raises(EngineError, match=r"^Turn 1 of 'a': .* special tokens \(<\|x\|>, <\|y\|>\)"):
        second_turn(moves, reply + END)
    thinks = target(tmp_path / "thinks", STRIPS, special=("<|x|>",), ordinary=("<think>", "</think>"))
    with pytest.raises(EngineError, match=r"special tokens \(<\|x\|>\)"):
        second_turn(thinks, f"<think>{THOUGHT}</think>Seven<|x|> or eight.{END}")


@pytest.mark.parametrize("token", [-1, 5000, 2**32, 2**70])
def test_an_id_that_the_tokenizer_does_not_know_is_refused_by_name(tmp_path: Path, token: int) -> None:
    encoder = target(tmp_path, PLAIN)
    with pytest.raises(EngineError, match=rf"^Turn 1 of 'a': The target's reply has the token id {token},"):
        content_of(encoder, ASKED, (), (10, token, 11), ())


def test_the_turn_that_is_refused_is_named(tmp_path: Path) -> None:
    encoder = target(tmp_path, STRIPS)
    asked = Prompt("a", "c", "", ("One.", "Two.", "Three."))
    with pytest.raises(EngineError, match=r"^Turn 2 of 'a'"):
        content_of(encoder, asked, ("Hm.",), ids_of(encoder, "<think>So"), ())


def test_an_answer_that_the_server_parted_must_be_one() -> None:
    assert checked_answer(ASKED, 1, ANSWER) == ANSWER
    with pytest.raises(EngineError, match=r"^Turn 1 of 'a': The server took all of the reply for a thought"):
        checked_answer(ASKED, 1, " \n")
