"""vLLM's counts where a prompt is read in chunks: not the replayed ones, and which error makes them so.

At the end of a chunk the head pairs the target's hidden state with the embedding of the token that follows, which vLLM
0.32 takes from the prompt's end instead of from behind the chunk. The head's keys and values there stay wrong, so its
drafts depend on where prompts were cut, and that on what else was asked. The target's output is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Load, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.measure.prompts import ids_hash
from pytest_speedbench.measure.run import Run, Turn
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.metrics.replay_differences import Cause, differences_of, may_be_cut
from pytest_speedbench.outputs import StoredOutput, read_outputs
from tests.real.vllm.conftest import SLOW
from tests.real.vllm.test_replay_on_vllm import OUTPUTS, PART, SAMPLING, pair_of

CHUNK_TOKENS = 24
DRAFT_LENGTH = 3


def measured(pair: Pair) -> Run:
    """One request at a time, so that every chunk but the last is full."""
    with Runner() as runner:
        return runner.measure(pair, PART, SAMPLING, Load(1))


def judged(outputs: Sequence[StoredOutput], chunk_tokens: int | None, patch: pytest.MonkeyPatch) -> list[Any]:
    """Replayed records of the EAGLE-3 head, as if it had made that error at the end of every chunk."""
    from pytest_speedbench.engines.replay.eagle3 import eagle3_head
    from pytest_speedbench.engines.replay.targets import LiveTarget
    from pytest_speedbench.engines.replay.walk import record_of
    from pytest_speedbench.engines.transformers.eagle3 import Eagle3Head
    from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
    from pytest_speedbench.engines.transformers.options import TransformersOptions

    placement = Placement.choose(TransformersOptions.parse({}))
    target = LiveTarget(load_language_model(open_checkpoint("bundled:target", download=True), placement), 8192)
    head = eagle3_head(open_checkpoint("bundled:eagle3", download=True), target.frame, DRAFT_LENGTH, 2048)
    enter, reading = Eagle3Head.enter, list[tuple[int, ...]]()

    def erring(self: Eagle3Head, token_ids: Any, hidden: Any, positions: Any) -> Any:
        if token_ids.dim() == 2 and chunk_tokens is not None:  # all pairs of one text, and no drafts
            token_ids = token_ids.clone()
            token_ids[0, chunk_tokens - 1 : len(reading[-1]) - 1 : chunk_tokens] = reading[-1][-1]
        return enter(self, token_ids, hidden, positions)

    patch.setattr(Eagle3Head, "enter", erring)
    records = []
    for stored in outputs:
        reading.append(stored.prompt_ids)
        records.append(record_of(stored, head.judged(target, [stored])[0], DRAFT_LENGTH, 2048))
    return records


def differing(turns: Mapping[str, Turn], outputs: Sequence[StoredOutput], records: Sequence[AcceptanceRecord]) -> int:
    """How many requests have other counts."""
    found = 0
    for stored, record in zip(outputs, records, strict=True):
        ours = turns[ids_hash(stored.prompt_ids)].acceptance
        assert ours is not None
        counts = (ours.histogram, ours.proposed_tokens, ours.undrafted_steps, ours.discarded_tokens)
        found += counts != (record.histogram, record.proposed_tokens, record.undrafted_steps, record.discarded_tokens)
    return found


@SLOW
def test_a_heads_counts_are_those_of_the_error_at_every_chunks_end(
    vllm_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = {"max_num_batched_tokens": CHUNK_TOKENS, "max_num_seqs": 4, "enable_chunked_prefill": True}
    pair = pair_of("tiny-eagle3", DRAFT_LENGTH, vllm_python, **args)
    decoded, replay = measured(pair), measured(replayed(pair, OUTPUTS))
    turns = {turn.prompt_sha256: turn for conversation in decoded.conversations for turn in conversation.turns}
    stored = read_outputs(OUTPUTS).rows
    asked = [row for row in stored if ids_hash(row.prompt_ids) in turns]
    assert len(asked) == len(turns) > len(PART)
    assert all(turns[ids_hash(row.prompt_ids)].output_ids == row.output_ids for row in asked)
    found = differences_of(
        replay.conversations, decoded.conversations, margins={}, limit_nats=None, cut=may_be_cut(decoded)
    )
    assert len(found) > len(PART) / 4
    assert {difference.cause for difference in found} <= {Cause.CHUNKED_PREFILL, Cause.PAST_THE_END}
    assert differing(turns, asked, judged(asked, None, monkeypatch)) >= len(found)
    assert differing(turns, asked, judged(asked, CHUNK_TOKENS, monkeypatch)) == 0
