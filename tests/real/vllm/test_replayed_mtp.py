"""A multi-token-prediction layer replayed and on real vLLM, which drafts every token with it: the same counts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import Drafter, DrafterMethod, Load, Pair, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import write_outputs
from pytest_speedbench.splits import load_split, select
from tests.real.vllm.conftest import SLOW, vllm_pair
from tests.unit.engines.mtp_targets import write_glm_target

LIMIT = 32


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random target that speaks the bundled target's tokens."""
    folder = write_glm_target(tmp_path_factory.mktemp("glm") / "target", vocab_size=4096, max_position_embeddings=2048)
    for path in (BUNDLED_FOLDER / "target").iterdir():
        if not (folder / path.name).exists():
            shutil.copy(path, folder)
    return folder


def mtp_pair(target: Path, python: str, draft_length: int) -> Pair:
    drafting = Drafter(DrafterMethod.MTP, None, draft_length)
    return replace(vllm_pair("tiny-mtp", None, python), model=str(target), drafter=drafting)


@SLOW
@pytest.mark.parametrize("draft_length", [1, 3])
def test_every_prompt_is_counted_as_vllm_counts_it(
    vllm_python: str, target: Path, tmp_path: Path, draft_length: int
) -> None:
    decoding = mtp_pair(target, vllm_python, draft_length)
    prompts, sampling = select(load_split("mini"), prompts=22), Sampling(LIMIT, ignore_eos=True)
    outputs = tmp_path / "mini.outputs"
    with Runner() as runner:
        decoded = prompt_entries(
            runner.measure(
                decoding, prompts, sampling, Load(8), keep_outputs=lambda found: write_outputs(outputs, found)
            )
        )
        again = prompt_entries(runner.measure(replayed(decoding, outputs), prompts, sampling, Load(4)))
    assert len(again) == 22
    assert again == decoded
    accepted = {length for entry in decoded for length, steps in enumerate(entry.histogram) if steps}
    assert accepted >= set(range(min(draft_length, 2) + 1))
