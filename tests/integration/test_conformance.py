"""``pytest --pyargs pytest_speedbench.conformance``: what is asked for, what is refused, and the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_speedbench.conformance import effort, subject
from pytest_speedbench.conformance.promises import PROMISES, service
from pytest_speedbench.options import OPTIONS
from tests.integration.conftest import Bench

SUITE = ("--pyargs", "pytest_speedbench.conformance")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "third_party_engine"
MOST_LINES = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "_SAMPLING_S", 4.0)
    monkeypatch.setattr(effort, "_GREEDY_S", 6.0)
    monkeypatch.setattr(service, "_SETTLE_S", 0.05)
    monkeypatch.setattr(subject, "_GONE_S", 0.5)


@pytest.fixture
def elsewhere(bench: Bench) -> Bench:
    """A project that says nothing of speedbench."""
    bench.pytester.makepyprojecttoml("[tool.pytest.ini_options]\naddopts = ['-p', 'no:cacheprovider']\n")
    return bench


@pytest.fixture
def installed(elsewhere: Bench) -> Bench:
    """With the example engine installed."""
    info = elsewhere.path / "site" / "lookup_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: speedbench-lookup-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_speedbench.engines]\nlookup = lookup_engine\n")
    elsewhere.pytester.syspathinsert(EXAMPLE)
    return elsewhere


def test_the_example_engine_passes(installed: Bench) -> None:
    result = installed.run(
        *SUITE, "--speedbench-engine=lookup", "--speedbench-model=bundled:target", "--speedbench-drafter=ngram"
    )
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0, outcomes
    result.stdout.fnmatch_lines(
        [
            "*= speedbench conformance =*",
            "engine    lookup",
            "target    bundled:target",
            "drafter   ngram, K = 3",
            "kept     prompt *",
            "absent   counters *",
            "kept     lossless *",
            "kept     records *",
            "kept     stop *",
            "* kept, 0 broken, * absent in * s; absent is not kept",
        ]
    )


def test_the_example_engine_has_at_most_60_lines_without_blank_ones() -> None:
    text = (EXAMPLE / "lookup_engine.py").read_text(encoding="utf-8")
    assert sum(bool(line.strip()) for line in text.splitlines()) <= MOST_LINES


def test_a_broken_promise_fails_in_one_line_and_is_on_the_page(bench: Bench) -> None:
    """The scripted engine answers whatever it is asked, an id outside its vocabulary too."""
    result = bench.run(*SUITE, "--speedbench-engine=scripted", "-k", "errors or limits")
    result.assert_outcomes(passed=1, failed=1, deselected=len(PROMISES) - 2)
    result.stdout.fnmatch_lines(
        [
            "errors are surfaced, and do not spread: a prompt longer than the context raises nothing: *",
            "kept     limits *",
            "broken   errors *",
            "1 kept, 1 broken in * s; absent is not kept",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.skipif(all(option.name != "conformance-report" for option in OPTIONS), reason="there is no such option")
def test_the_page_as_markdown(bench: Bench) -> None:
    result = bench.run(
        *SUITE, "--speedbench-engine=scripted", "-k", "limits", "--speedbench-conformance-report=page.md"
    )
    result.assert_outcomes(passed=1, deselected=len(PROMISES) - 1)
    text = (bench.path / "page.md").read_text()
    assert text.startswith("### Conformance of scripted 1.0\n")
    assert "| output limits are honoured exactly (`limits`) | kept | limits of 1, 2, 3, 4, 5, 9 tokens" in text


def test_without_a_drafter_its_promises_are_skipped_with_the_reason(bench: Bench) -> None:
    result = bench.run(*SUITE, "--speedbench-engine=scripted", "--speedbench-drafter=none", "-k", "lossless", "-rs")
    result.assert_outcomes(skipped=1, deselected=len(PROMISES) - 1)
    result.stdout.fnmatch_lines(["skipped  lossless *the pair has no drafter", "*skipped: the pair has no drafter"])


def test_nobody_said_which_engine(elsewhere: Bench) -> None:
    result = elsewhere.run(*SUITE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*Nobody said which engine is to be held to its promises. Give --speedbench-engine*"])


def test_it_refuses_to_be_split_over_processes(bench: Bench) -> None:
    result = bench.pytester.runpytest_subprocess(*SUITE, "--speedbench-engine=transformers", "-n2")
    result.assert_outcomes(errors=len(PROMISES))
    result.stdout.fnmatch_lines(["*The conformance suite holds one engine at a time. Run it without -n.*"])
