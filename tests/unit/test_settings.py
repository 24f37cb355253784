from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.config import Drafter, DrafterMethod
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.settings import (
    COMMAND_LINE,
    Settings,
    Tolerance,
    parse_tolerance,
    read_environment,
    read_layer,
    read_project,
    resolve,
)


def settings(
    project: dict[str, Any] | None = None,
    marker: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    command_line: dict[str, Any] | None = None,
    call: dict[str, Any] | None = None,
) -> Settings:
    read = read_project(project or {})
    layers = [
        read.defaults,
        read_layer("the speedbench marker", marker or {}),
        read_environment(environment or {}),
        read_layer(COMMAND_LINE, command_line or {}),
        read_layer("the call", call or {}),
    ]
    return resolve(layers, read.pairs)


def test_without_any_setting_the_bundled_pair_is_measured() -> None:
    chosen = settings()
    assert chosen.pair.name == "tiny-eagle3"
    assert chosen.pair.drafter == Drafter(DrafterMethod.EAGLE3, "bundled:eagle3", 3)
    assert (chosen.split, chosen.load.concurrency, chosen.sampling.max_output_tokens) == ("mini", 1, 64)
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
    assert settings(command_line=served).pair.engine_args == {"dtype": "float32", "enforce_eager": True}
    there = settings(command_line={**served, "endpoint": "http://localhost:8000"}).pair
    assert (there.engine_args, there.endpoint) == ({}, "http://localhost:8000")


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5%", Tolerance(0.05)),
        ("0.05", Tolerance(0.05)),
        (0.05, Tolerance(0.05)),
        ("0", Tolerance(0.0)),
        ("1%,multilingual=5%", Tolerance(0.01, {"multilingual": 0.05})),
        ("multilingual=5%", Tolerance(0.01, {"multilingual": 0.05})),
        ({"default": "3%", "qa": 0.1}, Tolerance(0.03, {"qa": 0.1})),
    ],
)
def test_tolerances(value: Any, expected: Tolerance) -> None:
    read = parse_tolerance(value, "tolerance")
    assert (read.default, dict(read.by_category)) == (expected.default, dict(expected.by_category))
    assert read.of("multilingual") == expected.by_category.get("multilingual", expected.default)


@given(st.floats(min_value=0, max_value=0.999))
def test_a_share_survives_its_percent_form(share: float) -> None:
    assert parse_tolerance(f"{share * 100}%", "tolerance").default == pytest.approx(share)


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
        ({"command_line": {"tolerance": "100%"}}, "holds '100%'"),
        ({"command_line": {"tolerance": "-1%"}}, "holds '-1%'"),
        ({"command_line": {"tolerance": "nan"}}, "holds 'nan'"),
        ({"command_line": {"tolerance": "qa=1%,qa=2%"}}, "two tolerances for one category"),
    ],
)
def test_mistakes_get_one_clear_sentence(sources: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**sources)
    assert message in str(caught.value)
    assert caught.value.remedy


@given(st.dictionaries(st.sampled_from(["pair", "model", "drafter", "prompts", "tolerance", "split"]), st.text()))
def test_any_text_is_read_or_refused(raw: dict[str, str]) -> None:
    with contextlib.suppress(ConfigError):
        settings(command_line=raw)
