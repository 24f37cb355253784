"""Where the gate's policy, family-wise error, early stopping, repeats and rounds are read from."""

from __future__ import annotations

import pytest

from tests.integration.conftest import PYPROJECT, Bench

SHOW = """
import pytest

@pytest.mark.speedbench({marker})
def test_settings(speedbench):
    found = speedbench.settings
    print("settings", found.policy, found.family_error, found.sequential, found.repeat, found.rounds)
"""


def test_the_project_the_marker_and_the_command_line(bench: Bench) -> None:
    table = 'policy = "prove"\nfamily_error = "5%"\nsequential = false\nrepeat = 2\nrounds = 4\n'
    bench.pytester.makepyprojecttoml(PYPROJECT.replace("[tool.speedbench]", f"[tool.speedbench]\n{table}"))
    bench.write_test(SHOW.format(marker=""))
    bench.run("-s").stdout.fnmatch_lines(["*settings prove 0.05 False 2 4"])
    bench.write_test(SHOW.format(marker="policy='detect', sequential=True, repeat=3"))
    bench.run("-s").stdout.fnmatch_lines(["*settings detect 0.05 True 3 4"])
    given = ("--speedbench-family-error=0.02", "--speedbench-sequential=off", "--speedbench-rounds=7")
    bench.run("-s", *given).stdout.fnmatch_lines(["*settings detect 0.02 False 3 7"])


def test_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write_test(SHOW.format(marker="policy='detect'"))
    monkeypatch.setenv("SPEEDBENCH_POLICY", "prove")
    monkeypatch.setenv("SPEEDBENCH_SEQUENTIAL", "off")
    bench.run("-s").stdout.fnmatch_lines(["*settings prove 0.01 False 1 6"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("policy=proove", "*--speedbench-policy is 'proove'. Did you mean 'prove'? Give detect or prove.*"),
        ("family-error=60%", "*--speedbench-family-error is '60%'. Give a share*"),
        ("sequential=never", "*--speedbench-sequential is 'never'. Give on or off*"),
        ("repeat=0", "*--speedbench-repeat is 0. Give a whole number of at least 1.*"),
        ("rounds=2", "*--speedbench-rounds is 2, which is too few for an interval. Measure at least 3 rounds.*"),
    ],
)
def test_mistakes_end_pytest_before_anything_runs(bench: Bench, given: str, message: str) -> None:
    result = bench.run(f"--speedbench-{given}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_several_gates_say_that_each_has_its_error(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
            speedbench.measure(pair="weak").gate(baseline="good")
        """
    )
    result = bench.run("--speedbench-family-error=2%")
    result.stdout.fnmatch_lines(["2 gates: each has its family-wise error for itself; *: up to 4.0%"])
