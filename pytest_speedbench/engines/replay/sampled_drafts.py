"""A draft model that draws its drafts, replayed: how probable it held every token that the target put out.

One forward pass over prompts and outputs gives q of every token of the output, as for greedy drafts it gives every
guess; the recording has p. What is accepted then is drawn (:mod:`.expected`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pytest_speedbench.engines.replay.batches import MOST_SCORES, batches, padded
from pytest_speedbench.engines.replay.draft_model import check_context
from pytest_speedbench.engines.replay.expected import DrawnReach, Floats, windows
from pytest_speedbench.engines.transformers.draft_model import check_readable
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput


def sampled_draft_reaches(
    model: Any,
    outputs: Sequence[StoredOutput],
    draft_length: int,
    batch_tokens: int,
    temperature: float,
    below: int | None = None,
) -> list[DrawnReach]:
    """What drafts drawn from a draft model would have had accepted of every output, drawn once.

    Args:
        model: a transformers causal language model with the target's tokens.
        outputs: what the target put out.
        draft_length: K.
        batch_tokens: tokens read at a time, padding included; fewer where the vocabulary is large.
        temperature: of the drafts; they are drawn from the whole vocabulary, as vLLM draws them.
        below: of the vocabulary only ids below this are drawn; ``None`` for all of it.

    Raises:
        OutputsError: how probable the target held its outputs is not stored, or a text is longer than the model's
            context.
    """
    texts = [stored.prompt_ids + stored.continued for stored in outputs]
    check_context(model, texts)
    if below is not None:
        check_readable(model, max(map(max, texts)))
    # A model's own logits, scaled and capped as it does; only those that are asked for are computed.
    most = min(batch_tokens, MOST_SCORES // model.config.get_text_config().vocab_size)
    found: dict[int, DrawnReach] = {}
    for places in batches([len(text) for text in texts], most):
        ids = padded([texts[place] for place in places], model.device)
        begins = min(len(outputs[place].prompt_ids) for place in places)
        asked = torch.arange(begins, ids.shape[1] - 1, device=ids.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=asked).logits.float() / temperature
            if below is not None:
                logits[..., below:] = float("-inf")
            own = logits.gather(-1, ids[:, asked + 1, None])[..., 0] - logits.logsumexp(dim=-1)
        for row, place in enumerate(places):
            first, last = len(outputs[place].prompt_ids), len(texts[place]) - 1
            log_q = own[row, first - begins : last - begins].double().cpu().numpy()
            found[place] = _drawn(outputs[place], log_q, draft_length)
    return [found[place] for place in range(len(outputs))]


def _drawn(stored: StoredOutput, log_q: Floats, draft_length: int) -> DrawnReach:
    if stored.log_probabilities_nats is None or stored.seed is None:
        raise OutputsError(
            "The stored outputs do not say how probable the target held them.", "Record them with transformers."
        )
    log_p = np.array(stored.log_probabilities_nats[1:])
    accepted = np.exp(np.minimum(log_q - log_p, 0.0))
    acceptance = windows(accepted, len(stored.output_ids) - 1, draft_length)
    return DrawnReach.seeded(acceptance, stored.prompt_ids, stored.seed)
