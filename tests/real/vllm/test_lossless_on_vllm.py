"""Greedy outputs on vLLM against the target's own, and how near to a tie the target was where two outputs part."""

from __future__ import annotations

from pytest_speedbench import Speedbench
from pytest_speedbench.metrics.lossless import differences
from pytest_speedbench.session import MOST_JUDGED
from tests.real.vllm.conftest import vllm_pair

EAGLE3 = "eagle3:bundled:eagle3"
PROMPTS = 88


def test_a_pair_is_lossless_in_bfloat16_but_for_near_ties(speedbench: Speedbench, vllm_python: str) -> None:
    """In float32 every pair is, on all prompts: its outputs equal the transformers engine's.

    How requests are batched decides how they round, so most runs show no difference and some a tie that fell otherwise.
    """
    pair = vllm_pair("tiny-eagle3-bfloat16", EAGLE3, vllm_python, dtype="bfloat16")
    speedbench.measure("mini", pair=pair, concurrency=16, prompts=PROMPTS).assert_lossless(near_ties=True)


def test_the_targets_logits_say_how_near_a_tie_was(speedbench: Speedbench, vllm_python: str) -> None:
    """Two dtypes do part. Wherever they do, float32 prefers its own token, as greedy decoding must, and by little."""
    coarse = vllm_pair("tiny-eagle3-bfloat16", EAGLE3, vllm_python, dtype="bfloat16")
    other = speedbench.measure("mini", pair=coarse, concurrency=16, prompts=PROMPTS).run
    alone = speedbench.measure(
        "mini", pair=vllm_pair("tiny-target", None, vllm_python), concurrency=16, prompts=PROMPTS
    )
    found = differences(alone.run, other)
    judged = speedbench._session.judge(alone.settings, alone.run, found)
    assert len(judged) == min(len(found), MOST_JUDGED) > 0
    margins = [j.margin_nats for j in judged]
    assert all(margin is not None and 0 < margin < 1 for margin in margins), margins
