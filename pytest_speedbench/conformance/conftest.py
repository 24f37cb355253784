"""What the suite's one test is given, and the page at the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_speedbench.conformance.page import markdown_page, plain_page
from pytest_speedbench.conformance.suite import Suite
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.kept import asked_otherwise
from pytest_speedbench.options import OPTIONS
from pytest_speedbench.places import probe_file
from pytest_speedbench.settings import DEFAULT_PAIR, bundled_pairs

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from pytest_speedbench.measurement import Speedbench

_SUITES = pytest.StashKey[list[Suite]]()
_REPORT = "speedbench_conformance_report"
_NAMING = tuple(option for option in OPTIONS if option.name in ("engine", "pair", "model"))


@pytest.fixture
def suite(speedbench: Speedbench, request: pytest.FixtureRequest) -> Suite:
    """The suite of the pair in force, one for the whole session.

    Raises:
        ConfigError: the tests are spread over processes.
    """
    config = request.config
    if hasattr(config, "workerinput"):
        raise ConfigError("The conformance suite holds one engine at a time.", "Run it without -n.")
    suites = config.stash.setdefault(_SUITES, [])
    if not suites:
        if speedbench.pair == bundled_pairs()[DEFAULT_PAIR] and not _named(config):
            pytest.exit(
                "speedbench: Nobody said which engine is to be held to its promises. Give --speedbench-engine with "
                "--speedbench-model and --speedbench-drafter, or --speedbench-pair.",
                returncode=pytest.ExitCode.USAGE_ERROR,
            )
        _check_report(config.getoption(_REPORT, default=None))
        asked_otherwise(config)
        suites.append(Suite(speedbench.pair, speedbench.settings.timeouts))
    return suites[0]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the engine."""
    for suite in session.config.stash.get(_SUITES, []):
        suite.close()


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the page, and write it where it was asked for."""
    for suite in config.stash.get(_SUITES, []):
        if suite.findings:
            terminalreporter.section("speedbench conformance")
            terminalreporter.write_line("\n".join(plain_page(suite.facts(), suite.findings)))
            path = config.getoption(_REPORT, default=None)
            if path:
                Path(path).write_text(markdown_page(suite.facts(), suite.findings), encoding="utf-8")


def _check_report(file: str | None) -> None:
    """Refuse a page that could not be written after all the asking.

    Raises:
        ConfigError: it could not.
    """
    try:
        if file is not None:
            probe_file(Path(file))
    except OSError as error:
        raise ConfigError(
            f"The page {file} cannot be written ({error.strerror}).",
            "Name another file with --speedbench-conformance-report.",
        ) from None


def _named(config: pytest.Config) -> bool:
    """Whether the command line or the environment names an engine, a pair or a model."""
    return any(config.getoption(o.dest, default=None) is not None or o.variable in os.environ for o in _NAMING)
