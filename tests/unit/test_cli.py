"""The ``speedbench`` command itself, its shared options, and a real sweep of the bundled family."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from pytest_speedbench import cli
from pytest_speedbench.cli import EXIT_USAGE, main
from pytest_speedbench.cli.common import add_measurement_options, asked, check_writable, settings_of
from pytest_speedbench.cli.draft_length import counts
from pytest_speedbench.config import Drafter
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.options import OPTIONS
from pytest_speedbench.settings import Settings

FEW = ("draft-length", "--prompts", "2", "--max-tokens", "8", "--rounds", "3")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project in the current folder and no speedbench variables."""
    monkeypatch.chdir(tmp_path)
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    return tmp_path


def settings(*argv: str, without: tuple[str, ...] = ()) -> Settings:
    parser = argparse.ArgumentParser()
    add_measurement_options(parser, without=without)
    return settings_of(parser.parse_args(argv))


def test_help_is_light_and_names_the_commands() -> None:
    code = (
        "import sys; from pytest_speedbench.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'scipy', 'torch', 'transformers', 'rich', 'msgspec', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "draft-length" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "pytest_speedbench.cli", "draft-length", "--lengths", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "--lengths: 'none' is no list of numbers such as 1-8 or 1,2,4" in done.stderr


def test_the_options_are_the_plugins_without_the_gates() -> None:
    parser = argparse.ArgumentParser()
    add_measurement_options(parser, without=("draft-length",))
    text = parser.format_help()
    of_gates = {
        "update",
        "baseline-dir",
        "tolerance",
        "policy",
        "outputs",
        "family-error",
        "sequential",
        "stop-at-first",
        "repeat",
    }
    left_out = {*of_gates, "rounds", "draft-length", "mode", "record-outputs", "conformance-report"}
    for option in OPTIONS:
        assert (f"--{option.name} " in text) == (option.name not in left_out)
    assert "--speedbench-" not in text


def test_settings_come_from_project_environment_and_command_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text(
        '[tool.speedbench]\npair = "mine"\nprompts = 3\nmax_tokens = 9\n'
        '[tool.speedbench.pairs.mine]\nmodel = "bundled:target"\ndrafter = "ngram"\n'
    )
    monkeypatch.setenv("SPEEDBENCH_PROMPTS", "4")
    monkeypatch.setenv("SPEEDBENCH_CONCURRENCY", "2")
    found = settings("--max-tokens=10", "--categories", "math")
    assert (found.pair.name, str(found.pair.drafter)) == ("mine", "ngram")
    assert (found.prompts, found.sampling.max_output_tokens, found.load.concurrency) == (4, 10, 2)
    assert {prompt.category for prompt in asked(found).prompts} == {"math"}
    assert settings("--drafter", "eagle3:bundled:eagle3").pair.drafter == Drafter.parse("eagle3:bundled:eagle3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-8", (1, 2, 3, 4, 5, 6, 7, 8)), ("4", (4,)), ("8,1, 2", (1, 2, 8)), ("1-3,3,7-8", (1, 2, 3, 7, 8))],
)
def test_lists_of_counts(text: str, expected: tuple[int, ...]) -> None:
    assert counts(text) == expected


@pytest.mark.parametrize("text", ["", "0", "3-1", "1-", "-2", "1,,2", "a", "1-99999999"])
def test_what_is_no_list_of_counts(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        counts(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pair", "tiny-eagle"), "There is no pair named 'tiny-eagle'. Did you mean 'tiny-eagle3'?"),
        (("--pair", "tiny-target"), "The pair 'tiny-target' has no drafter"),
        (("--pair", "tiny-draft", "--model", "x"), "speedbench: --pair and --model contradict each other"),
        (("--rounds", "2"), "2 rounds are too few for an interval. Measure at least 3 rounds."),
        (("--concurrency", "4"), "A concurrency of 4 is asked, but only 2 prompts"),
        (("--json", "nowhere/out.json"), "The folder of nowhere/out.json does not exist."),
        (("--split", "nothing"), "There is no split 'nothing'"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FEW, *arguments]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("speedbench: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_concurrency_that_the_engine_lacks_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*FEW, "--concurrency", "1,2", "--lengths", "1"]) == 4
    assert capsys.readouterr().err == (
        "speedbench: The engine transformers decodes at most 1 request at a time, but a concurrency of 2 is asked. "
        "Use a concurrency of 1, or an engine that batches.\n"
    )


def test_an_interrupt_stops_the_engine_and_ends_with_130() -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a test runner may ignore it
        "from pytest_speedbench.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        *FEW,
        "--lengths",
        "1",
        "--rounds",
        "1000",
        "--prompts",
        "22",
        "--max-tokens",
        "64",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("[1/3000]" in line for line in iter(process.stderr.readline, ""))
        time.sleep(0.3)  # into the next round, which takes seconds
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "speedbench: interrupted"


def test_a_file_that_cannot_be_written_is_refused_early(tmp_path: Path) -> None:
    check_writable(None)
    check_writable(tmp_path / "new.json")
    with pytest.raises(ConfigError, match="cannot be written"):
        check_writable(tmp_path)


@pytest.mark.parametrize("pair", ["tiny-eagle3", "tiny-ngram"])
def test_a_real_sweep(pair: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FEW, "--pair", pair, "--lengths", "1,3", "--json", "sweep.json"]) == 0
    out, err = capsys.readouterr()
    assert "speedbench: [1/12] no drafter, concurrency 1: Output TPS " in err
    assert "speedbench: [7/12] K = 3, concurrency 1: Output TPS " in err
    assert "eagle3, K = 1, 3" in out or "ngram, K = 1, 3" in out
    assert "2 of 176 prompts; greedy, at most 8 tokens a turn; 3 rounds; intervals at 99%" in out
    assert re.search(r"  (best|fastest): K = ", out)
    (at,) = json.loads((project / "sweep.json").read_bytes())["at"]
    alone, short, long = at["rows"]
    assert len(alone["rounds"]) == 6
    assert alone["acceptance"] is None
    assert (short["different_outputs"], long["different_outputs"]) == (0, 0)
    for row in (short, long):
        assert len({measured["al_macro"] for measured in row["rounds"]}) == 1
        assert row["rounds"][0]["al_macro"] == pytest.approx(row["acceptance"]["al_macro"])
        assert row["output_tps"]["lower"] < row["output_tps"]["estimate"] < row["output_tps"]["upper"]
    if pair == "tiny-eagle3":
        assert 1 < short["acceptance"]["al_pooled"] <= 2 < long["acceptance"]["al_pooled"] <= 4


def test_every_command_keeps_the_convention() -> None:
    parser = cli._parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert set(commands.choices) == {name.replace("_", "-") for name in cli._COMMANDS}
    for command in commands.choices.values():
        assert callable(command.get_default("run"))


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    baseline = Path(__file__).parents[2] / "baselines" / "tiny-ngram" / "mini.json"
    command = [sys.executable, "-m", "pytest_speedbench.cli", "power", str(baseline), "--drop", "5%"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"speedbench (pytest-speedbench) {metadata.version('pytest-speedbench')}\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["power"], ["power", "x", "--no-such-option"]])
def test_a_command_line_that_cannot_be_parsed_ends_as_other_mistakes_do(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == EXIT_USAGE


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/proc/figures.json", "/proc/figures.json cannot be written ("),
        (".", ". cannot be written (Is a directory)"),
        ("none/figures.json", "The folder of none/figures.json does not exist."),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_anything_is_computed(
    capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    assert main(["power", "no/baseline", "--json", place]) == EXIT_USAGE
    assert said in capsys.readouterr().err
