"""What is known of comparability before anything is measured: settings, prompts, and the target's small files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pytest_speedbench.baselines.fingerprint import Difference, acceptance_differences
from pytest_speedbench.baselines.shaping import shaping_of
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.identity import SERVERS_TEMPLATE, chat_template_sha256, tokenizer_sha256

if TYPE_CHECKING:
    from pytest_speedbench.baselines.schema import Baseline
    from pytest_speedbench.settings import Settings
    from pytest_speedbench.splits.schema import Split


def known_differences(stored: Baseline, settings: Settings, split: Split) -> tuple[Difference, ...]:
    """In what a run under these settings would not be comparable with a baseline, as far as that is known by now.

    The target's weights are not hashed, and what an engine makes of its arguments is not known: a run is looked at
    again. Without a drafter there is no draft length to compare.
    """
    key, sampling, drafter = stored.comparable_key, settings.sampling, settings.pair.drafter
    expected = msgspec.structs.replace(
        key,
        split_sha256=split.sha256,
        draft_length=key.draft_length if drafter is None else drafter.draft_length,
        max_output_tokens=sampling.max_output_tokens,
        temperature=sampling.temperature,
        top_p=None if sampling.greedy else sampling.top_p,
        seed=None if sampling.greedy else sampling.seed,
        ignore_eos=sampling.ignore_eos,
        shaping=shaping_of(settings.pair.engine_args) if settings.mode == "decode" else None,
    )
    checkpoint = open_checkpoint(settings.pair.model, download=False)
    if checkpoint is not None:
        expected = msgspec.structs.replace(expected, tokenizer_sha256=tokenizer_sha256(checkpoint.folder))
        if key.chat_template_sha256 != SERVERS_TEMPLATE:
            template = chat_template_sha256(checkpoint.folder)
            expected = msgspec.structs.replace(expected, chat_template_sha256=template)
    return acceptance_differences(key, expected)
