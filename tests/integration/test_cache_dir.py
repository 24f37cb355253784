"""``--speedbench-cache-dir``"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Bench


@pytest.fixture
def large(bench: Bench) -> Bench:
    """A split whose tokenization is worth keeping: a few megabytes of text, of which the engine reads only ids."""
    text = "The drafter proposes, the target verifies. " * 200
    rows: list[dict[str, object]] = [
        {"question_id": f"q{n}", "category": "coding", "turns": [f"{n}: {text}"]} for n in range(600)
    ]
    bench.write_split("large.jsonl", rows=list(rows))
    return bench


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_ids_of_a_large_split_are_kept_there(large: Bench) -> None:
    folder = large.path / "cache"
    first = large.run("--speedbench-split=large.jsonl", f"--speedbench-cache-dir={folder}", "--speedbench-update")
    first.assert_outcomes(passed=1)
    files = {path: path.stat().st_mtime_ns for path in kept(folder)}
    assert files
    large.run("--speedbench-split=large.jsonl", f"--speedbench-cache-dir={folder}").assert_outcomes(passed=1)
    assert files.keys() == set(kept(folder))


def test_a_small_split_is_not_worth_it(bench: Bench) -> None:
    folder = bench.path / "cache"
    bench.run(f"--speedbench-cache-dir={folder}", "--speedbench-update").assert_outcomes(passed=1)
    assert not kept(folder)


def test_off(large: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(large.path / "home"))
    large.run("--speedbench-split=large.jsonl", "--speedbench-cache-dir=off", "--speedbench-update")
    assert not kept(large.path / "home")
