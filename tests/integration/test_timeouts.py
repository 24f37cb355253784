"""``--speedbench-start-timeout`` and ``--speedbench-silence-timeout``, and the commands' options of the same names."""

from __future__ import annotations

import time

import pytest

from pytest_speedbench.cli import EXIT_USAGE, main
from pytest_speedbench.config import Timeouts
from pytest_speedbench.measure.runner import Runner
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


@pytest.mark.parametrize(
    "command", [("draft-length", "--rounds=3"), ("vocabulary", "--sizes=8", "--counts=text.txt")], ids=lambda c: c[0]
)
@pytest.mark.parametrize(
    ("hang", "limit", "said"),
    [
        ("start_s", "--start-timeout=0.2", "did not start within 0.2 s. Raise the limit with --start-timeout"),
        ("slow_s", "--silence-timeout=0.3", "has emitted nothing for 0.3 s with requests under way"),
    ],
)
def test_the_commands_have_them_too(
    bench: Bench, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], hang: str, limit: str, said: str
) -> None:
    change(bench, f"{hang} = 60")
    (bench.path / "text.txt").write_text("Some text that the target says.")
    started = time.monotonic()
    assert main([*command, "--drafter=eagle3:bundled:eagle3", limit]) == EXIT_USAGE
    assert time.monotonic() - started < 20
    assert said in capsys.readouterr().err


def test_they_hold_for_judging_differences(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Timeouts | None] = []

    def next_tokens(*args: object, **_kwargs: object) -> None:
        seen.append(args[-1] if isinstance(args[-1], Timeouts) else None)

    monkeypatch.setattr(Runner, "next_tokens", next_tokens)
    change(bench, 'lossy = "math-4/1"')
    bench.write_test("def test_it(speedbench):\n    speedbench.measure().assert_lossless()")
    bench.run("--speedbench-start-timeout=7", "--speedbench-silence-timeout=8").assert_outcomes(failed=1)
    assert seen == [Timeouts(start_s=7, silence_s=8)]
