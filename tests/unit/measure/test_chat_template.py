"""Chat templates of every manner: what is asked arrives in the prompt, or is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure import tokenized
from pytest_speedbench.measure.prompts import TemplateEncoder, dialogue, render_turn
from pytest_speedbench.measure.tokenized import tokenize
from pytest_speedbench.splits import Prompt
from tests.unit.measure.tokenizer_folders import PLAIN, write_tokenizer

TEXTS_OF_PARTS = (
    "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}",
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}",
    "{{ m['content'][0]['text'] }}",
    "{% for part in m.content if part.type == 'text' %}{{ part.text | trim }}{% endfor %}",
    "{{ m['content'] | map(attribute='text') | join('') }}",
)
STRING_OR_PARTS = (
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}parts:{{ m['content'][0]['text'] }}{% endif %}"
)
IN_PARTS = (("system", "Be brief."), ("user", "Hello"))


def template_of(content: str) -> str:
    return PLAIN.replace("{{ m['content'] }}", content)


def encoder_of(folder: Path, template: str) -> TemplateEncoder:
    return TemplateEncoder.load(write_tokenizer(folder, template))


def prompts_of(*texts: str) -> list[Prompt]:
    return [Prompt(f"q{n}", "qa", "", (text,)) for n, text in enumerate(texts)]


@pytest.mark.parametrize("content", TEXTS_OF_PARTS)
def test_a_template_that_reads_parts_is_given_parts(tmp_path: Path, content: str) -> None:
    encoder = encoder_of(tmp_path, template_of(content))
    plain = encoder_of(tmp_path / "plain", PLAIN)
    asked = Prompt("q", "qa", "", ("Hello", "And?"), system="Be brief.")
    assert render_turn(encoder, asked, ()) == render_turn(plain, asked, ())
    assert render_turn(encoder, asked, ("Hi.",)) == render_turn(plain, asked, ("Hi.",))
    asked_once = prompts_of("What is 1 + 1?", "Why?")
    assert tokenize(encoder, asked_once).sha256 == tokenize(plain, asked_once).sha256


def test_a_text_is_given_where_a_text_arrives(tmp_path: Path) -> None:
    encoder = encoder_of(tmp_path, template_of(STRING_OR_PARTS))
    assert encoder.render(dialogue(("Hello",), ())) == encoder_of(tmp_path / "plain", PLAIN).render(
        dialogue(("Hello",), ())
    )


def test_each_role_gets_its_own_form(tmp_path: Path) -> None:
    """A text for the assistant, parts for the others."""
    content = (
        "{% if m['role'] == 'assistant' %}{{ '' + m['content'] }}{% else %}{{ m['content'][0]['text'] }}{% endif %}"
    )
    encoder = encoder_of(tmp_path, template_of(content))
    messages = dialogue(("Hello", "And?"), ("Hi",), "Be brief.")
    assert encoder.render(messages) == encoder_of(tmp_path / "plain", PLAIN).render(messages)


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize(
    ("template", "words"),
    [
        (PLAIN.replace("{{ m['content'] }}", ""), "leaves out the text of 'q0'"),
        (
            PLAIN.replace("{{ m['content'] }}", "{% if 'no' not in m['content'] %}{{ m['content'] }}{% endif %}"),
            "leaves out the text of 'q1'",
        ),
        (PLAIN.replace("m['content'] }}", "m['content'][:5] }}"), "renders 'q0' and 'q2' alike"),
        (PLAIN.replace("m['content'] }}", "m['content'] | length }}"), "renders 'q0' and 'q2' alike"),
    ],
)
def test_a_text_that_does_not_arrive_is_refused_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, words: str, bulk: bool
) -> None:
    if bulk:
        monkeypatch.setattr(tokenized, "BULK_CHARS", -1)
    encoder = encoder_of(tmp_path, template)
    with pytest.raises(EngineError, match=words):
        tokenize(encoder, prompts_of("What is one?", "I say no.", "What is two?"))


@pytest.mark.parametrize("change", ["trim", "escape", "tojson", "upper", "replace('  ', ' ')"])
def test_a_template_may_change_a_text(tmp_path: Path, change: str) -> None:
    encoder = encoder_of(tmp_path, template_of(f"{{{{ m['content'] | {change} }}}}"))
    assert len(tokenize(encoder, prompts_of(" <b>1  + 1</b>\n", " <b>1 + 1</b>", "x", "X", "你好"))) == 5


def test_a_reply_or_a_later_turn_that_does_not_arrive_is_refused(tmp_path: Path) -> None:
    asked = Prompt("q", "qa", "", ("Hello", "And?"))
    silent = encoder_of(
        tmp_path / "silent", "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}"
    )
    with pytest.raises(EngineError, match=r"leaves out the target's own reply of 'q' \(turn 2\)"):
        render_turn(silent, asked, ("Hi.",))
    first_only = encoder_of(tmp_path / "first", "{{ messages[0]['content'] }}")
    with pytest.raises(EngineError, match=r"leaves out .* of 'q' \(turn 2\)"):
        render_turn(first_only, asked, ("Hi.",))
    assert render_turn(silent, asked, ("",)) == "HelloAnd?"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("{{ 1 / 0 }}", "fails at messages of user: ZeroDivisionError: division by zero"),
        ("{{ messages['x'] + 1 }}", "refuses messages of user"),
        ("{{ 'a' + 1 }}", "fails at messages of user: TypeError"),
        ("{{ '%(x)s' % {} }}", "fails at messages of user: KeyError: 'x'"),
        ("{{ 'x'.encode('latin-99') }}", "fails at messages of user: LookupError"),
        ("{{ range(10**9) }}", "fails at messages of user: OverflowError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "fails at messages of user: RecursionError"),
        ("{% if %}", "refuses messages of user"),
    ],
)
def test_a_template_that_fails_is_told_in_words(tmp_path: Path, code: str, words: str) -> None:
    encoder = encoder_of(tmp_path, code + PLAIN)
    with pytest.raises(EngineError, match=rf"^Turn 1 of 'q0': The target's chat template {words}"):
        tokenize(encoder, prompts_of("Hello"))


@pytest.mark.parametrize("as_files", [False, True])
def test_named_templates_need_a_default(tmp_path: Path, as_files: bool) -> None:
    folder = write_tokenizer(tmp_path)
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())

    def write(names: tuple[str, ...]) -> None:
        if as_files:
            (folder / "additional_chat_templates").mkdir(exist_ok=True)
            for name in names:
                file = "chat_template" if name == "default" else f"additional_chat_templates/{name}"
                (folder / f"{file}.jinja").write_text(PLAIN)
        else:
            config["chat_template"] = [{"name": name, "template": PLAIN} for name in names]
            (folder / "tokenizer_config.json").write_text(json.dumps(config))

    write(("tool_use", "rag"))
    with pytest.raises(EngineError, match=r"several chat templates \(rag, tool_use\), and none .* default"):
        TemplateEncoder.load(folder)
    write(("tool_use", "default"))
    assert len(tokenize(TemplateEncoder.load(folder), prompts_of("Hello"))) == 1


@pytest.mark.parametrize("template", [5, {"a": 1}, [PLAIN]])
def test_a_template_that_is_no_text_is_refused_in_words(tmp_path: Path, template: object) -> None:
    folder = write_tokenizer(tmp_path)
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    with pytest.raises(EngineError):
        TemplateEncoder.load(folder)


def test_half_a_character_is_refused_by_the_prompt_s_id(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^Turn 1 of 'q0': The text has half a character"):
        tokenize(encoder_of(tmp_path, PLAIN), prompts_of("a \ud83d b"))
