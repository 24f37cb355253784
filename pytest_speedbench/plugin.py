"""pytest's entry into speedbench: options, marker, fixtures, header and summary.

pytest imports this module in every project where the package is installed. It therefore imports nothing that pytest
has not imported already; the rest follows when a test asks for a speedbench fixture or an option is given.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_speedbench.options import FIXTURE, MARKER_KEYS, OPTIONS, REPORT_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _pytest.terminal import TerminalReporter

    from pytest_speedbench.config import Pair
    from pytest_speedbench.measurement import Speedbench
    from pytest_speedbench.session import SpeedbenchSession
    from pytest_speedbench.splits import Split
    from pytest_speedbench.updates import Update

_SESSION = pytest.StashKey["SpeedbenchSession"]()
_SUMMARY = pytest.StashKey["_Summary"]()
_GIVEN = pytest.StashKey[bool]()

EXIT_NOTHING_MEASURED = 10
"""The exit status where options on the command line asked for a measurement and no test made one; pytest has 0 to 6."""
_MEASURED = ("measurement", "gate", "lossless", "speed")
_SHOWING = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test", "cacheshow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--speedbench-*``."""
    group = parser.getgroup("speedbench", "speculative-decoding regression tests")
    for option in OPTIONS:
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=option.help)
        else:
            group.addoption(option.flag, dest=option.dest, metavar=option.metavar, default=None, help=option.help)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the summary; check settings that were given outside of tests at once."""
    keys = ", ".join(f"{key}=..." for key in MARKER_KEYS)
    config.addinivalue_line("markers", f"speedbench({keys}): what the speedbench fixture measures in this test")
    config.stash[_SUMMARY] = _Summary(config)
    config.pluginmanager.register(config.stash[_SUMMARY], "speedbench-summary")
    config.stash[_GIVEN] = _given(config)
    if config.stash[_GIVEN]:
        _session(config).check_outside()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where to say which of its tests measure."""
    if node.config.stash[_GIVEN]:
        from pytest_speedbench.workers import tell_worker

        tell_worker(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have the tests that measure run in one worker, unless another way to distribute them was asked for."""
    if config.stash[_GIVEN] and config.option.dist in ("load", "loadgroup"):  # -n alone means load
        from pytest_speedbench.scheduler import MeasuringInOneWorker

        return MeasuringInOneWorker(config, log)
    return None


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what will be measured where pytest-xdist's workers collect, and this process sees no test."""
    spread = getattr(config.option, "numprocesses", None)
    return _session(config).header_unseen() if spread and config.stash[_GIVEN] else []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check what the collected tests ask for, before any engine starts."""
    ours = [item for item in session.items if FIXTURE in getattr(item, "fixturenames", ())]
    if ours:
        _session(session.config).check_items(ours)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what the collected tests will measure."""
    return config.stash[_SESSION].header() if _SESSION in config.stash else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what the session may write, stop the engines."""
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_SUMMARY].finish(session)
    if _SESSION in session.config.stash:
        session.config.stash[_SESSION].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what was measured to the report, which xdist carries to the controller."""
    report = yield
    if _SESSION in item.config.stash:
        item.config.stash[_SESSION].finish_report(item, call, report)
    return report


@pytest.fixture
def speedbench(request: pytest.FixtureRequest) -> Speedbench:
    """Measure a target+drafter pair, record its acceptance and throughput, and gate it against its baseline."""
    from pytest_speedbench.measurement import Speedbench

    session = _session(request.config)
    return Speedbench(session, request.node, session.open_test(request.node))


@pytest.fixture
def speedbench_pair(speedbench: Speedbench) -> Pair:
    """The pair that this test measures."""
    return speedbench.pair


@pytest.fixture
def speedbench_pairs(speedbench: Speedbench) -> Mapping[str, Pair]:
    """All named pairs: the bundled ones and those of ``[tool.speedbench.pairs]``."""
    return speedbench.pairs


@pytest.fixture
def speedbench_split(speedbench: Speedbench) -> Callable[[str], Split]:
    """Load a split by name or path: ``speedbench_split("mini")``."""
    return speedbench.split


class _Summary:
    """Gathers what tests measured and how they ended from their reports; with xdist it lives on the controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._entries: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._not_passed: dict[str, str] = {}
        self._lost = ""
        self._update: Update | None = None
        self._unmeasured = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report's entries, and whether a test failed in any of its phases and subtests."""
        test, plain = report.nodeid, getattr(report, REPORT_ATTRIBUTE, None)
        if report.outcome not in ("passed", "failed", "skipped"):  # it is to be run again
            self._not_passed.pop(test, None)
            return
        if report.failed:
            self._not_passed[test] = "failed"
        elif (report.skipped or hasattr(report, "wasxfail")) and not hasattr(report, "context"):  # no subtest's
            self._not_passed.setdefault(test, "skipped")
        if plain is not None:
            self._entries[test, getattr(report, "worker_id", "")] = plain  # --dist=each runs a test on every worker

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object) -> None:
        """Notice that a worker died, and what it staged with it."""
        if error:
            self._lost = "a worker was lost"

    def finish(self, session: pytest.Session) -> None:
        """Write the staged files, all or none. Those of skipped and xfailed tests are none of them."""
        staged = [plain for plain in self._all_entries() if plain["type"] == "staged"]
        if staged:
            from pytest_speedbench.updates import finish_session

            ours = dict.fromkeys(test for test, _ in self._entries)
            failed = [test for test in ours if self._not_passed.get(test) == "failed"]
            passed = [plain for plain in staged if plain["test"] not in self._not_passed]
            self._update = finish_session(session, staged, passed, failed, self._lost)
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._unmeasured = self._nothing_measured()
            if self._unmeasured:
                session.exitstatus = EXIT_NOTHING_MEASURED

    def _nothing_measured(self) -> str:
        """In words that options on the command line measured nothing; empty if they did, or none was given."""
        args = map(str, self._config.invocation_params.args)
        options = [arg.partition("=")[0] for arg in args if arg.startswith("--speedbench-")]  # values may be secrets
        shows = any(getattr(self._config.option, name, False) for name in _SHOWING)
        if not options or shows or any(plain["type"] in _MEASURED for plain in self._all_entries()):
            return ""
        from pytest_speedbench.kept import was_asked_otherwise

        if was_asked_otherwise(self._config):
            return ""
        tests = len({test for test, _ in self._entries})
        which = (
            f"of {tests} tests that use the speedbench fixture none measured" if tests else "no test that uses it ran"
        )
        return (
            f"speedbench: nothing was measured, though {options[0]} was given: {which}. "
            "Write a test that measures with the speedbench fixture, or look at the paths, -k, -m and skips."
        )

    def _all_entries(self) -> list[dict[str, Any]]:
        return [plain for entries in self._entries.values() for plain in entries]

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Say what was measured."""
        entries = self._all_entries()
        if self._unmeasured:
            terminalreporter.write_line(self._unmeasured, red=True)
        if entries:
            from pytest_speedbench.summary import write_summary

            folder = _session(self._config).settings().baseline_dir
            write_summary(terminalreporter, self._config, entries, folder, self._update)


def _given(config: pytest.Config) -> bool:
    """Whether someone configured speedbench outside of tests: on the command line, by environment or in pyproject."""
    if any(getattr(config.option, option.dest, None) is not None for option in OPTIONS):
        return True
    if any(name.startswith("SPEEDBENCH_") for name in os.environ):
        return True
    try:
        return b"[tool.speedbench" in (config.rootpath / "pyproject.toml").read_bytes()
    except OSError:
        return False


def _session(config: pytest.Config) -> SpeedbenchSession:
    if _SESSION not in config.stash:
        from pytest_speedbench.session import SpeedbenchSession

        config.stash[_SESSION] = SpeedbenchSession.from_config(config)
    return config.stash[_SESSION]
