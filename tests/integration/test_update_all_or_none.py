"""``--speedbench-update`` and ``--speedbench-record-outputs``: who writes, and that a session writes all or nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.integration.conftest import Bench

NOTHING = "no baseline or outputs written: *"
OTHER = """
def test_other(speedbench):
    speedbench.measure(pair="weak").assert_no_regression()
"""


def nothing_written(bench: Bench) -> bool:
    return not (bench.path / "baselines").exists()


@pytest.mark.parametrize(
    "source",
    [
        """
        def test_gate(speedbench, subtests):
            speedbench.measure().assert_no_regression()
            with subtests.test("floor"):
                assert speedbench.measure().al_macro > 99
        """,
        """
        import unittest
        import pytest

        class TestGate(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def bench(self, speedbench):
                self.speedbench = speedbench

            def test_gate(self):
                self.speedbench.measure().assert_no_regression()
                with self.subTest("floor"):
                    self.assertGreater(self.speedbench.measure().al_macro, 99)
        """,
        """
        import pytest

        @pytest.fixture
        def broken():
            yield
            raise RuntimeError("at the end")

        def test_gate(broken, speedbench):
            speedbench.measure().assert_no_regression()
        """,
        """
        import pytest

        @pytest.fixture
        def broken():
            yield
            raise RuntimeError("at the end")

        def test_gate(speedbench, broken):
            speedbench.measure().assert_no_regression()
        """,
        """
        import pytest

        @pytest.mark.xfail(strict=True)
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
        """,
        """
        import pytest

        @pytest.fixture
        def broken(speedbench):
            speedbench.measure().assert_no_regression()
            raise RuntimeError("at the start")

        def test_gate(broken):
            pass
        """,
    ],
    ids=["subtest", "unittest-subtest", "early-teardown", "late-teardown", "strict-xfail", "setup"],
)
def test_a_test_that_fails_in_any_of_its_parts_writes_nothing(bench: Bench, source: str) -> None:
    bench.write_test(source)
    result = bench.run("--speedbench-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([NOTHING + "test_gate* did not pass*"])
    assert nothing_written(bench)


@pytest.mark.parametrize("end", ["pytest.xfail('known')", "pytest.skip('enough')"])
def test_a_test_that_only_did_not_fail_writes_nothing_and_keeps_no_other_from_it(bench: Bench, end: str) -> None:
    bench.write_test(
        f"""
        import pytest

        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
            {end}
        """
        + textwrap.indent(OTHER, " " * 8)
    )
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines(["baseline written: baselines/weak/small.json"])
    assert not bench.baseline().exists()


def test_an_unexpected_pass_is_none(bench: Bench) -> None:
    bench.write_test(
        """
        import pytest

        @pytest.mark.xfail(strict=False)
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
        """
    )
    bench.run("--speedbench-update").stdout.fnmatch_lines([NOTHING])
    assert nothing_written(bench)


def test_a_failure_that_another_plugin_reports_is_one(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):  # as pytest-check does
            report = yield
            if call.when == "call":
                report.outcome, report.longrepr = "failed", "a soft failure"
            return report
        """
    )
    bench.run("--speedbench-update").assert_outcomes(failed=1)
    assert nothing_written(bench)


def test_a_failing_test_of_another_pair_keeps_all_from_being_written(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()

        def test_lossless(speedbench):
            assert False
        """
    )
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines([NOTHING + "test_drafter.py::test_lossless did not pass*"])
    assert nothing_written(bench)
    bench.run("--speedbench-update", "-k", "gate").stdout.fnmatch_lines(["baseline written: *"])


def test_a_failing_test_without_speedbench_does_not(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()

        def test_unrelated():
            assert False
        """
    )
    bench.run("--speedbench-update").assert_outcomes(passed=1, failed=1)
    assert bench.baseline().exists()


@pytest.mark.parametrize("how", ["-x", "--maxfail=1", "pytest.exit('enough')"])
def test_a_session_that_ends_early_writes_nothing(bench: Bench, how: str) -> None:
    bench.write_test(
        f"""
        import pytest

        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()

        def test_end():
            {how if "exit" in how else "assert False"}
        """
        + textwrap.indent(OTHER, " " * 8)
    )
    result = bench.run("--speedbench-update", *([] if "exit" in how else [how]))
    result.stdout.fnmatch_lines([NOTHING + "the session did not run to its end*"])
    assert nothing_written(bench)


def test_ctrl_c_after_a_passing_test_writes_nothing(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()

        def test_interrupted(speedbench):
            speedbench.measure().assert_no_regression()
            raise KeyboardInterrupt
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(bench.path / "site"), *sys.path])}
    command = [sys.executable, "-m", "pytest", "--speedbench-update"]
    done = subprocess.run(command, cwd=bench.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert nothing_written(bench)


GATES = """
def test_one(speedbench):
    speedbench.measure().assert_no_regression()

def test_two(speedbench):
    speedbench.measure({}).assert_no_regression()
"""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("max_tokens=16", "output limit in tokens 40 and 16"),
        ("draft_length=2", "draft length 3 and 2"),
        ("temperature=0.8", "temperature 0.0 and 0.8"),
        ("drafter='suffix'", "drafter ngram and suffix"),
    ],
)
def test_two_measurements_of_other_settings_for_one_file_are_refused(bench: Bench, settings: str, said: str) -> None:
    bench.write_test(GATES.format(settings))
    result = bench.run("--speedbench-update")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"*small.json cannot hold two measurements: *test_one and *test_two *{said}*"])
    assert nothing_written(bench)


def test_one_test_with_two_measurements_for_one_file_is_refused(bench: Bench) -> None:
    bench.write_test(
        """
        def test_gate(speedbench):
            speedbench.measure().assert_no_regression()
            speedbench.measure(draft_length=2).assert_no_regression()
        """
    )
    bench.run("--speedbench-update").assert_outcomes(failed=1)
    assert nothing_written(bench)


def test_of_a_part_and_the_whole_the_whole_is_kept(bench: Bench) -> None:
    for settings in ("prompts=6", "prompts=6, fresh=True"):
        bench.write_test(GATES.format(settings))
        result = bench.run("--speedbench-update")
        result.stdout.fnmatch_lines(["baseline written: *", "*of *test_one; *test_two measured it too"])
        assert len(json.loads(bench.baseline().read_text())["prompts"]) == 36


def test_a_part_never_replaces_the_whole_that_a_skipped_test_measured(bench: Bench) -> None:
    bench.run("--speedbench-update")
    before = bench.baseline().read_bytes()
    source = GATES.format("prompts=6").replace("def test_two", "    pytest.skip('enough')\n\ndef test_two", 1)
    bench.write_test("import pytest\n" + source)
    result = bench.run("--speedbench-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([NOTHING + "*test_two lacks 30 prompts of the baseline baselines/good/small.json"])
    assert bench.baseline().read_bytes() == before


def test_parts_that_overlap_or_not_are_refused(bench: Bench) -> None:
    bench.write_test(GATES.format("categories=['math']").replace("measure()", "measure(categories=['coding'])"))
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines(["*12 prompts of one are not in the other*"])
    assert nothing_written(bench)


def test_an_update_says_what_it_replaces(bench: Bench) -> None:
    result = bench.run("--speedbench-update")
    result.stdout.fnmatch_lines(["  new: AL macro ?.???, AL pooled ?.???, 36 prompts, K = 3, at most 40 tokens a turn"])
    args = "--speedbench-engine-args=weak=multilingual,weak_accept=0.2"
    result = bench.run("--speedbench-update", args, "--speedbench-draft-length=2", "--speedbench-max-tokens=20")
    result.stdout.fnmatch_lines(
        [
            "baseline written: baselines/good/small.json",
            "  AL macro ?.??? -> ?.??? (-*%); AL pooled ?.??? -> ?.??? (-*%); "
            "worst category multilingual ?.??? -> ?.??? (-*%)",
            "  changed with it: draft length 3 -> 2; output limit in tokens 40 -> 20*",
        ]
    )


def test_outputs_that_end_at_once_are_no_baseline(bench: Bench) -> None:
    bench.run("--speedbench-update")
    before = bench.baseline().read_bytes()
    result = bench.run("--speedbench-update", "--speedbench-max-tokens=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has no acceptance length*"])
    assert bench.baseline().read_bytes() == before


def test_a_baseline_that_another_process_wrote_meanwhile_is_not_overwritten(bench: Bench) -> None:
    bench.run("--speedbench-update")
    gate = """
    from pathlib import Path

    def test_gate(speedbench):
        {}
        speedbench.measure().assert_no_regression()
        {}
    """
    for number in (1, 2):
        other = f'Path("baselines/good/small.json").write_text("written by another, {number}")'
        bench.write_test(gate.format(*((other, "") if number == 1 else ("", other))))
        result = bench.run("--speedbench-update")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*baselines/good/small.json was changed by another process*"])
        assert bench.baseline().read_text() == f"written by another, {number}"


def test_what_killed_processes_left_is_removed_and_what_living_ones_write_is_not(bench: Bench) -> None:
    bench.run("--speedbench-update")
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = bench.baseline().with_name(f".small.json.{int(ended.stdout)}.tmp")
    alive = bench.baseline().with_name(f".small.json.{os.getpid()}.tmp")
    for path in (dead, alive):
        path.write_text("half")
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    assert sorted(bench.baseline().parent.iterdir()) == sorted([alive, bench.baseline()])


def test_workers_that_measure_the_same_write_one_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(bench.path / "site"), *sys.path]))
    bench.write_test(GATES.format(""))
    run = bench.pytester.runpytest_subprocess
    result = run("-n2", "--dist=each", "--speedbench-update")
    result.stdout.fnmatch_lines(["baseline written: baselines/good/small.json"])
    assert list(bench.baseline().parent.iterdir()) == [bench.baseline()]
    before = bench.baseline().read_bytes()
    bench.write_test(GATES.format("draft_length=2"))
    result = run("-n2", "--dist=each", "--speedbench-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([NOTHING])
    assert bench.baseline().read_bytes() == before
    assert list(bench.baseline().parent.iterdir()) == [bench.baseline()]


def test_a_place_that_cannot_be_written_is_found_before_anything_is_measured(bench: Bench) -> None:
    (bench.path / "file").write_text("x")
    result = bench.run("--speedbench-update", "--speedbench-baseline-dir=file/below")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*small.json cannot be written (Not a directory)*"])
    result = bench.run("--speedbench-record-outputs", "--speedbench-baseline-dir=/proc/baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*small.outputs cannot be written (*"])
