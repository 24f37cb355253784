"""``--speedbench-start-timeout`` and ``--speedbench-silence-timeout``"""

from __future__ import annotations

import time

import pytest

from tests.integration.conftest import Bench


def change(bench: Bench, args: str) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace("accept = 0.7 }", f"{args} }}", 1))


def test_an_engine_that_hangs_at_its_start(bench: Bench) -> None:
    change(bench, "start_s = 60")
    started = time.monotonic()
    result = bench.run("--speedbench-start-timeout=0.2")
    assert time.monotonic() - started < 20
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The engine scripted did not start within 0.2 s. Raise the limit with *"])


def test_an_engine_that_hangs_in_the_middle(bench: Bench) -> None:
    change(bench, "slow_s = 60")
    started = time.monotonic()
    result = bench.run("--speedbench-silence-timeout=0.3", "--speedbench-update")
    assert time.monotonic() - started < 20
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The engine scripted has emitted nothing for 0.3 s with requests under way.*"])
    assert not bench.baseline().exists()


def test_a_slow_engine_is_not_a_silent_one(bench: Bench) -> None:
    change(bench, "slow_s = 0.05")
    result = bench.run("--speedbench-silence-timeout=1", "--speedbench-prompts=3", "--speedbench-max-tokens=30")
    result.stdout.no_fnmatch_line("*emitted nothing*")
    result.stdout.fnmatch_lines(["*small: 3 of 36 prompts*"])


@pytest.mark.parametrize("value", ["0", "-3", "soon", "inf", "nan"])
def test_no_number_of_seconds(bench: Bench, value: str) -> None:
    result = bench.run(f"--speedbench-start-timeout={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: --speedbench-start-timeout is *Give a number of seconds above 0."])
