"""Datasets from a hub that stands in for the real one: which files, which commit, the cache, and every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits import load_split
from pytest_speedbench.splits.hub import fetch, resolve_revision
from pytest_speedbench.splits.speed_bench import REPOSITORY
from tests.hub_stand_in import HubStandIn, Repository, add_speed_bench, card, point_to, serving, speed_bench

ROW = b'{"question_id": "1", "category": "a", "turns": ["Tell me."]}\n'


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with serving(HubStandIn()) as standin:
        point_to(standin.url, tmp_path / "home", monkeypatch)
        yield standin


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_config_comes_with_its_commit_and_nothing_else_is_downloaded(hub: HubStandIn) -> None:
    commit = add_speed_bench(hub, "qualitative", "throughput_1k")
    fetched = fetch(REPOSITORY, "qualitative")
    assert (fetched.revision, fetched.config) == (commit, "qualitative")
    assert [file.name for file in fetched.files] == ["test-00000-of-00001.parquet"]
    assert hub.downloads() == ["README.md", "qualitative/test-00000-of-00001.parquet"]
    assert len(load_split(str(fetched.files[0]))) == 880


def test_the_loader_reads_it_by_address(hub: HubStandIn) -> None:
    commit = add_speed_bench(hub, "qualitative")
    split = load_split(f"hub:{REPOSITORY}/qualitative")
    assert len(split) == 880
    assert commit in split.origin


def test_a_pinned_commit_stays_while_the_branch_moves(hub: HubStandIn) -> None:
    old = add_speed_bench(hub, "throughput_1k")
    new = add_speed_bench(hub, "throughput_1k", placeholders=1)
    assert old != new
    assert fetch(REPOSITORY, "throughput_1k").revision == new
    assert fetch(REPOSITORY, "throughput_1k", old).revision == old
    assert resolve_revision(REPOSITORY) == new


@pytest.mark.parametrize("way", ["HF_HUB_OFFLINE", "no network", "the hub is ill"])
@pytest.mark.parametrize("pinned", [False, True])
def test_the_cache_serves_when_the_hub_does_not(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, way: str, pinned: bool
) -> None:
    commit = add_speed_bench(hub, "qualitative")
    online = fetch(REPOSITORY, "qualitative")
    if way == "HF_HUB_OFFLINE":
        go_offline(monkeypatch)
    elif way == "no network":
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    else:
        hub.failure = 503
    began = time.monotonic()
    assert fetch(REPOSITORY, "qualitative", commit if pinned else None) == online
    assert time.monotonic() - began < 5


def test_nothing_in_the_cache_is_said_at_once(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(SplitError, match=r"HF_HUB_OFFLINE is set.*its cache has nothing of it\. Fetch it once"):
        fetch(REPOSITORY, "qualitative")
    assert hub.asked == []


def test_connection_refused_is_said_at_once(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(SplitError, match=r"Connection refused.*its cache has nothing of [0-9a-f]{40}"):
        fetch(REPOSITORY, "qualitative", "0" * 40)
    assert time.monotonic() - began < 5
    assert hub.asked == []


def test_another_config_than_the_cached_one_is_missing_offline(
    hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_speed_bench(hub, "qualitative", "throughput_1k")
    fetch(REPOSITORY, "qualitative")
    go_offline(monkeypatch)
    with pytest.raises(SplitError, match=r"only a part of the dataset.*throughput_1k/test-00000-of-00001\.parquet"):
        fetch(REPOSITORY, "throughput_1k")


def test_a_cache_without_a_listing_is_used_but_never_half(hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other tools leave it behind."""
    shards = {f"data/test-0000{n}-of-00002.jsonl": ROW for n in (0, 1)}
    commit = hub.add("me/sharded", shards)
    online = fetch("me/sharded")
    (cache,) = (Path(os.environ["HF_HOME"]) / "hub").glob("datasets--*")
    (cache / "trees" / f"{commit}.json").unlink()
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})
    go_offline(monkeypatch)
    assert fetch("me/sharded") == online
    online.files[1].unlink()
    with pytest.raises(SplitError, match="has 1 of the 2 files data/test-"):
        fetch("me/sharded")


@pytest.mark.parametrize("offline", [True, False])
def test_another_process_finds_the_cache_and_is_silent(hub: HubStandIn, offline: bool) -> None:
    commit = add_speed_bench(hub, "qualitative")
    fetch(REPOSITORY, "qualitative")
    code = f"from pytest_speedbench.splits.hub import fetch; print(fetch({REPOSITORY!r}, 'qualitative').revision)"
    hub.asked.clear()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": str(int(offline)), "HF_HUB_DISABLE_PROGRESS_BARS": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == commit
    assert done.stderr == ""
    assert hub.downloads() == []
    assert not (offline and hub.asked)


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((403, "GatedRepo"), "only to those who accepted its conditions. Accept them on its page"),
        ((401, "RepoNotFound"), "The hub has no dataset me/secret"),
        ((401, ""), "me/secret"),
        ((403, ""), "The hub refuses the dataset me/secret .HTTP status 403."),
        ((418, ""), "did not give the dataset me/secret"),
    ],
)
def test_refusals_are_spoken(hub: HubStandIn, refusal: tuple[int, str], message: str) -> None:
    hub.repositories["me/secret"] = Repository(refusal=refusal)
    with pytest.raises(SplitError, match=message):
        fetch("me/secret")


def test_what_is_not_there_is_named(hub: HubStandIn) -> None:
    add_speed_bench(hub, "qualitative", "throughput_1k")
    with pytest.raises(SplitError, match="The hub has no dataset nvidia/SPEED-Bank"):
        fetch("nvidia/SPEED-Bank")
    with pytest.raises(SplitError, match="has no revision 'v9'"):
        fetch(REPOSITORY, "qualitative", "v9")
    with pytest.raises(SplitError, match=r"no config 'qualitativ'\. Did you mean 'qualitative'.*throughput_1k"):
        fetch(REPOSITORY, "qualitativ")
    with pytest.raises(SplitError, match=r"several configs: qualitative, throughput_1k\. Say which"):
        fetch(REPOSITORY)
    with pytest.raises(SplitError, match="'not an id' is no id of a dataset"):
        fetch("not an id")


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        ("rows.jsonl", ["rows.jsonl"]),
        (["rows.jsonl", "more.jsonl"], ["more.jsonl", "rows.jsonl"]),
        ({"split": "train", "path": "rows.jsonl"}, ["rows.jsonl"]),
        ([{"split": "train", "path": "rows.jsonl"}, {"split": "test", "path": ["more.jsonl"]}], ["more.jsonl"]),
        ([{"split": "test", "path": "deep/*.jsonl"}], ["deep/a.jsonl"]),
        ([{"split": "test", "path": "deep/**/*.jsonl"}], ["deep/a.jsonl", "deep/er/b.jsonl"]),
    ],
)
def test_the_card_says_which_files(hub: HubStandIn, data_files: object, expected: list[str]) -> None:
    names = ("rows.jsonl", "more.jsonl", "deep/a.jsonl", "deep/er/b.jsonl", "deep/notes.txt")
    configs = [{"config_name": "mine", "data_files": data_files}]
    hub.add("me/mine", {"README.md": card(configs), **{name: name.encode() for name in names}})
    fetched = fetch("me/mine")
    assert fetched.config == "mine"
    assert [file.as_posix().partition(f"{fetched.revision}/")[2] for file in fetched.files] == expected
    assert sorted(hub.downloads()) == sorted(["README.md", *expected])


def test_a_card_may_not_help(hub: HubStandIn) -> None:
    splits = [{"split": "train", "path": "rows.jsonl"}, {"split": "dev", "path": "more.jsonl"}]
    hub.add("me/no-test", {"README.md": card([{"config_name": "c", "data_files": splits}]), "rows.jsonl": ROW})
    with pytest.raises(SplitError, match="has no split 'test' but dev, train"):
        fetch("me/no-test")
    hub.add("me/empty", {"README.md": card([{"config_name": "c", "data_files": "x/*.parquet"}]), "rows.jsonl": ROW})
    with pytest.raises(SplitError, match=r"has no file for the config 'c'; its card or layout promises x/\*\.parquet"):
        fetch("me/empty")
    hub.add("me/odd", {"README.md": card([{"config_name": "c", "data_files": [7]}]), "rows.jsonl": ROW})
    with pytest.raises(SplitError, match="does not say which files the config 'c' has"):
        fetch("me/odd")
    hub.add("me/broken", {"README.md": b"---\nconfigs: [\n---\n", "rows.jsonl": ROW})
    with pytest.raises(SplitError, match=r"The card of the dataset me/broken at [0-9a-f]{12} cannot be read"):
        fetch("me/broken")


@pytest.mark.parametrize(
    ("names", "config", "expected"),
    [
        (["c/test.parquet", "d/test.parquet"], "c", "c/test.parquet"),
        (["data/c/test-00000-of-00001.parquet"], "c", "data/c/test-00000-of-00001.parquet"),
        (["c.jsonl", "d.jsonl"], "d", "d.jsonl"),
        (["data/test.jsonl", "data/train.jsonl"], None, "data/test.jsonl"),
        (["odd-name.jsonl", "notes.txt"], None, "odd-name.jsonl"),
        (["only/test.jsonl", "only/train.jsonl"], None, "only/test.jsonl"),
    ],
)
def test_without_a_card_the_usual_places_are_looked_at(
    hub: HubStandIn, names: list[str], config: str | None, expected: str
) -> None:
    hub.add("me/plain", dict.fromkeys(names, ROW))
    (file,) = fetch("me/plain", config).files
    assert file.as_posix().endswith(f"/{expected}")


def test_without_a_card_configs_are_known_by_their_folders(hub: HubStandIn) -> None:
    hub.add("me/plain", dict.fromkeys(("c/test.jsonl", "d/test.jsonl"), ROW))
    with pytest.raises(SplitError, match="several configs: c, d"):
        fetch("me/plain")
    with pytest.raises(SplitError, match=r"no config 'e'.*It has: c, d"):
        fetch("me/plain", "e")
    hub.add("me/none", dict.fromkeys(("a/x.jsonl", "a/y.jsonl"), ROW))
    with pytest.raises(SplitError, match="no test split that could be found"):
        fetch("me/none")


def test_a_name_with_stars_is_no_pattern(hub: HubStandIn) -> None:
    configs = [{"config_name": "c", "data_files": "[[]x].jsonl"}]
    hub.add("me/stars", {"README.md": card(configs), "[x].jsonl": ROW, "x.jsonl": ROW})
    (file,) = fetch("me/stars").files
    assert file.name == "[x].jsonl"


def test_without_the_hubs_library_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_speedbench.splits.hub.find_spec", lambda name: None)
    with pytest.raises(SplitError, match=r'pip install "pytest-speedbench\[data\]"'):
        fetch(REPOSITORY, "qualitative")


def test_placeholders_of_the_public_dataset_are_refused(hub: HubStandIn) -> None:
    hub.add(REPOSITORY, speed_bench("qualitative", placeholders=1))
    with pytest.raises(SplitError, match="prepare"):
        load_split(f"hub:{REPOSITORY}/qualitative")
