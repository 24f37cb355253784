"""An independent draft model in transformers' decoding loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.generation.candidate_generator import CandidateGenerator

from pytest_speedbench.errors import EngineError


def check_readable(model: Any, token_id: int) -> None:
    """Refuse a token of the target's padding that a draft model with less of it has no row for.

    Raises:
        EngineError: the model's embedding has no such row.
    """
    rows = model.get_input_embeddings().num_embeddings
    if token_id >= rows:
        raise EngineError(
            f"The target put out token {token_id}, which is padding: the draft model reads ids below {rows}.",
            "Check the target's weights: its tokenizer has no such token.",
        )


class DraftModelCandidates(CandidateGenerator):
    """Drafts one request greedily, K tokens at a time, with a cache of its own.

    transformers' own generator for this calls ``generate`` for every draft, which stops at an end-of-sequence token,
    shortens the last drafts, and costs more than a small draft model itself.

    Args:
        model: a transformers causal language model with the target's tokens.
        draft_length: K.
        below: it proposes only ids below this; ``None`` for all of its vocabulary.
    """

    def __init__(self, model: Any, draft_length: int, below: int | None = None) -> None:
        self._model = model
        self._draft_length = draft_length
        self._below = below
        self._cache = DynamicCache(config=model.config.get_text_config())
        self._cache.activate_past_recording()  # type: ignore[no-untyped-call]
        self._cached_tokens = 0

    def get_candidates(self, input_ids: Tensor, **_: object) -> tuple[Tensor, None]:  # type: ignore[override]
        """K tokens after ``input_ids`` [1, length]."""
        length = input_ids.shape[1]
        # The last token of `input_ids` is the target's own and never cached; drafts before it were accepted.
        valid = min(self._cached_tokens, length - 1)
        if self._cached_tokens:
            # Also where nothing is taken back: windows and convolutions shrink to their size only here. Layers that
            # have read nothing yet have no size to shrink to.
            self._cache.crop(valid - self._cached_tokens)
        tokens, unread = input_ids, input_ids[:, valid:]
        if self._below is not None:
            check_readable(self._model, int(unread.max()))
        for _step in range(self._draft_length):
            output = self._model(input_ids=unread, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            unread = output.logits[:, -1, : self._below].argmax(dim=-1, keepdim=True)
            tokens = torch.cat((tokens, unread), dim=1)
        self._cached_tokens = length + self._draft_length - 1
        return tokens, None
