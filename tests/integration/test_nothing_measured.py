"""Options on the command line that measure nothing: an exit status of its own."""

from __future__ import annotations

import pytest

from pytest_speedbench.plugin import EXIT_NOTHING_MEASURED
from tests.integration.conftest import Bench

WORDS = "speedbench: nothing was measured, though --speedbench-prompts was given: *"


@pytest.mark.parametrize(
    ("source", "args", "said"),
    [
        ("def test_it(): pass", (), "no test that uses it ran*"),
        ("def test_it(speedbench): pass", (), "of 1 tests that use the speedbench fixture none measured*"),
        ("def test_it(speedbench): speedbench.measure()", ("-k", "other"), "no test that uses it ran*"),
        (
            "import pytest\n@pytest.mark.skip\ndef test_it(speedbench): speedbench.measure()",
            (),
            "of 1 tests that use the speedbench fixture none measured*",
        ),
        ("", (), "no test that uses it ran*"),
    ],
    ids=["no-fixture", "no-measurement", "deselected", "skipped", "no-test"],
)
def test_a_session_that_measures_nothing_fails(bench: Bench, source: str, args: tuple[str, ...], said: str) -> None:
    bench.write_test(source)
    result = bench.run("--speedbench-prompts=6", *args)
    assert result.ret == EXIT_NOTHING_MEASURED
    result.stdout.fnmatch_lines([WORDS + said])


def test_a_project_that_merely_has_a_table_may_run_other_tests(bench: Bench) -> None:
    bench.write_test("def test_it(): pass")
    path = bench.path / "pyproject.toml"
    for text in (path.read_text(), path.read_text().replace("addopts = [", 'addopts = ["--speedbench-prompts=6", ')):
        path.write_text(text)
        assert bench.run().ret == pytest.ExitCode.OK


def test_what_measures_passes_and_what_only_shows_does_too(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench): speedbench.measure()\ndef test_other(speedbench): pass")
    for args in ((), ("--collect-only",), ("--fixtures",), ("--setup-plan",)):
        result = bench.run("--speedbench-prompts=6", *args)
        assert result.ret == pytest.ExitCode.OK
        result.stdout.no_fnmatch_line(WORDS)


def test_a_failing_test_is_a_failing_test(bench: Bench) -> None:
    bench.write_test("def test_it(speedbench): assert False")
    assert bench.run("--speedbench-prompts=6").ret == pytest.ExitCode.TESTS_FAILED
