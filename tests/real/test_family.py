"""What the bundled family is for: acceptance that differs by category, copying, and a vocabulary that can be missed."""

from __future__ import annotations

import pytest

from pytest_speedbench import Speedbench


def by_category(speedbench: Speedbench, pair: str) -> dict[str, float]:
    figures = speedbench.measure("mini", pair=pair).summary.acceptance.by_category
    lengths = {name: row.tokens_per_decode_step_macro for name, row in figures.items()}
    return {name: length for name, length in lengths.items() if length is not None}


@pytest.mark.parametrize("pair", ["tiny-eagle3", "tiny-draft"])
def test_coding_and_math_are_accepted_more_than_roleplay_and_writing(speedbench: Speedbench, pair: str) -> None:
    lengths = by_category(speedbench, pair)
    assert min(lengths["coding"], lengths["math"]) > max(lengths["roleplay"], lengths["writing"]) + 0.3


def test_prompt_lookup_pays_where_the_answer_copies(speedbench: Speedbench) -> None:
    lengths = by_category(speedbench, "tiny-ngram")
    copied = min(lengths[name] for name in ("rag", "summarization", "coding"))
    invented = max(lengths[name] for name in ("writing", "roleplay"))
    assert copied > 1.4
    assert copied > invented + 0.2


def test_pruning_hurts_multilingual_and_not_coding(speedbench: Speedbench) -> None:
    full, pruned = by_category(speedbench, "tiny-eagle3"), by_category(speedbench, "tiny-eagle3-pruned")
    assert pruned["multilingual"] < 0.75 * full["multilingual"]
    assert pruned["coding"] > 0.97 * full["coding"]


@pytest.mark.parametrize("pair", ["tiny-eagle3", "tiny-eagle3-pruned", "tiny-draft", "tiny-ngram"])
def test_every_pair_is_lossless(speedbench: Speedbench, pair: str) -> None:
    speedbench.measure("mini", pair=pair).assert_lossless()


@pytest.mark.parametrize("pair", ["tiny-eagle3", "tiny-eagle3-pruned", "tiny-draft", "tiny-ngram"])
def test_no_pair_is_worse_than_its_baseline(speedbench: Speedbench, pair: str) -> None:
    speedbench.measure("mini", pair=pair).assert_no_regression()


@pytest.mark.parametrize("size", ["256", "512", "1k"])
def test_the_throughput_splits_run(speedbench: Speedbench, size: str) -> None:
    measurement = speedbench.measure(f"mini_throughput_{size}", pair="tiny-eagle3", prompts=6, max_tokens=16)
    tokens = {turn.prompt_tokens for c in measurement.run.conversations for turn in c.turns}
    assert tokens == {1024 if size == "1k" else int(size)}
    assert measurement.output_tps is not None
