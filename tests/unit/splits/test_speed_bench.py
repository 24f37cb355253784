"""SPEED-Bench's configs: their rows, and where prepared files of them are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.splits.schema import Prompt, Split
from pytest_speedbench.splits.speed_bench import CONFIGS, ROWS, check_counts, locate


def whole(config: str) -> Split:
    prompts = tuple(
        Prompt(f"{category}-{number}", category, "", ("Tell me.",))
        for category, count in ROWS[config].items()
        for number in range(count)
    )
    return Split(config, prompts, "0" * 64, len(prompts))


def test_there_are_six_configs_with_the_published_numbers_of_rows() -> None:
    assert len(CONFIGS) == 6
    assert sum(ROWS["qualitative"].values()) == 880
    assert len(ROWS["qualitative"]) == 11
    assert all(sum(ROWS[config].values()) == 1536 for config in CONFIGS if config != "qualitative")


@pytest.mark.parametrize("config", ["qualitative", "throughput_32k"])
def test_a_whole_config_has_its_rows(config: str) -> None:
    check_counts(config, whole(config))


def test_missing_rows_are_counted_by_category() -> None:
    split = whole("qualitative")
    with pytest.raises(SplitError, match=r"rows by category: coding 79 of 80\. Prepare it anew"):
        check_counts("qualitative", replace(split, prompts=split.prompts[1:]))


def test_rows_of_another_config_are_refused() -> None:
    with pytest.raises(SplitError, match="high_entropy 512 of 0") as raised:
        check_counts("qualitative", whole("throughput_1k"))
    assert "coding 0 of 80" in str(raised.value)


def test_an_unknown_config_is_named_with_the_closest_one() -> None:
    with pytest.raises(SplitError, match=r"no config 'qualitativ'\. Did you mean 'qualitative'"):
        locate("qualitativ", Path())


@pytest.mark.parametrize(
    "place",
    [
        "data/speed/qualitative/test.parquet",
        "speed/qualitative/test.parquet",
        "qualitative/test.parquet",
        "qualitative.jsonl",
    ],
)
def test_prepared_files_are_found_where_their_authors_write_them(tmp_path: Path, place: str) -> None:
    assert locate("qualitative", tmp_path) is None
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"")
    assert locate("qualitative", tmp_path) == tmp_path / place
    assert locate("throughput_1k", tmp_path) is None


def test_two_prepared_files_are_not_chosen_from(tmp_path: Path) -> None:
    (tmp_path / "qualitative").mkdir()
    (tmp_path / "qualitative" / "test.parquet").write_bytes(b"")
    (tmp_path / "qualitative.jsonl").write_bytes(b"")
    with pytest.raises(SplitError, match=r"more than once.*test\.parquet.*qualitative\.jsonl.*Name the file"):
        locate("qualitative", tmp_path)
