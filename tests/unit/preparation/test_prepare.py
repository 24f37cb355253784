"""Preparing a config: the result is whole, verified and recorded, or nothing is there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.preparation import Plan, Prepared, prepare
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.speed_bench import REPOSITORY
from tests.hub_stand_in import HubStandIn, Repository, add_speed_bench
from tests.unit.preparation.stand_in_script import REVISION, script

CONFIG = "qualitative"


def plan_of(tmp_path: Path, here: str = "pass") -> Plan:
    return Plan(CONFIG, tmp_path / "out", script=script(tmp_path / "script", here), python=sys.executable)


def run(plan: Plan) -> Prepared:
    return prepare(plan, lambda _: None)


def left(plan: Plan) -> list[str]:
    """All that is below the output folder."""
    return sorted(path.relative_to(plan.out).as_posix() for path in plan.out.rglob("*") if path.is_file())


def test_placeholders_are_filled_and_the_result_is_recorded(hub: HubStandIn, tmp_path: Path) -> None:
    commit = add_speed_bench(hub, CONFIG, placeholders=3)
    plan = plan_of(tmp_path)
    prepared = run(plan)
    assert prepared.fresh
    assert left(plan) == ["qualitative/prepared.json", "qualitative/test.parquet"]
    split = load_split(str(prepared.file))
    assert sum(prompt.turns[0].startswith("Filled in.") for prompt in split.prompts) == 33
    record = json.loads((plan.target / "prepared.json").read_text())
    assert record["content_sha256"] == split.sha256
    assert record["rows"] == split.counts()
    assert record["dataset_revision"] == commit
    assert record["script_revision"] == REVISION
    assert record["script_sha256"] == plan.script.sha256
    assert record["sources"] == [f"{REPOSITORY}/{CONFIG}@{commit}"]
    assert {"huggingface-hub", "pyarrow"} <= record["requirements"].keys()
    assert "Grüße" not in (plan.target / "prepared.json").read_text()


def test_the_config_is_found_from_the_folder_above(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG, placeholders=3)
    prepared = run(replace(plan_of(tmp_path), out=tmp_path / "data" / "speed"))
    assert load_split(CONFIG, root=tmp_path).sha256 == prepared.record.content_sha256


def test_the_dataset_stays_at_the_pinned_commit(hub: HubStandIn, tmp_path: Path) -> None:
    old = add_speed_bench(hub, CONFIG, placeholders=2)
    add_speed_bench(hub, CONFIG, placeholders=3)
    prepared = run(replace(plan_of(tmp_path), dataset_revision=old))
    assert prepared.record.dataset_revision == old
    filled = [prompt for prompt in load_split(str(prepared.file)).prompts if prompt.turns[0].startswith("Filled in.")]
    assert len(filled) == 22


def test_a_second_run_verifies_and_asks_nobody(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    plan = plan_of(tmp_path)
    first = run(plan)
    hub.asked.clear()
    second = run(plan)
    assert second == replace(first, fresh=False)
    assert hub.asked == []
    assert run(replace(plan, force=True)).fresh


def test_another_revision_or_a_changed_file_is_not_taken_for_the_same(hub: HubStandIn, tmp_path: Path) -> None:
    old = add_speed_bench(hub, CONFIG)
    plan = plan_of(tmp_path)
    run(plan)
    add_speed_bench(hub, CONFIG, placeholders=1)
    assert not run(replace(plan, dataset_revision=old)).fresh
    with pytest.raises(SplitError, match=f"another dataset's revision: {old}.*--force"):
        run(replace(plan, dataset_revision="main"))
    with pytest.raises(SplitError, match="another script's revision"):
        run(replace(plan, script=replace(plan.script, revision="f" * 40)))
    (other := plan.target / "test.parquet").write_bytes(other.read_bytes())
    assert not run(plan).fresh
    changed = run(replace(plan, out=tmp_path / "other", dataset_revision="main"))
    other.write_bytes(changed.file.read_bytes())
    with pytest.raises(SplitError, match="another content"):
        run(plan)


def test_a_file_of_somebody_else_is_not_replaced_unasked(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    plan = plan_of(tmp_path)
    plan.target.mkdir(parents=True)
    (plan.target / "test.parquet").write_bytes(b"theirs")
    with pytest.raises(SplitError, match=r"no prepared\.json beside it.*--force"):
        run(plan)
    assert (plan.target / "test.parquet").read_bytes() == b"theirs"
    assert run(replace(plan, force=True)).fresh
    (plan.target / "prepared.json").write_text("{")
    with pytest.raises(SplitError, match=r"prepared\.json cannot be read"):
        run(plan)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ("rows[5]['turns'][0] = MARK", "qualitative.*placeholder"),
        ("rows[5]['turns'][0] = 'Now: ' + MARK", "still holds the placeholder"),
        ("del rows[0]", "coding 79 of 80"),
        ("rows[1]['question_id'] = rows[0]['question_id']", "question_id"),
        ("rows[0]['category'] = 'cooking'", "coding 79 of 80, cooking 1 of 0"),
        ("rows = rows[:0]", "empty|no prompt|no column"),
        ("folder = folder.parent / 'elsewhere'", "wrote no speed/qualitative/test.parquet"),
        ("raise ValueError('no such article')", "failed while filling the rows of qualitative: ValueError: no such ar"),
        ("raise SystemExit(3)", "failed while filling the rows of qualitative: SystemExit: 3"),
        ("import os; os._exit(9)", "ended with exit code 9 and without a word"),
        ("load_dataset('cais/hle', None, split='test')", r"failed while loading cais/hle: .*Accept that dataset's"),
        ("raise ModuleNotFoundError('No module named x')", "Install what the script needs for"),
    ],
)
def test_what_is_not_whole_is_refused_and_leaves_nothing(
    hub: HubStandIn, tmp_path: Path, here: str, message: str
) -> None:
    add_speed_bench(hub, CONFIG)
    hub.repositories["cais/hle"] = Repository(refusal=(403, "GatedRepo"))
    plan = plan_of(tmp_path, here)
    with pytest.raises(SplitError, match=message):
        run(plan)
    assert left(plan) == []


def test_a_failure_keeps_the_earlier_file(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    plan = plan_of(tmp_path)
    first = run(plan)
    before = first.file.read_bytes()
    with pytest.raises(SplitError, match="no such article"):
        run(replace(plan_of(tmp_path, "raise ValueError('no such article')"), force=True))
    assert first.file.read_bytes() == before
    assert run(plan_of(tmp_path)).record == first.record


def test_the_traceback_is_in_a_file_that_is_named(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    with pytest.raises(SplitError) as raised:
        run(plan_of(tmp_path, "raise ValueError('no such article')"))
    log = tmp_path / "cache" / "pytest-speedbench" / "preparation" / "failure-qualitative.txt"
    assert str(log) in raised.value.remedy
    assert "line" in log.read_text()


def test_a_script_that_loads_something_else_proves_nothing(hub: HubStandIn, tmp_path: Path) -> None:
    commit = add_speed_bench(hub, CONFIG)
    hub.repositories["me/copy"] = hub.repositories[REPOSITORY]
    source = tmp_path / "script"
    plan = plan_of(tmp_path)
    speed = source / "specdec_bench" / "datasets" / "speed.py"
    speed.write_text(speed.read_text().replace("nvidia/SPEED-Bench", "me/copy"))
    loose = replace(plan.script, sha256=None)
    with pytest.raises(SplitError) as raised:
        run(replace(plan, script=loose))
    sha256 = raised.value.remedy.rpartition("=")[2].rstrip(".")
    with pytest.raises(SplitError, match="did not load nvidia/SPEED-Bench at the pinned revision"):
        run(replace(plan, script=replace(loose, sha256=sha256)))
    assert commit in hub.repositories["me/copy"].commits


def test_a_teams_copies_must_agree(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    plan = plan_of(tmp_path)
    with pytest.raises(SplitError, match=f"expected {'0' * 64}"):
        run(replace(plan, expect_sha256="0" * 64))
    assert left(plan) == []
    sha256 = run(plan).record.content_sha256
    assert not run(replace(plan, expect_sha256=sha256.upper())).fresh
    with pytest.raises(SplitError, match=f"the sha256 {sha256}, expected {'0' * 64}"):
        run(replace(plan, expect_sha256="0" * 64))


def test_rows_are_kept_out_of_a_git_work_tree(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    (tmp_path / ".git").mkdir()
    plan = plan_of(tmp_path)
    run(plan)
    assert (plan.target / ".gitignore").read_text() == "*\n"


def test_an_interpreter_that_is_none_is_named(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    with pytest.raises(SplitError, match=r"/no/python is no interpreter\. Give the path of a python"):
        run(replace(plan_of(tmp_path), python="/no/python"))


def test_an_unknown_config_and_an_unknown_revision_are_named(hub: HubStandIn, tmp_path: Path) -> None:
    add_speed_bench(hub, CONFIG)
    with pytest.raises(SplitError, match="no config 'qualitativ'"):
        run(replace(plan_of(tmp_path), config="qualitativ"))
    with pytest.raises(SplitError, match="no revision 'v9'"):
        run(replace(plan_of(tmp_path), dataset_revision="v9"))
