"""An EAGLE-3 head replayed: K passes over all places of an output at once, with the stored tokens as drafts.

Draft k + 1 matters only where drafts 1 … k were accepted, so the tokens between are known. What is not known without
computing it are the head's own hidden states, which stand in for the target's from the second draft on: pass k computes
them for every place where all drafts so far were right, attending to the keys of the target's hidden states up to the
place and to the keys of the drafts after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.eagle3 import Eagle3Head
from pytest_speedbench.outputs import StoredOutput


def eagle3_reach(head: Eagle3Head, auxiliary: Tensor, stored: StoredOutput, draft_length: int) -> Reach:
    """What a head would have had accepted of one request.

    Args:
        head: its weights.
        auxiliary: the target's hidden states that it reads, [tokens, A·H], of the prompt and the output but its last
            token at least.
        stored: what the target put out.
        draft_length: K.
    """
    accepted = _accepted_after(head, auxiliary, stored, draft_length)
    return lambda place: VerifyStep(draft_length, accepted[place])


def _accepted_after(head: Eagle3Head, auxiliary: Tensor, stored: StoredOutput, draft_length: int) -> Sequence[int]:
    """How many drafts would be accepted after every output token but the last."""
    places = len(stored.output_ids) - 1
    accepted = [0] * places
    if not places:
        return accepted
    prompt_tokens = len(stored.prompt_ids)
    text = torch.tensor(stored.prompt_ids + stored.continued, device=auxiliary.device)
    pairs = prompt_tokens + places - 1
    # A step after output token j has read all before it: its last pair is the one of the token before and token j.
    last_pair = torch.arange(prompt_tokens - 1, pairs, device=text.device)
    cache = head.new_cache(pairs)
    streams = head.step(text[1 : pairs + 1], head.fuse(auxiliary[:pairs]), 0, cache)[last_pair]
    drafts: list[tuple[Tensor, Tensor]] = []
    for drafted in range(1, draft_length + 1):
        # Near the end of the context less is stored than a whole draft: what is missing there is never asked for.
        known = last_pair + drafted + 1 < len(text)
        right = (head.best_token(streams) == text[(last_pair + drafted + 1).clamp(max=len(text) - 1)]) & known
        alive = right.nonzero()[:, 0]
        last_pair = last_pair[alive]
        for pair in last_pair.tolist():
            accepted[pair - prompt_tokens + 1] = drafted
        if drafted == draft_length or not len(alive):
            break
        drafts = [(keys[alive], values[alive]) for keys, values in drafts]
        positions = last_pair + drafted
        streams, made = head.draft_step(text[positions + 1], streams[alive], positions, last_pair, cache, drafts)
        drafts.append(made)
    return accepted
