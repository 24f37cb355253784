"""``--speedbench-engine-args``"""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import Bench


def recorded(bench: Bench) -> dict[str, object]:
    args: dict[str, object] = json.loads(bench.baseline().read_text())["recorded"]["engine_args"]
    return args


def test_they_are_added_to_the_pairs_own_and_recorded(bench: Bench) -> None:
    bench.run("--speedbench-update", "--speedbench-engine-args=noise=7,note=a text,on=true").assert_outcomes(passed=1)
    assert recorded(bench) == {"accept": 0.7, "noise": 7, "note": "a text", "on": True}


def test_a_json_object_says_what_pairs_cannot(bench: Bench) -> None:
    bench.run("--speedbench-update", '--speedbench-engine-args={"sizes": [1, 2], "config": {"a": 1}}')
    assert recorded(bench) == {"accept": 0.7, "sizes": [1, 2], "config": {"a": 1}}


def test_the_command_line_wins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEEDBENCH_ENGINE_ARGS", "accept=0.1,noise=1")
    bench.run("--speedbench-update", "--speedbench-engine-args=accept=0.9")
    assert recorded(bench) == {"accept": 0.9, "noise": 1}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dtype", "holds 'dtype', which names no value"),
        ("{dtype}", "is no JSON object"),
        ("=3", "holds '=3', which names no value"),
    ],
)
def test_what_cannot_be_read(bench: Bench, value: str, words: str) -> None:
    result = bench.run(f"--speedbench-engine-args={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: speedbench: --speedbench-engine-args {words}*"])
