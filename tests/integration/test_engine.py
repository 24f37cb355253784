"""``--speedbench-engine``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def test_an_unknown_engine(bench: Bench) -> None:
    result = bench.run("--speedbench-engine=scriptde")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: There is no engine 'scriptde'. Did you mean 'scripted'?*"])


def test_an_engine_that_refuses_before_it_starts(bench: Bench) -> None:
    text = (bench.path / "pyproject.toml").read_text()
    (bench.path / "pyproject.toml").write_text(text.replace("accept = 0.7 }", "refuse = true }", 1))
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_drafter.py::test_gate: The scripted engine was told to refuse. Tell it*"])


def test_an_engine_that_does_not_start(bench: Bench) -> None:
    text = (bench.path / "pyproject.toml").read_text()
    (bench.path / "pyproject.toml").write_text(text.replace("accept = 0.7 }", "fail_start = true }", 1))
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The scripted engine cannot start. Ask it nicely."])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_engine_that_breaks_in_the_middle(bench: Bench) -> None:
    text = (bench.path / "pyproject.toml").read_text()
    (bench.path / "pyproject.toml").write_text(text.replace("accept = 0.7 }", "fail_at = 9 }", 1))
    result = bench.run("--speedbench-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The scripted engine broke down. Repair it."])
    assert not (bench.path / "baselines").exists()
