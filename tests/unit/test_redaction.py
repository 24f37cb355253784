"""No secret gets out, and what only sounds like one stays readable."""

from __future__ import annotations

import json
import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_speedbench.errors import EngineError
from pytest_speedbench.redaction import is_secret_name, redact_text, redacted

SECRET_NAMES = [
    "hf_token", "HF_TOKEN", "token", "api_key", "apiKey", "X-Api-Key", "OPENAI_API_KEY", "access_token", "auth_token",
    "password", "db_password", "client_secret", "secret_key", "aws_secret_access_key", "Authorization", "Cookie",
    "refreshToken", "use_auth_token", "ssl_keyfile_password", "wandb_api_key", "session_token", "access_tokens",
]  # fmt: skip
READABLE_NAMES = [
    "num_speculative_tokens", "max_tokens", "max_completion_tokens", "tokenizer", "tokenizer_mode", "eos_token_id",
    "eos_token", "pad_token", "mask_token", "stop_token_ids", "return_token_ids", "skip_special_tokens", "draft_tokens",
    "num_draft_tokens", "context_tokens", "max_num_batched_tokens", "api_key_env", "api_key_file", "token_map",
    "kv_cache_dtype", "num_key_value_heads", "key", "author", "noise_token", "batch_tokens", "dtype", "keys",
]  # fmt: skip
SECRETS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=12, max_size=40).filter(
    lambda text: not text.isdigit()
)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", READABLE_NAMES)
def test_a_name_that_only_sounds_like_one(name: str) -> None:
    assert not is_secret_name(name)


@given(st.sampled_from(SECRET_NAMES), SECRETS)
def test_no_form_of_writing_a_secret_lets_it_out(name: str, secret: str) -> None:
    for text in (
        f"{name}={secret}",
        f"--speedbench-engine-args=dtype=float32,{name}={secret}",
        f"--{name.replace('_', '-')} {secret}",
        f"--{name}={secret} --dtype float32",
        f"{name}: {secret}",
        json.dumps({"extra_body": {name: secret}}),
        json.dumps(json.dumps({name: secret})),
        shlex.join(["pytest", "--speedbench-engine-args=" + json.dumps({name: secret})]),
        f"GET http://host/v1?{name}={secret}&limit=5",
    ):
        assert secret not in redact_text(text), text


@given(SECRETS)
def test_no_place_of_a_secret_lets_it_out(secret: str) -> None:
    for text in (
        f"The endpoint 'http://user:{secret}@host:8000' is no URL.",
        f"http://{secret}@host/v1",
        f"user:{secret}@host:8000",
        f"Authorization: Bearer {secret}1.",
        f"'authorization': 'Bearer {secret}'",
        f"authorization: Basic {secret}",
        f"hf_{secret}A1",
        f"refused sk-{secret} as a key",
    ):
        assert secret not in redact_text(text), text


@given(st.sampled_from(READABLE_NAMES), SECRETS)
def test_what_is_readable_stays(name: str, value: str) -> None:
    for text in (f"{name}={value}", f"--{name} {value}", json.dumps({name: value})):
        assert redact_text(text) == text
    assert redacted({name: value, "n": [value]}) == {name: value, "n": [value]}


@given(st.sampled_from([*SECRET_NAMES, *READABLE_NAMES]), SECRETS)
def test_redacting_twice_changes_nothing(name: str, value: str) -> None:
    once = redact_text(f"--{name} {value} http://{value}@host {name}={value}")
    assert redact_text(once) == once


@given(st.sampled_from(SECRET_NAMES), SECRETS)
def test_plain_data_keeps_its_shape(name: str, secret: str) -> None:
    found = redacted({"a": [{name: secret, "seed": 3}], name: {"inner": [secret, 5]}, "headers": {name: secret}})
    assert secret not in json.dumps(found)
    assert (found["a"][0]["seed"], found[name]["inner"][1]) == (3, 5)


@pytest.mark.parametrize(
    "text",
    [
        "The pair 'big' says dtype = float32, and the engine argument dtype says bfloat16.",
        "Request 7 needs 50 prompt and 64 output tokens, and the context has room for 99.",
        "There is no model folder '/models/llama-3@main'. Check the path, or give a hub id such as org/name.",
        "pytest --speedbench-pair=a --speedbench-draft-length 3 --speedbench-split=hub:org/name@rev test_a.py::test_b",
        "hf_overrides: {'rope_theta': 10000}",
        "token: 5, api_key=true, a bearer of news",
        "git@github.com is no server; http://localhost:8000/v1 is",
    ],
)
def test_plain_words_stay(text: str) -> None:
    assert redact_text(text) == text


def test_errors_hold_no_secret_however_they_are_shown() -> None:
    error = EngineError("No http://me:hunter22@host.", "Set api_key=hunter22.", "header Authorization: Bearer hunter22")
    shown = [str(error), repr(error), error.problem, error.remedy, error.output]
    assert not any("hunter22" in text for text in shown)


@pytest.mark.parametrize("text", ["a" * 200_000, "a.b:" * 50_000, "x=" * 100_000, "--" * 100_000, "token " * 30_000])
def test_long_output_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - started < 5
