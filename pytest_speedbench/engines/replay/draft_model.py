"""An independent draft model replayed: one forward pass over prompts and outputs gives every draft at once.

Draft k + 1 matters only where drafts 1 … k were accepted, and those are then the stored tokens: what the model drafts
after reading them is what it drafted. So the accepted tokens after a place are the run of right guesses that begins
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.batches import batches, best_tokens, padded
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.draft_model import check_readable
from pytest_speedbench.engines.transformers.loading import decoder_of
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput


def draft_model_reaches(
    model: Any,
    outputs: Sequence[StoredOutput],
    draft_length: int,
    batch_tokens: int,
    unread: int = 0,
    below: int | None = None,
) -> list[Reach]:
    """What a draft model would have had accepted of every output.

    Args:
        model: a transformers causal language model with the target's tokens.
        outputs: what the target put out.
        draft_length: K.
        batch_tokens: tokens read at a time, padding included: what bounds the memory.
        unread: tokens at the beginning that the model is not given.
        below: it proposes only ids below this; ``None`` for all of its vocabulary.

    Raises:
        OutputsError: a text is longer than the model's context.
        EngineError: the target put out padding that the model has no row for.
    """
    texts = [_judged(stored, draft_length)[unread:] for stored in outputs]
    check_context(model, texts)
    if below is not None:
        check_readable(model, max(map(max, texts)))
    decoder, lm_head = decoder_of(model), model.get_output_embeddings()
    runs: dict[int, list[int]] = {}
    for places in batches([len(text) for text in texts], batch_tokens):
        ids = padded([texts[place] for place in places], model.device)
        # What is guessed within the prompt, nobody asks.
        spans = [(len(outputs[place].prompt_ids) - unread, len(texts[place]) - 1) for place in places]
        with torch.inference_mode():
            states = decoder(input_ids=ids, use_cache=False).last_hidden_state
            asked = torch.cat([states[row, first:last] for row, (first, last) in enumerate(spans)])
            follows = torch.cat([ids[row, first + 1 : last + 1] for row, (first, last) in enumerate(spans)])
            guesses = best_tokens(lambda part: lm_head(part)[:, :below].argmax(dim=-1), asked, len(lm_head.weight))
            right = iter((guesses == follows).tolist())
        runs.update(
            (place, _runs(list(islice(right, last - first))))
            for place, (first, last) in zip(places, spans, strict=True)
        )
    return [_reach(runs[place], draft_length) for place in range(len(outputs))]


def check_context(model: Any, texts: Sequence[tuple[int, ...]]) -> None:
    """Refuse texts at whose end engines do as each sees fit: draft on, draft less, or not at all.

    Raises:
        OutputsError: a text is longer than a draft model's context.
    """
    most, longest = model.config.get_text_config().max_position_embeddings, max(map(len, texts), default=0)
    if longest > most:
        raise OutputsError(
            f"The draft model reads at most {most} tokens, and a stored prompt with its output and a draft has "
            f"{longest}.",
            "Decode with it, or leave out the long prompts.",
        )


def _judged(stored: StoredOutput, draft_length: int) -> tuple[int, ...]:
    """A request's text, and as much past its end as a draft may hold."""
    return stored.prompt_ids + stored.continued[: len(stored.output_ids) + draft_length - 1]


def _runs(right: Sequence[bool]) -> list[int]:
    """For every place how many right guesses follow each other from there."""
    counts = [0] * (len(right) + 1)
    for place in range(len(right) - 1, -1, -1):
        counts[place] = counts[place + 1] + 1 if right[place] else 0
    return counts


def _reach(runs: Sequence[int], draft_length: int) -> Reach:
    return lambda place: VerifyStep(draft_length, min(runs[place], draft_length))
