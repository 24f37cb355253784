"""The sglang adapters use what the facts say that SGLang has, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_speedbench.config import Drafter, Pair, Sampling
from pytest_speedbench.engines.base import Request
from pytest_speedbench.engines.sglang.answers import (
    StreamedAnswer,
    question,
    read_prompt,
    read_ranking,
    sampling_params,
)
from pytest_speedbench.engines.sglang.arguments import ALGORITHMS, check_arguments, engine_arguments
from pytest_speedbench.engines.sglang.record import DraftShape, draft_shape
from pytest_speedbench.engines.sglang.resolved import concurrency, devices_used
from pytest_speedbench.engines.sglang.versions import SGLANG
from pytest_speedbench.errors import EngineError
from tests.contracts.contract import load

CONTRACT = load("sglang")
NEWEST = CONTRACT.versions[-1]
DRAFTERS = (
    "ngram",
    "mtp",
    "draft_model:bundled:draft",
    "eagle:bundled:draft",
    "eagle3:bundled:eagle3",
    "dflash:bundled:draft",
)
META: dict[str, Any] = {
    "finish_reason": {"type": "stop"},
    "prompt_tokens": 1,
    "completion_tokens": 3,
    "num_retractions": 0,
    "spec_num_correct_drafts": 1,
    "spec_num_proposed_drafts": 3,
    "spec_verify_ct": 1,
    "spec_correct_drafts_histogram": [0, 1],
}
LOGPROBS: dict[str, Any] = {"input_token_logprobs": [[None, 1, None]], "output_top_logprobs": [[[-1.0, 1, None]]]}


class Read(dict[str, Any]):
    """A JSON object that remembers which of its fields were looked for."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.looked_for: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.looked_for.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.looked_for.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.looked_for.add(name)
        return super().get(name, default)


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def used(subject: str) -> set[str]:
    return set(CONTRACT.fact(subject, NEWEST).used)


def pair(drafter: str | None, **args: Any) -> Pair:
    return Pair("p", "sglang", "bundled:target", Drafter.parse(drafter) if drafter else None, args)


def test_the_facts_are_on_the_versions_that_the_adapter_claims() -> None:
    first, last = SGLANG.oldest[2], SGLANG.newest[2]
    assert list(CONTRACT.versions) == [f"0.5.{patch}" for patch in range(first, last + 1)]


def test_arguments() -> None:
    given = {name for drafter in (None, *DRAFTERS) for name in engine_arguments(pair(drafter))}
    assert given == used("Engine")


def test_what_the_pair_says_is_refused_by_names_that_sglang_has() -> None:
    names = set(CONTRACT.fact("Engine", NEWEST).names)
    refused = set()
    for name in names:
        try:
            check_arguments(pair("eagle3:bundled:eagle3", **{name: 1}))
        except EngineError:
            refused.add(name)
    assert refused == {
        "model_path",
        "speculative_algorithm",
        "speculative_draft_model_path",
        "speculative_num_steps",
        "speculative_num_draft_tokens",
        "speculative_dflash_block_size",
    }


def test_algorithms() -> None:
    assert set(ALGORITHMS.values()) == used("speculative_algorithm")


def test_requests() -> None:
    asked = {"input_ids", "sampling_params", "rid", "stream"}  # as SglangEngine.generate passes them
    asked |= question((1,), top_logprobs_num=1, logprob_start_len=0).keys()
    assert asked == used("Engine.async_generate")
    assert sampling_params(Sampling(1)).keys() == used("SamplingParams")


def test_answers() -> None:
    meta = Read({**META, **LOGPROBS})
    chunk = Read({"output_ids": [1, 2, 3], "meta_info": meta})
    answer = StreamedAnswer(Request("r", (1,), Sampling(9)), DraftShape(3))
    assert answer.read(chunk) == (1, 2, 3)
    assert answer.finished
    record = answer.finish().acceptance
    assert record is not None
    assert record.histogram == (0, 1, 0, 0)
    assert read_ranking(chunk, 1) == ((1, -1.0),)
    assert read_prompt(chunk) == (1,)
    assert chunk.looked_for == used("answer")
    known = CONTRACT.fact("meta_info", NEWEST)
    assert meta.looked_for == known.used


@pytest.mark.parametrize("reason", CONTRACT.fact("finish_reason.type", NEWEST).names)
def test_ends(reason: str) -> None:
    answer = StreamedAnswer(Request("r", (1,), Sampling(3)), None)
    answer.read({"output_ids": [1, 2, 3], "meta_info": {**META, "finish_reason": {"type": reason}}})
    if reason in used("finish_reason.type"):
        assert answer.finish().reason == reason
    else:
        with pytest.raises(EngineError, match="abort"):
            answer.finish()


def test_the_server() -> None:
    info = Read({"tp_size": 2, "pp_size": 1, "dp_size": 1, "speculative_algorithm": "EAGLE"})
    info.update(speculative_num_steps=3, speculative_eagle_topk=1, speculative_num_draft_tokens=4)
    assert devices_used(info) == 2
    assert draft_shape(info) == DraftShape(3)
    info["speculative_algorithm"] = "NGRAM"
    assert draft_shape(info) == DraftShape(3, tree_tokens=3, full_drafts=False)
    elsewhere = {"version", "device", "internal_states"}  # as SglangServeEngine reads them
    assert info.looked_for | elsewhere == used("GET /server_info")
    state = Read({"effective_max_running_requests_per_dp": 4})
    assert concurrency([state]) == 4
    assert state.looked_for == used("entry of internal_states")
