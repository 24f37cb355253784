from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.reading import read_files
from pytest_speedbench.splits.rows import Reading, content_hash
from pytest_speedbench.splits.schema import Prompt
from pytest_speedbench.splits.speed_bench import PLACEHOLDER

NO_CATEGORY = "There is no column category: every prompt is in the category 'all'."
NO_ID = "There is no column question_id: ids are hashes of the text."


def row(question_id: object = "a", **changes: Any) -> dict[str, Any]:
    return {"question_id": question_id, "category": "math", "turns": ["1 + 1?"], **changes}


def conversation(*messages: tuple[str, object]) -> dict[str, Any]:
    written = [{"role": role, "content": content, "name": "ignored"} for role, content in messages]
    return {"question_id": "a", "category": "qa", "messages": written}


def read(folder: Path, *rows: object, **options: Any) -> Reading:
    file = folder / "own.jsonl"
    file.write_text("\n".join(json.dumps(entry) for entry in rows), encoding="utf-8")
    return read_files([file], **options)


def refused(folder: Path, *rows: object, **options: Any) -> str:
    with pytest.raises(SplitError) as caught:
        read(folder, *rows, **options)
    assert "own.jsonl" in caught.value.problem or options
    return str(caught.value)


def test_speed_benchs_columns(tmp_path: Path) -> None:
    full = row("x", sub_category="s", source="set", src_id="7", difficulty="hard", multiturn=True, extra={"deep": [1]})
    reading = read(tmp_path, full)
    assert reading.prompts == (Prompt("x", "math", "s", ("1 + 1?",), "set", "7", "hard"),)
    assert reading.notes == ("Columns that are not read: extra.",)


def test_mt_benchs_and_spec_benchs_rows(tmp_path: Path) -> None:
    """Their ids are numbers; MT-Bench has references, and some copies of it call the turns prompt."""
    reading = read(tmp_path, row(81, turns=["a", "b"], reference=["x"]), row(82.0, src_id=5, difficulty=None))
    assert [prompt.question_id for prompt in reading.prompts] == ["81", "82"]
    assert reading.prompts[1].src_id == "5"
    assert reading.prompts[0].turns == ("a", "b")
    copy = {"question_id": 81, "category": "math", "prompt": ["a", "b"]}
    assert read(tmp_path, copy).prompts[0].turns == ("a", "b")


@pytest.mark.parametrize("column", ["prompt", "text"])
def test_plain_prompts(tmp_path: Path, column: str) -> None:
    reading = read(tmp_path, {column: "one"}, {column: "two"})
    assert [prompt.turns for prompt in reading.prompts] == [("one",), ("two",)]
    assert {prompt.category for prompt in reading.prompts} == {"all"}
    assert reading.notes == (NO_CATEGORY, NO_ID)


def test_made_up_ids_stay_with_their_text(tmp_path: Path) -> None:
    first = read(tmp_path, {"prompt": "one"}, {"prompt": "two"}).prompts
    second = read(tmp_path, {"prompt": "two"}, {"prompt": "three"}, {"prompt": "one"}).prompts
    assert {p.turns: p.question_id for p in first}.items() <= {p.turns: p.question_id for p in second}.items()
    assert "line 2: the same text was asked in line 1" in refused(tmp_path, {"prompt": "one"}, {"prompt": "one"})
    other = read(tmp_path, {"prompt": "one", "system": "a"}, {"prompt": "one", "system": "b"})
    assert len({prompt.question_id for prompt in other.prompts}) == 2


def test_conversations(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]
    reading = read(
        tmp_path,
        conversation(("system", "be brief"), ("user", "x"), ("assistant", "no"), ("user", parts), ("assistant", None)),
    )
    assert reading.prompts[0].turns == ("x", "a b")
    assert reading.prompts[0].system == "be brief"
    assert reading.notes == ("2 assistant messages left out: the target answers itself.",)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([("user", "x"), ("system", "y")], "messages[1] is a system message, and not the only one"),
        ([("system", "x"), ("system", "y"), ("user", "z")], "messages[1] is a system message"),
        ([("user", "x"), ("tool", "y")], "messages[1] has the role 'tool'"),
        ([("user", [{"type": "image_url", "image_url": {}}])], "messages[0] has a part of the type 'image_url'"),
        ([("user", None)], "messages[0] has no content"),
        ([("user", 3)], "got `int` - at `messages[0].content`"),
        ([("system", "x"), ("assistant", "y")], "has no turns"),
        ([("system", " "), ("user", "y")], "the system message is blank"),
    ],
)
def test_messages_that_cannot_be_asked(tmp_path: Path, messages: list[tuple[str, object]], message: str) -> None:
    assert message in refused(tmp_path, conversation(*messages))


def test_columns_that_are_not_read_are_named_once(tmp_path: Path) -> None:
    reading = read(tmp_path, row("a", reference="x"), row("b", reference="y", output_tokens=100), row("c", multiturn=1))
    assert reading.notes == (
        "Columns that are not read: reference, output_tokens. The output limit is one for all prompts.",
    )
    many = read(tmp_path, row("a", **{f"column_{number}": 1 for number in range(30)}))
    assert many.notes[0].endswith("column_18, column_19 and 10 more.")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("image_files", ["https://example.invalid/a.jpg"], "image_files has a value, and images, video and sound"),
        ("image", "a.jpg", "image has a value, and images"),
        ("videos", [{"url": "a.mp4"}], "videos has a value, and images"),
        ("audio_url", "a.wav", "audio_url has a value, and images"),
        ("tools", [{"type": "function", "function": {"name": "weather"}}], "tools has a value, and tools"),
        ("tools", '[{"type": "function"}]', "tools has a value, and tools"),
        ("functions", [{"name": "weather"}], "functions has a value, and tools"),
        ("documents", [{"title": "a", "text": "b"}], "documents has a value, and documents"),
    ],
)
def test_what_no_prompt_of_text_can_hold_is_refused_by_row(
    tmp_path: Path, column: str, value: object, words: str
) -> None:
    assert f"own.jsonl, line 2: {words}" in refused(tmp_path, row("a"), row("b", **{column: value}))
    for none in (None, "", [], {}, "[]", "null", [None], {"url": ""}):
        assert read(tmp_path, row("a", **{column: none})).notes == ()


@pytest.mark.parametrize("field", ["images", "tool_calls", "audio", "documents"])
def test_a_message_with_more_than_text_is_refused(tmp_path: Path, field: str) -> None:
    entry = conversation(("user", "x"), ("assistant", "y"), ("user", "z"))
    entry["messages"][2][field] = [{"id": "1"}]
    assert f"line 1: messages[2]: {field} has a value" in refused(tmp_path, entry)
    entry["messages"][2][field] = None
    assert read(tmp_path, entry).prompts[0].turns == ("x", "z")


@pytest.mark.parametrize("column", ["conversations", "messages"])
def test_sharegpts_rows(tmp_path: Path, column: str) -> None:
    said = [("system", "Be brief."), ("human", "x"), ("gpt", "no"), ("human", "y"), ("gpt", "no")]
    entry = {"id": "g1", "category": "qa", column: [{"from": sender, "value": text} for sender, text in said]}
    reading = read(tmp_path, entry)
    assert reading.prompts[0].turns == ("x", "y")
    assert reading.prompts[0].system == "Be brief."
    assert reading.notes == (
        "2 assistant messages left out: the target answers itself.",
        NO_ID,
        "Columns that are not read: id.",
    )
    entry[column] = [{"from": "human", "value": "x"}, {"from": "observation", "value": "y"}]
    assert f"{column}[1] has the role 'observation'" in refused(tmp_path, entry)
    entry[column] = [{"from": "human"}]
    assert f"{column}[0] has no content" in refused(tmp_path, entry)
    entry[column] = [{"value": "x"}]
    assert "missing required field `role`" in refused(tmp_path, entry)


def test_a_system_message_of_two_places(tmp_path: Path) -> None:
    assert "messages[0] is a system message" in refused(
        tmp_path, {**conversation(("system", "x"), ("user", "y")), "system": "z"}
    )
    assert read(tmp_path, row(system="z")).prompts[0].system == "z"
    assert read(tmp_path, row(system=None)).prompts[0].system == ""


def test_columns_of_other_names(tmp_path: Path) -> None:
    columns = {"turns": "ask", "category": "topic", "question_id": "no"}
    rows = [
        {"ask": "x", "topic": "qa", "no": 1, "prompt": "unused"},
        {"ask": "y", "topic": "qa", "no": 2, "prompt": ""},
    ]
    reading = read(tmp_path, *rows, columns=columns)
    assert [(p.question_id, p.category, p.turns) for p in reading.prompts] == [("1", "qa", ("x",)), ("2", "qa", ("y",))]
    message = refused(tmp_path, *rows, columns={**columns, "category": "topics"})
    assert "no column 'topics', from which category is to be read. Did you mean 'topic'?" in message
    assert "It has: ask, topic, no, prompt." in message
    assert "There is no column 'turn' to be read" in refused(tmp_path, *rows, columns={"turn": "ask"})


def test_which_column_has_the_prompt_is_not_guessed(tmp_path: Path) -> None:
    assert "could be in turns or in prompt" in refused(tmp_path, row(prompt="x"))
    assert read(tmp_path, row(prompt="x"), columns={"prompt": "prompt"}).prompts[0].turns == ("x",)
    assert "no column has the prompt. It has: question, answer." in refused(tmp_path, {"question": "x", "answer": "y"})


def test_numbered_turns(tmp_path: Path) -> None:
    reading = read(tmp_path, {"turn_1": "x", "turn_2": "y"}, {"turn_1": "z", "turn_2": None})
    assert [prompt.turns for prompt in reading.prompts] == [("x", "y"), ("z",)]
    assert "numbered 1, 3" in refused(tmp_path, {"turn_1": "x", "turn_3": "y"})
    assert "an empty turn (number 1)" in refused(tmp_path, {"turn_1": "", "turn_2": "y"})


def test_rows_of_several_kinds(tmp_path: Path) -> None:
    message = refused(tmp_path, row("a"), {"question_id": "b", "category": "math", "prompt": "x"})
    assert "line 2 has prompt with question_id and with category; " in message
    assert "line 1 has turns with question_id and with category" in message
    assert "line 2 has turns with question_id and without category" in refused(
        tmp_path, row("a"), {"question_id": "b", "turns": ["x"]}
    )


PLACEHOLDERS = [
    row("a"),
    row("b", category="rag", turns=[f"{PLACEHOLDER}: x"]),
    row("c", category="coding", turns=["x", PLACEHOLDER]),
    row("d", category="rag", turns=[PLACEHOLDER]),
    row("e", category="rag", turns=[PLACEHOLDER]),
]


def test_placeholders_are_refused_with_the_ways_out(tmp_path: Path) -> None:
    message = refused(tmp_path, *PLACEHOLDERS)
    assert "4 of 5 rows are placeholders" in message
    assert "coding 1, rag 3 (question_id b, c, d, …)" in message
    assert "speedbench prepare CONFIG" in message
    assert "--speedbench-allow-placeholders=skip" in message


def test_placeholders_are_left_out_where_wanted(tmp_path: Path) -> None:
    reading = read(tmp_path, *PLACEHOLDERS, skip_placeholders=True)
    assert [prompt.question_id for prompt in reading.prompts] == ["a"]
    assert reading.notes == ("4 placeholder rows left out: coding 1, rag 3.",)
    assert reading.sha256 == content_hash(reading.prompts)


def test_nothing_but_placeholders_is_no_split(tmp_path: Path) -> None:
    message = refused(tmp_path, *PLACEHOLDERS[1:], skip_placeholders=True)
    assert "all rows are placeholders" in message
    assert "=skip" not in message


def test_a_placeholder_in_a_conversation(tmp_path: Path) -> None:
    assert "all rows are placeholders" in refused(tmp_path, conversation(("user", PLACEHOLDER)))


def test_the_hash_of_the_content_stays_what_baselines_hold() -> None:
    prompts = [Prompt("a", "math", "s", ("1 + 1?", "é"), "source", "1", "hard"), Prompt("b", "qa", "", ("x",))]
    assert content_hash(prompts) == "4d86913239911a417534eb7dff73fb20c13d7c9629922a84920470c5425b67c5"
    assert content_hash([Prompt("a", "math", "", ("x",), system="y")]) != content_hash(
        [Prompt("a", "math", "", ("x",))]
    )
