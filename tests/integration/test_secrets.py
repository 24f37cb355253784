"""Secrets in settings: none lands in a baseline, a log, a report, or the command to repeat."""

from __future__ import annotations

import json

from tests.integration.conftest import Bench

SECRET = "hunter2Hunter2"  # noqa: S105 - made up
ARGS = f'--speedbench-engine-args={{"hf_token": "{SECRET}", "max_tokens": 7, "tokenizer": "plain"}}'


def test_a_baseline_holds_none(bench: Bench) -> None:
    bench.run(ARGS, "--speedbench-update").assert_outcomes(passed=1)
    text = bench.baseline().read_text()
    assert SECRET not in text
    args = json.loads(text)["recorded"]["engine_args"]
    assert args == {"accept": 0.7, "hf_token": "***", "max_tokens": 7, "tokenizer": "plain"}
    bench.run(ARGS).assert_outcomes(passed=1)


def test_the_command_that_records_a_baseline_holds_none(bench: Bench) -> None:
    result = bench.run(ARGS, "--junitxml=junit.xml")
    result.stdout.fnmatch_lines(["*Record one with: pytest *hf_token*[*][*][*]*max_tokens*7*--speedbench-update*"])
    for text in (result.stdout.str(), result.stderr.str(), (bench.path / "junit.xml").read_text()):
        assert SECRET not in text


def test_an_address_that_is_refused_for_another_fault_is_shown_without_its_key(bench: Bench) -> None:
    args = ["--speedbench-engine=openai", f"--speedbench-endpoint=http://me:{SECRET}@host:99999"]
    result = bench.run(*args)
    result.stderr.fnmatch_lines(["*The endpoint 'http://[*][*][*]@host:99999' is no URL.*"])
    assert SECRET not in result.stdout.str() + result.stderr.str()


def test_what_an_engine_printed_is_shown_without_its_key(bench: Bench) -> None:
    bench.write_test(
        f"""
        from pytest_speedbench.errors import EngineError

        def test_it(speedbench):
            raise EngineError("It broke.", "Mend it.", "Authorization: Bearer {SECRET} http://me:{SECRET}@hub")
        """
    )
    result = bench.run()
    result.stdout.fnmatch_lines(["Authorization: [*][*][*] http://[*][*][*]@hub"])
