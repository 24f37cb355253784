"""An EAGLE-3 head replayed over the target's auxiliary hidden states."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.replay.chain import chain_reaches
from pytest_speedbench.engines.replay.targets import Head, ReadBatch
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.eagle3_loading import load_eagle3_head
from pytest_speedbench.engines.transformers.loading import TargetFrame
from pytest_speedbench.outputs import StoredOutput


def eagle3_head(checkpoint: Checkpoint, frame: TargetFrame, draft_length: int, context_tokens: int) -> Head:
    """Load a head, full or with a pruned vocabulary.

    Raises:
        EngineError: it does not load, or does not fit the target.
    """
    loaded = load_eagle3_head(checkpoint, frame, context_tokens + draft_length)

    def reaches(batch: ReadBatch, outputs: Sequence[StoredOutput]) -> list[Reach]:
        hidden = loaded.head.fuse(batch.streams())
        return chain_reaches(loaded.head, hidden, batch, outputs, draft_length)

    return Head(loaded.layer_ids, reads_final=False, reaches=reaches)
