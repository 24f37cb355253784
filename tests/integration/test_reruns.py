"""A test that is run again in one session, as pytest-rerunfailures does: its verdict is reached once."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench

RERUNS = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for rest in (2, 1, 0):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = rest and any(report.failed for report in reports)
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
                hook.pytest_runtest_logreport(report=report)
                break
            hook.pytest_runtest_logreport(report=report)
        if not again:
            break
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report):
    if report.outcome == "rerun":
        return "rerun", "R", "RERUN"
"""

# The candidate is weak at first and sound from the second try on.
FLAKY = """
import tests.scripted_engine as scripted

tries = []

def test_gate(speedbench, monkeypatch):
    tries.append(1)
    chance = scripted.ScriptedEngine._number
    weak = len(tries) == 1

    def drawn(self, name, default=0.0):
        return 0.1 if weak and name == "accept" else chance(self, name, default)

    monkeypatch.setattr(scripted.ScriptedEngine, "_number", drawn)
    {}
"""


@pytest.fixture
def again(bench: Bench) -> Bench:
    """The project with a baseline, where failing tests are run up to three times."""
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    bench.pytester.makeconftest(RERUNS)
    return bench


@pytest.mark.parametrize(
    "check",
    [
        "speedbench.assert_no_regression()",
        "speedbench.measure().assert_no_regression()",
        "speedbench.measure(fresh=True).assert_no_regression()",
    ],
)
def test_a_regression_stays_one(again: Bench, check: str) -> None:
    again.write_test(FLAKY.format(check))
    result = again.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Acceptance length dropped in *", "This test was run again in one session. *"])


def test_a_verdict_that_a_test_judges_itself_is_kept_too(again: Bench) -> None:
    again.write_test(FLAKY.format("assert not speedbench.gate().failed"))
    again.run().assert_outcomes(failed=1)


def test_a_verdict_of_a_part_is_not_overturned_by_measuring_the_rest(bench: Bench) -> None:
    bench.run("--speedbench-update")
    bench.write_test(
        """
        def test_gates(speedbench):
            first = speedbench.gate()
            speedbench.measure()
            assert repr(speedbench.gate()) == repr(first)
        """
    )
    args = ("--speedbench-engine-args=weak=multilingual,weak_accept=0.1",)
    bench.run(*args).assert_outcomes(passed=1)


def test_what_failed_for_another_reason_is_tried_again(again: Bench) -> None:
    again.write_test(
        """
        tries = []

        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
            tries.append(1)
            assert len(tries) == 2
        """
    )
    again.run().assert_outcomes(passed=1)
    result = again.run("--speedbench-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["baseline written: baselines/good/small.json"])
    assert list(again.baseline().parent.iterdir()) == [again.baseline()]


def test_rounds_of_speed_are_not_measured_anew(bench: Bench) -> None:
    bench.pytester.makeconftest(RERUNS)
    bench.write_test(
        """
        seen = []

        def test_speed(speedbench):
            seen.append(repr(speedbench.compare("good", "weak").speed(3)))
            assert len(seen) == 2
            assert seen[0] == seen[1]
        """
    )
    bench.run("--speedbench-prompts=3").assert_outcomes(passed=1)
