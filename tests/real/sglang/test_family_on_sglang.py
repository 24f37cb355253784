"""The bundled family on SGLang: the transformers engine's tokens, and its acceptance where both draft alike."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.real.sglang.asking import prompts
from tests.real.sglang.compare import DRAFTERS, compare, compare_all
from tests.real.sglang.own_drafting import Accepts, Remembered, draft_model_without_the_first_token, steps

ALIKE = ("none", "eagle3", "eagle3-pruned")
"""The other engines draft the same with them."""
OWN: dict[str, Callable[[], Accepts]] = {"draft": lambda: draft_model_without_the_first_token, "ngram": Remembered}
"""SGLang has its own way with them, and a tree has no like."""


@pytest.fixture(scope="module", params=DRAFTERS)
def compared(request: pytest.FixtureRequest, sglang_python: str) -> tuple[str, dict[str, Any]]:
    name: str = request.param
    return name, compare(sglang_python, name)


def test_the_tokens_are_the_transformers_engines(compared: tuple[str, dict[str, Any]]) -> None:
    assert {category: found["same_tokens"] for category, found in compared[1]["prompts"].items()} == dict.fromkeys(
        compared[1]["prompts"], True
    )


def test_every_step_accepts_as_many(compared: tuple[str, dict[str, Any]]) -> None:
    name, found = compared
    if name not in ALIKE:
        pytest.skip("another way to draft")
    for category, answers in found["prompts"].items():
        assert answers["sglang"] == answers["transformers"], category


def test_where_it_drafts_its_own_way_that_is_all_the_difference(compared: tuple[str, dict[str, Any]]) -> None:
    name, found = compared
    if name not in OWN:
        pytest.skip("it drafts as the others do, or a tree")
    accepts = OWN[name]()
    expected = {
        category: steps(prompts()[category], answers["sglang"]["output_ids"], accepts)
        for category, answers in found["prompts"].items()
    }
    assert {category: answers["sglang"]["emitted"] for category, answers in found["prompts"].items()} == expected


def test_every_emission_is_one_step(compared: tuple[str, dict[str, Any]]) -> None:
    name, found = compared
    if name == "none":
        pytest.skip("nothing is verified")
    for category, answers in found["prompts"].items():
        ours = answers["sglang"]
        assert len(ours["emitted"]) == 1 + sum(ours["histogram"]), category
        accepted = sorted(size - 1 for size in ours["emitted"][1:-1])
        counted = [j for j, steps in enumerate(ours["histogram"]) for _ in range(steps)]
        last = ours["emitted"][-1] + ours["discarded_tokens"] - 1
        assert sorted([*accepted, last]) == counted, category


def test_a_tree_accepts_more_than_a_chain(sglang_python: str) -> None:
    chain, tree = (compare(sglang_python, name)["sglang"]["al_pooled"] for name in ("eagle3", "eagle3-tree"))
    assert tree > chain


def test_the_figures_are_written_down(sglang_python: str) -> None:
    """Not a check: the figures that docs/sglang.md speaks of, where they are asked for."""
    path = os.environ.get("TEST_SGLANG_RESULT")
    if not path:
        pytest.skip("TEST_SGLANG_RESULT names no file")
    Path(path).write_text(json.dumps(compare_all(sglang_python), indent=1) + "\n", encoding="utf-8")
