"""An EAGLE-3 head: its arithmetic, its cache, and its place in transformers' decoding loop.

The head pairs the target's hidden state of token t with the embedding of token t + 1 and predicts token t + 2. It first
runs over all newly verified pairs, with the target's true hidden states, and then once per further draft token with its
own hidden state, the one before its final norm. Keys and values made from drafts are overwritten by the next true ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers.generation.candidate_generator import CandidateGenerator

from pytest_speedbench.engines.transformers.head_layer import Entered, HeadLayer, HeadShape, within_layer
from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap


class Eagle3Head:
    """The weights of a head, and its operations.

    Args:
        shape: sizes.
        tensors: weights by checkpoint name (``fc.weight``, ``midlayer.…``, ``norm.weight``, ``lm_head.weight``,
            ``embed_tokens.weight``; ``d2t`` for a pruned vocabulary; ``input_norm.weight`` where the target's states
            are normed together before ``fc``, ``fc_norm.0.weight``, … where each is), on one device and of one dtype.
        cos: rotary cosines [positions, head_dim], half-split layout, by absolute position.
        sin: rotary sines of the same shape.
        norm_before_residual: whether the residual stream starts from the normed hidden state.
        norm_output: whether the state that goes into the next draft is the one after the final norm.
    """

    def __init__(
        self,
        shape: HeadShape,
        tensors: Mapping[str, Tensor],
        cos: Tensor,
        sin: Tensor,
        *,
        norm_before_residual: bool,
        norm_output: bool = False,
    ) -> None:
        self.shape = shape
        self._layer = HeadLayer(shape, within_layer(tensors, "midlayer."), cos, sin)
        self._norm_before_residual = norm_before_residual
        self._norm_output = norm_output
        self._embedding = tensors["embed_tokens.weight"]
        self._fc = tensors["fc.weight"]
        self._joint_norm = tensors.get("input_norm.weight")
        names = sorted(name for name in tensors if name.startswith("fc_norm."))
        self._state_norms = [tensors[name] for name in names]
        self._embedding_norm = tensors["midlayer.input_layernorm.weight"]
        self._hidden_norm = tensors["midlayer.hidden_norm.weight"]
        self._norm = tensors["norm.weight"]
        self._lm_head = tensors["lm_head.weight"]
        offsets = tensors.get("d2t")
        self._target_ids = None if offsets is None else offsets + torch.arange(len(offsets), device=offsets.device)

    def fuse(self, auxiliary: Tensor) -> Tensor:
        """The target's auxiliary hidden states [tokens, A·H] as one hidden state [tokens, H]."""
        if self._joint_norm is not None:
            auxiliary = self._layer.rms(auxiliary, self._joint_norm)
        if self._state_norms:
            states = auxiliary.chunk(len(self._state_norms), dim=-1)
            normed = [self._layer.rms(state, gain) for state, gain in zip(states, self._state_norms, strict=True)]
            auxiliary = torch.cat(normed, dim=-1)
        return F.linear(auxiliary, self._fc)

    def new_cache(self, tokens: int) -> Tensor:
        """Room for keys and values of ``tokens`` positions: [2, kv_heads, tokens, head_dim]."""
        return self._fc.new_empty((2, self.shape.kv_heads, tokens, self.shape.head_dim))

    def step(self, token_ids: Tensor, hidden: Tensor, start: int, cache: Tensor) -> Tensor:
        """Run the layer over the pairs at positions ``start``, ``start`` + 1, …

        Args:
            token_ids: [pairs], for position t the token t + 1.
            hidden: [pairs, H], for position t the hidden state of token t.
            start: position of the first pair; ``cache`` holds valid keys and values up to there.
            cache: from :meth:`new_cache`; written at the pairs' positions.

        Returns:
            What goes into the next draft, [pairs, H]: the residual streams before the final norm, or after it where
            the head has it so.
        """
        end = start + len(token_ids)
        pairs = self.enter(token_ids, hidden, slice(start, end))
        cache[0, :, start:end], cache[1, :, start:end] = pairs.keys.transpose(0, 1), pairs.values.transpose(0, 1)
        window = self.shape.window
        seen = slice(0 if window is None else max(0, start + 1 - window), end)
        attend = _attend_prompt if start == 0 else _attend_past
        mixed = attend(pairs.queries, cache[0, None, :, seen], cache[1, None, :, seen], window)
        return self.leave(pairs.residual, mixed)

    def enter(self, token_ids: Tensor, hidden: Tensor, positions: slice | Tensor) -> Entered:
        """Everything up to the attention.

        Args:
            token_ids: [..., pairs], for position t the token t + 1.
            hidden: [..., pairs, H], for position t the hidden state of token t.
            positions: [pairs].
        """
        embedded = self._layer.rms(F.embedding(token_ids, self._embedding), self._embedding_norm)
        normed = self._layer.rms(hidden, self._hidden_norm)
        projected = self._layer.project(torch.cat((embedded, normed), dim=-1), positions)
        return Entered(normed if self._norm_before_residual else hidden, *projected)

    def leave(self, residual: Tensor, mixed: Tensor) -> Tensor:
        """Everything after the attention: what goes into the next draft, [pairs, H], as from :meth:`step`.

        Args:
            residual: [pairs, H].
            mixed: what the attention gave, [pairs, heads, head_dim].
        """
        stream = self._layer.leave(residual, mixed)
        return self._layer.rms(stream, self._norm) if self._norm_output else stream

    @property
    def window(self) -> int | None:
        """Tokens that its attention reaches, the one it is at included; ``None`` for all before it."""
        return self.shape.window

    @property
    def draft_vocab_size(self) -> int:
        """Tokens that it can propose."""
        return len(self._lm_head)

    def best_token(self, stream: Tensor) -> Tensor:
        """The most likely tokens, as target ids [pairs], after what :meth:`step` gave [pairs, H]."""
        normed = stream if self._norm_output else self._layer.rms(stream, self._norm)
        draft_id = F.linear(normed, self._lm_head).argmax(dim=-1)
        return draft_id if self._target_ids is None else self._target_ids[draft_id]


class Eagle3Candidates(CandidateGenerator):
    """Drafts one request greedily with an EAGLE-3 head.

    Args:
        head: the weights.
        tap: gives the target's auxiliary hidden states of its last forward pass.
        draft_length: K, tokens per draft.
        sequence_tokens: longest sequence this request can reach, drafts not counted.
    """

    requires_model_outputs = True
    model_kwargs_overrides: dict[str, object] = {}  # noqa: RUF012 - the base class declares it so

    def __init__(self, head: Eagle3Head, tap: HiddenStateTap, draft_length: int, sequence_tokens: int) -> None:
        self._head = head
        self._tap = tap
        self._draft_length = draft_length
        self._cache = head.new_cache(sequence_tokens + draft_length)
        self._paired = 0

    def get_candidates(self, input_ids: Tensor, **_: object) -> tuple[Tensor, None]:  # type: ignore[override]
        """K tokens after ``input_ids`` [1, length], of which the target has read all but the last."""
        read = input_ids.shape[1] - 1
        # The target's last pass began where the pairs end; beyond `read` it saw drafts that were then rejected.
        hidden = self._head.fuse(self._tap.last()[: read - self._paired])
        streams = self._head.step(input_ids[0, self._paired + 1 :], hidden, self._paired, self._cache)
        self._paired = read
        stream = streams[-1:]
        tokens = [self._head.best_token(stream)]
        for position in range(read, read + self._draft_length - 1):
            stream = self._head.step(tokens[-1], stream, position, self._cache)
            tokens.append(self._head.best_token(stream))
        return torch.cat((input_ids[0], *tokens))[None], None


def _attend_prompt(queries: Tensor, keys: Tensor, values: Tensor, window: int | None) -> Tensor:
    """Causal attention of all pairs; ``queries`` [pairs, heads, head_dim], ``keys`` [1, kv_heads, pairs, head_dim]."""
    pairs = len(queries)
    near = None if window is None or window >= pairs else _within(pairs, pairs, window, queries.device)
    mixed = F.scaled_dot_product_attention(
        queries.transpose(0, 1)[None],
        keys,
        values,
        attn_mask=near,
        is_causal=near is None,
        enable_gqa=keys.shape[1] != queries.shape[1],
    )
    return mixed[0].transpose(0, 1)


def _attend_past(queries: Tensor, keys: Tensor, values: Tensor, window: int | None) -> Tensor:
    """Attention of the last few pairs to all that the first of them reaches, shaped as in :func:`_attend_prompt`.

    The query heads that share a key head become rows of one attention, which spares copies of the keys.
    """
    pairs, heads, head_dim = queries.shape
    kv_heads, end = keys.shape[1:3]
    group = heads // kv_heads
    rows = queries.view(pairs, kv_heads, group, head_dim).permute(1, 2, 0, 3).reshape(1, kv_heads, -1, head_dim)
    mask = None
    if pairs > 1:
        mask = _within(pairs, end, window, rows.device).repeat(group, 1)
    mixed = F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask)
    return mixed.view(kv_heads, group, pairs, head_dim).permute(2, 0, 1, 3)


def _within(pairs: int, end: int, window: int | None, device: torch.device) -> Tensor:
    """What the last ``pairs`` of ``end`` positions attend to, [pairs, end]: up to their own, within the window."""
    seen = torch.ones((pairs, end), dtype=torch.bool, device=device).tril(end - pairs)
    return seen if window is None else seen.triu(end - pairs + 1 - window)
