from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.cli.common import add_gate_options, settings_of
from pytest_speedbench.config import Drafter, DrafterMethod, EngineArg, Pair
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.options import OPTIONS
from pytest_speedbench.settings import (
    COMMAND_LINE,
    Settings,
    read_environment,
    read_layer,
    read_project,
    resolve,
)
from pytest_speedbench.splits.source import InputLength, SplitSource
from pytest_speedbench.tolerance import Allowance, Tolerance


def settings(
    project: dict[str, Any] | None = None,
    marker: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    command_line: dict[str, Any] | None = None,
    call: dict[str, Any] | None = None,
) -> Settings:
    closer = [
        read_layer("the speedbench marker", marker or {}),
        read_environment(environment or {}),
        read_layer(COMMAND_LINE, command_line or {}),
        read_layer("the call", call or {}),
    ]
    return resolve(read_project(project or {}), closer)


def test_without_any_setting_the_bundled_pair_is_measured() -> None:
    chosen = settings()
    assert chosen.pair.name == "tiny-eagle3"
    assert chosen.pair.drafter == Drafter(DrafterMethod.EAGLE3, "bundled:eagle3", 3)
    assert (chosen.split.source, chosen.load.concurrency, chosen.sampling.max_output_tokens) == ("mini", 1, 64)
    assert chosen.baseline_dir == Path("baselines")
    assert not chosen.update


def test_the_closest_source_wins() -> None:
    sources: dict[str, Any] = {
        "project": {"prompts": 1},
        "marker": {"prompts": 2},
        "environment": {"SPEEDBENCH_PROMPTS": "3"},
        "command_line": {"prompts": "4"},
        "call": {"prompts": 5},
    }
    for expected in (5, 4, 3, 2, 1):
        assert settings(**sources).prompts == expected
        sources.popitem()
    assert settings().prompts is None


def test_a_named_pair_of_the_project() -> None:
    table = {"engine": "vllm", "model": "/m", "drafter": "eagle3:/h", "draft_length": 5, "engine_args": {"tp": 2}}
    chosen = settings({"pair": "big", "pairs": {"big": table}})
    assert (chosen.pair.name, chosen.pair.engine, chosen.pair.model) == ("big", "vllm", "/m")
    assert chosen.pair.drafter == Drafter(DrafterMethod.EAGLE3, "/h", 5)
    assert chosen.pair.engine_args == {"tp": 2}


def test_a_candidate_drafter_keeps_the_pairs_name_and_draft_length() -> None:
    project = {"pairs": {"big": {"model": "/m", "drafter": "eagle3:/h", "draft_length": 5}}}
    chosen = settings(project, command_line={"pair": "big", "drafter": "eagle3:/new"})
    assert chosen.pair.name == "big"
    assert chosen.pair.drafter == Drafter(DrafterMethod.EAGLE3, "/new", 5)


def test_a_model_on_the_command_line_replaces_the_projects_pair() -> None:
    chosen = settings({"pair": "tiny-eagle3"}, command_line={"model": "/m", "drafter": "ngram"})
    assert (chosen.pair.model, chosen.pair.name) == ("/m", "transformers-m-ngram")


def test_a_pair_named_in_code_means_exactly_that_pair() -> None:
    chosen = settings(command_line={"drafter": "ngram", "draft_length": "7"}, call={"pair": "tiny-eagle3-pruned"})
    assert chosen.pair.drafter == Drafter(DrafterMethod.EAGLE3, "bundled:eagle3-pruned", 3)


@pytest.mark.parametrize("where", ["environment", "command_line"])
def test_an_engine_asked_for_outside_holds_for_every_pair(where: str) -> None:
    key = "SPEEDBENCH_ENGINE" if where == "environment" else "engine"
    assert settings(**{where: {key: "vllm"}}, call={"pair": "tiny-draft"}).pair.engine == "vllm"


def test_engine_arguments_belong_to_the_engine_they_were_written_for() -> None:
    assert settings(command_line={"pair": "tiny-draft"}).pair.engine_args["threads"] == 1
    assert "threads" not in settings(command_line={"pair": "tiny-draft", "engine": "vllm"}).pair.engine_args


def test_a_bundled_pair_brings_arguments_for_vllm_unless_the_server_runs_already() -> None:
    served = {"pair": "tiny-eagle3", "engine": "vllm-serve"}
    started = settings(command_line=served).pair
    assert (started.dtype, started.engine_args, started.dropped) == ("float32", {"enforce_eager": True}, ())
    there = settings(command_line={**served, "endpoint": "http://localhost:8000"}).pair
    assert (there.dtype, there.engine_args, there.endpoint) == (None, {}, "http://localhost:8000")


def test_engine_arguments_add_up_until_the_engine_changes() -> None:
    project = {"engine": "vllm", "engine_args": {"dtype": "float32"}}
    same = settings(project, command_line={"model": "/m", "engine_args": "max_num_seqs=4"}).pair
    assert same.engine_args == {"dtype": "float32", "max_num_seqs": 4}
    other = settings(project, command_line={"model": "/m", "engine": "sglang", "engine_args": "tp_size=2"}).pair
    assert other.engine_args == {"tp_size": 2}


def test_a_projects_default_engine_yields_to_the_pairs_own() -> None:
    project = {"engine": "vllm", "pairs": {"big": {"engine": "sglang", "model": "/m"}}}
    assert settings(project, command_line={"pair": "big"}).pair.engine == "sglang"
    assert settings(project, command_line={"model": "/m"}).pair.engine == "vllm"


def test_none_measures_the_target_alone() -> None:
    chosen = settings(command_line={"pair": "tiny-eagle3", "drafter": "none"})
    assert chosen.pair.drafter is None


def test_lists_and_flags() -> None:
    chosen = settings(command_line={"categories": " math , coding,math", "update": True})
    assert chosen.categories == ("math", "coding")
    assert chosen.update
    assert settings(environment={"SPEEDBENCH_UPDATE": "yes"}).update
    assert not settings(environment={"SPEEDBENCH_UPDATE": "off"}).update
    assert settings({"categories": ["qa"]}).categories == ("qa",)


def test_what_the_gate_does_unless_told_otherwise() -> None:
    chosen = settings()
    assert (chosen.policy, chosen.family_error, chosen.sequential) == ("detect", 0.01, True)
    assert (chosen.repeat, chosen.rounds, chosen.tolerance) == (1, 6, Tolerance())


@pytest.mark.parametrize(
    ("key", "text", "value", "expected"),
    [
        ("policy", "prove", "prove", "prove"),
        ("family_error", "5%", 0.05, 0.05),
        ("family_error", "0.001", "0.1%", 0.001),
        ("sequential", "off", False, False),
        ("sequential", "on", True, True),
        ("sequential", "false", "off", False),
        ("repeat", "4", 4, 4),
        ("rounds", "3", 3, 3),
    ],
)
def test_the_gates_settings_from_every_source(key: str, text: str, value: Any, expected: Any) -> None:
    variable = next(option.variable for option in OPTIONS if option.key == key)
    sources: list[dict[str, Any]] = [
        {"command_line": {key: text}},
        {"environment": {variable: text}},
        {"project": {key: value}},
        {"marker": {key: value}},
        {"call": {key: value}},
    ]
    for source in sources:
        assert getattr(settings(**source), key) == expected


def test_commands_that_gate_take_what_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.speedbench]\ntolerance = "qa=5%"\npolicy = "prove"\n')
    parser = argparse.ArgumentParser()
    add_gate_options(parser)
    flags = [string for action in parser._actions for string in action.option_strings]
    assert flags == ["-h", "--help", "--baseline-dir", "--tolerance", "--policy", "--outputs", "--family-error"]
    given = ["--tolerance=2%,al_macro:qa=3%", "--family-error=5%", "--baseline-dir=stored"]
    chosen = settings_of(parser.parse_args(given))
    assert (chosen.policy, chosen.family_error, chosen.baseline_dir) == ("prove", 0.05, Path("stored"))
    assert [chosen.tolerance.of("al_macro", name).value for name in ("qa", "rag")] == [0.03, 0.02]
    assert chosen.tolerance.of("al_pooled", "qa") == Allowance(0.05)
    assert "METRIC:CATEGORY" in parser.format_help()


SMALL = {"pairs": {"big": {"model": "/m", "tolerance": "4%"}}, "splits": {"my.jsonl": {"tolerance": {"default": 0.03}}}}


def test_tolerances_from_the_weakest_source_to_the_strongest() -> None:
    sources: dict[str, dict[str, Any]] = {
        "project": {**SMALL, "tolerance": "2%"},
        "marker": {"tolerance": "5%"},
        "environment": {"SPEEDBENCH_TOLERANCE": "6%"},
        "command_line": {"tolerance": "7%"},
        "call": {"tolerance": "8%", "pair": "big", "split": "my.jsonl"},
    }
    assert settings(**sources).tolerance.plain == Allowance(0.08)
    sources["call"].pop("tolerance")
    for source, strongest in (("command_line", 0.07), ("environment", 0.06), ("marker", 0.05)):
        assert settings(**sources).tolerance.plain == Allowance(strongest)
        sources.pop(source)
    assert settings(**sources).tolerance.plain == Allowance(0.04)  # the pair's
    assert settings(SMALL, call={"split": "my.jsonl"}).tolerance.plain == Allowance(0.03)  # the split's
    assert settings({**SMALL, "tolerance": "2%"}, call={"split": "mini"}).tolerance.plain == Allowance(0.02)
    assert settings(SMALL).tolerance.plain == Allowance(0.01)


def test_tolerances_are_merged_rule_by_rule() -> None:
    project = {
        "tolerance": "2%,qa=3%",
        "pairs": {"big": {"model": "/m", "tolerance": {"qa": "4%", "al_pooled": "0.1abs"}}},
        "splits": {"small": {"tolerance": "qa=9%,ttft=20%,math=6%"}},
    }
    chosen = settings(project, {"split": "small"}, command_line={"pair": "big", "tolerance": "math=7%"}).tolerance
    assert chosen.rules == {
        (None, None): Allowance(0.02),
        (None, "qa"): Allowance(0.04),
        (None, "math"): Allowance(0.07),
        ("al_pooled", None): Allowance(0.1, absolute=True),
        ("ttft", None): Allowance(0.2),
    }


def test_the_tolerance_of_a_pair_and_of_a_split_may_be_the_default_ones() -> None:
    project = {
        "pairs": {"tiny-eagle3": {"model": "/m", "tolerance": "4%"}},
        "splits": {"mini": {"tolerance": "qa=3%"}},
    }
    rules = {(None, None): Allowance(0.04), (None, "qa"): Allowance(0.03)}
    assert settings(project).tolerance.rules == rules
    assert settings(project, command_line={"drafter": "ngram", "pair": "tiny-eagle3"}).tolerance.rules == rules


def test_a_pairs_tolerance_does_not_make_it_another_pair() -> None:
    table = {"model": "/m", "drafter": "ngram"}
    with_it = settings({"pair": "big", "pairs": {"big": {**table, "tolerance": "5%"}}})
    assert with_it.pair == settings({"pair": "big", "pairs": {"big": table}}).pair


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"command_line": {"pair": "tiny-eagel3"}}, "no pair named 'tiny-eagel3'. Did you mean 'tiny-eagle3'?"),
        (
            {"command_line": {"pair": "tiny-eagle3", "model": "/m"}},
            "--speedbench-pair and --speedbench-model contradict",
        ),
        ({"environment": {"SPEEDBENCH_PAIR": "x", "SPEEDBENCH_MODEL": "/m"}}, "SPEEDBENCH_PAIR and SPEEDBENCH_MODEL"),
        ({"command_line": {"drafter": "none", "draft_length": "3"}}, "--speedbench-draft-length contradicts"),
        ({"command_line": {"model": "/m", "draft_length": "3"}}, "the pair has no drafter"),
        ({"command_line": {"drafter": "eagel3:/h"}}, "Unknown drafter 'eagel3:/h'"),
        ({"command_line": {"drafter": "eagle3"}}, "names no model"),
        ({"command_line": {"drafter": "ngram:/h"}}, "takes no model"),
        ({"command_line": {"prompts": "0"}}, "--speedbench-prompts is 0"),
        ({"command_line": {"prompts": "-3"}}, "--speedbench-prompts is -3"),
        ({"command_line": {"concurrency": "many"}}, "--speedbench-concurrency is 'many', which is no whole number"),
        ({"environment": {"SPEEDBENCH_MAX_TOKENS": "1.5"}}, "SPEEDBENCH_MAX_TOKENS is '1.5'"),
        ({"environment": {"SPEEDBENCH_MAXTOKENS": "5"}}, "Did you mean 'SPEEDBENCH_MAX_TOKENS'?"),
        ({"environment": {"SPEEDBENCH_UPDATE": "perhaps"}}, "SPEEDBENCH_UPDATE is 'perhaps'"),
        ({"project": {"drafer": "ngram"}}, "no setting 'drafer' ([tool.speedbench]). Did you mean 'drafter'?"),
        ({"project": {"prompts": True}}, "prompts in [tool.speedbench] is True"),
        ({"project": {"pairs": {"a": 3}}}, "not a table of tables"),
        ({"project": {"pairs": {"a": {}}}}, "[tool.speedbench.pairs.a] names no model"),
        ({"project": {"pairs": {"a": {"model": ""}}}}, "model in [tool.speedbench.pairs.a] is ''"),
        ({"project": {"pairs": {"a": {"model": "/m", "k": 1}}}}, "no setting 'k' in [tool.speedbench.pairs.a]"),
        ({"project": {"pairs": {"a": {"model": "/m", "draft_length": 2}}}}, "has a draft_length but no drafter"),
        ({"project": {"pairs": {"a": {"model": "/m", "engine_args": 1}}}}, "engine_args in"),
        ({"marker": {"speed": 1}}, "no setting 'speed' (the speedbench marker)"),
        ({"command_line": {"categories": " , "}}, "--speedbench-categories names nothing"),
        ({"command_line": {"split": " "}}, "--speedbench-split is ' '"),
        ({"command_line": {"tolerance": "often"}}, "--speedbench-tolerance holds 'often'"),
        ({"project": {"tolerance": "1"}}, "tolerance in [tool.speedbench] holds '1'"),
        ({"project": {"pairs": {"a": {"model": "/m", "tolerance": "x"}}}}, "in [tool.speedbench.pairs.a] holds 'x'"),
        ({"project": {"splits": {"a": {"tolerance": True}}}}, "tolerance in [tool.speedbench.splits.a] holds True"),
        ({"project": {"splits": []}}, "splits in [tool.speedbench] is not a table of tables. Write each split as"),
        ({"project": {"splits": {"a": {"tolerence": 0}}}}, "in [tool.speedbench.splits.a]. Did you mean 'tolerance'?"),
        ({"project": {"splits": {"a": {"jsonl": {"tolerance": 0}}}}}, '[tool.speedbench.splits."FILE.jsonl"]'),
        ({"command_line": {"policy": "proof"}}, "--speedbench-policy is 'proof'. Did you mean 'prove'?"),
        ({"project": {"policy": ["prove"]}}, "policy in [tool.speedbench] is ['prove']. Give detect or prove."),
        ({"command_line": {"family_error": "0"}}, "--speedbench-family-error is '0'. Give a share"),
        ({"command_line": {"family_error": "50%"}}, "--speedbench-family-error is '50%'"),
        ({"environment": {"SPEEDBENCH_FAMILY_ERROR": "nan"}}, "SPEEDBENCH_FAMILY_ERROR is 'nan'"),
        ({"marker": {"family_error": True}}, "family_error in the speedbench marker is True"),
        ({"command_line": {"sequential": "maybe"}}, "--speedbench-sequential is 'maybe'. Give on or off"),
        ({"project": {"sequential": 2}}, "sequential in [tool.speedbench] is 2"),
        ({"command_line": {"repeat": "0"}}, "--speedbench-repeat is 0"),
        ({"command_line": {"rounds": "2"}}, "--speedbench-rounds is 2, which is too few"),
        ({"command_line": {"rounds": "some"}}, "--speedbench-rounds is 'some', which is no whole number"),
    ],
)
def test_mistakes_get_one_clear_sentence(sources: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**sources)
    assert message in str(caught.value)
    assert caught.value.remedy


@given(st.dictionaries(st.sampled_from([option.key for option in OPTIONS]), st.text()))
def test_any_text_is_read_or_refused(raw: dict[str, str]) -> None:
    with contextlib.suppress(ConfigError):
        settings(command_line=raw)


def test_a_named_split_is_its_source_with_all_that_is_said_of_it() -> None:
    table = {"source": "chats.parquet", "columns": {"turns": "prompt"}, "isl": "2k", "allow_placeholders": "skip"}
    chosen = settings({"splits": {"ours": table}}, command_line={"split": "ours", "isl": "100:o200k_base"})
    assert chosen.split == SplitSource(
        "chats.parquet", "ours", (("turns", "prompt"),), skip_placeholders=True, isl=InputLength(100, "o200k_base")
    )


def test_what_is_said_of_a_split_does_not_hold_for_another() -> None:
    project = {"split": "own.jsonl", "columns": "turns=prompt", "where": "turns>=2"}
    assert settings(project).split.columns == (("turns", "prompt"),)
    chosen = settings(project, command_line={"split": "mini"})
    assert (chosen.split, chosen.where) == (SplitSource("mini"), ())


def test_conditions_of_a_named_split_and_of_the_command_line_both_hold() -> None:
    chosen = settings({"splits": {"mini": {"where": "turns>=2"}}}, command_line={"where": "category=qa"})
    assert [str(condition) for condition in chosen.where] == ["turns>=2", "category=qa"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split": "random:1k", "isl": "2k"}, "have a length of their own"),
        ({"split": "hub:name"}, "hub:OWNER/NAME"),
        ({"columns": "turns"}, "OURS=THEIRS"),
        ({"isl": "2k:gpt2"}, "names the tokenizer 'gpt2'"),
        ({"allow_placeholders": "on"}, "Write skip"),
    ],
)
def test_splits_that_cannot_be_meant(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(command_line=given)


def test_the_cache_is_the_users_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert settings().cache_dir == tmp_path / "pytest-speedbench"
    assert settings(command_line={"cache_dir": "off"}).cache_dir is None
    assert settings({"cache_dir": "tokens"}).cache_dir == Path("tokens")


def test_a_command_starts_the_server_of_its_pair() -> None:
    project = {"pairs": {"gguf": {"engine": "openai", "model": "/m", "drafter": "ngram", "command": "serve {port}"}}}
    pair = settings(project, command_line={"pair": "gguf"}).pair
    assert (pair.command, pair.server) == ("serve {port}", "The server that the pair's command starts")
    other = settings(project, command_line={"pair": "gguf", "command": "other {port}"}).pair
    assert other.command == "other {port}"
    switched = settings(project, command_line={"pair": "gguf", "engine": "vllm"}).pair
    assert (switched.command, switched.server) == (None, None)


def test_the_target_alone_has_nothing_of_a_drafter() -> None:
    args: dict[str, EngineArg] = {
        "dtype": "float32",
        "speculative_config": {"prompt_lookup_max": 5},
        "speculative_eagle_topk": 4,
    }
    pair = Pair("p", "vllm", "/m", Drafter.parse("ngram"), args)
    assert pair.alone() == Pair("/m alone", "vllm", "/m", None, {"dtype": "float32"})


def test_what_means_the_same_everywhere_outlives_a_change_of_engine() -> None:
    table = {
        "model": "/m",
        "dtype": "bf16",
        "tensor_parallel": 2,
        "context_tokens": 4096,
        "engine_args": {"threads": 2},
    }
    pair = settings({"pairs": {"big": table}}, command_line={"pair": "big", "engine": "vllm"}).pair
    assert (pair.dtype, pair.tensor_parallel, pair.context_tokens) == ("bfloat16", 2, 4096)
    assert pair.engine_args == {}


def test_what_is_said_for_another_engine_is_named_and_its_values_are_not() -> None:
    table = {"model": "/m", "python": "/venv/bin/python", "engine_args": {"token": "hf_secret"}}
    dropped = settings({"pairs": {"big": table}}, command_line={"pair": "big", "engine": "vllm"}).pair.dropped
    assert [words.partition(":")[0] for words in dropped] == [
        "engine_args.token, python of the pair 'big' are for transformers, not vllm"
    ]
    assert not settings({"pairs": {"big": table}}, command_line={"pair": "big"}).pair.dropped


def test_settings_of_the_project_that_do_not_hold_are_named() -> None:
    project = {"engine": "vllm", "engine_args": {"max_num_seqs": 4}, "dtype": "float32"}
    other = settings(project, command_line={"model": "/m", "engine": "sglang"}).pair
    assert (other.dtype, other.engine_args) == ("float32", {})
    assert other.dropped[0].startswith("engine_args.max_num_seqs of weaker settings is for vllm, not sglang, which")
    paired = settings(project, command_line={"pair": "tiny-eagle3"}).pair
    assert "engine_args.max_num_seqs, dtype of weaker settings are for other pairs" in paired.dropped[0]
