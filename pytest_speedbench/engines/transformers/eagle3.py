"""An EAGLE-3 head: its arithmetic, its cache, and its place in transformers' decoding loop.

The head pairs the target's hidden state of token t with the embedding of token t + 1 and predicts token t + 2. It first
runs over all newly verified pairs, with the target's true hidden states, and then once per further draft token with its
own hidden state, the one before its final norm. Keys and values made from drafts are overwritten by the next true ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from transformers.generation.candidate_generator import CandidateGenerator

from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Sizes of a head and the two choices its config may make.

    Attributes:
        hidden_size: H, width of the head's residual stream.
        heads: query heads.
        kv_heads: key and value heads, a divisor of ``heads``.
        head_dim: width of one head.
        norm_eps: epsilon of its RMS norms.
        norm_before_residual: whether the residual stream starts from the normed hidden state.
    """

    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    norm_before_residual: bool


class Eagle3Head:
    """The weights of a head, and its two operations.

    Args:
        shape: sizes.
        tensors: weights by checkpoint name (``fc.weight``, ``midlayer.…``, ``norm.weight``, ``lm_head.weight``,
            ``embed_tokens.weight``, and ``d2t`` for a pruned vocabulary), on one device and of one dtype.
        cos: rotary cosines [positions, head_dim], half-split layout, by absolute position.
        sin: rotary sines of the same shape.
    """

    def __init__(self, shape: HeadShape, tensors: Mapping[str, Tensor], cos: Tensor, sin: Tensor) -> None:
        self.shape = shape
        self._cos, self._sin = cos, sin
        self._embedding = tensors["embed_tokens.weight"]
        self._fc = tensors["fc.weight"]
        attention = "midlayer.self_attn."
        self._qkv = torch.cat([tensors[f"{attention}{name}_proj.weight"] for name in "qkv"])
        self._o = tensors[f"{attention}o_proj.weight"]
        self._gate_up = torch.cat([tensors[f"midlayer.mlp.{name}_proj.weight"] for name in ("gate", "up")])
        self._down = tensors["midlayer.mlp.down_proj.weight"]
        self._embedding_norm = tensors["midlayer.input_layernorm.weight"]
        self._hidden_norm = tensors["midlayer.hidden_norm.weight"]
        self._post_norm = tensors["midlayer.post_attention_layernorm.weight"]
        self._norm = tensors["norm.weight"]
        self._lm_head = tensors["lm_head.weight"]
        offsets = tensors.get("d2t")
        self._target_ids = None if offsets is None else offsets + torch.arange(len(offsets), device=offsets.device)

    def fuse(self, auxiliary: Tensor) -> Tensor:
        """The target's auxiliary hidden states [tokens, A·H] as one hidden state [tokens, H]."""
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
            The residual streams before the final norm, [pairs, H].
        """
        residual, read = self._enter(token_ids, hidden)
        return self._leave(residual + self._attend(read, start, cache))

    def draft_step(
        self,
        token_ids: Tensor,
        hidden: Tensor,
        positions: Tensor,
        last_pairs: Tensor,
        cache: Tensor,
        drafts: Sequence[tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run the layer for one further draft of many branches, each of which leaves the verified text elsewhere.

        Args:
            token_ids: [branches], the branches' last drafts.
            hidden: [branches, H], the residual streams that drafted them.
            positions: [branches], of the pairs.
            last_pairs: [branches], the last verified pair of every branch.
            cache: keys and values of the verified pairs.
            drafts: keys and values of the branches' earlier drafts, each [branches, kv_heads, head_dim].

        Returns:
            The residual streams before the final norm, [branches, H], and the keys and values of these pairs.
        """
        residual, read = self._enter(token_ids, hidden)
        shape = self.shape
        projected = F.linear(read, self._qkv).view(len(token_ids), -1, shape.head_dim)
        turned = self._rotate(projected[:, : shape.heads + shape.kv_heads], positions)
        made = turned[:, shape.heads :], projected[:, shape.heads + shape.kv_heads :]
        own = [*drafts, made]
        keys, values = (torch.stack([pair[which] for pair in own], dim=2) for which in (0, 1))
        mixed = _attend_branches(turned[:, : shape.heads], cache, last_pairs, keys, values)
        mixed = F.linear(mixed.reshape(len(token_ids), shape.heads * shape.head_dim), self._o)
        return self._leave(residual + mixed), made

    def best_token(self, stream: Tensor) -> Tensor:
        """The most likely token, as a target id [1], after one residual stream [1, H]."""
        draft_id = F.linear(self._rms(stream, self._norm), self._lm_head).argmax(dim=-1)
        return draft_id if self._target_ids is None else self._target_ids[draft_id]

    def _enter(self, token_ids: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The residual streams of pairs, [pairs, H], and what the attention reads of them, [pairs, 2·H]."""
        embedded = self._rms(F.embedding(token_ids, self._embedding), self._embedding_norm)
        normed = self._rms(hidden, self._hidden_norm)
        return normed if self.shape.norm_before_residual else hidden, torch.cat((embedded, normed), dim=-1)

    def _leave(self, residual: Tensor) -> Tensor:
        gate, up = F.linear(self._rms(residual, self._post_norm), self._gate_up).chunk(2, dim=-1)
        return residual + F.linear(F.silu(gate) * up, self._down)

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.shape.norm_eps)

    def _rotate(self, x: Tensor, positions: slice | Tensor) -> Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * self._cos[positions, None] + torch.cat((-second, first), dim=-1) * self._sin[positions, None]

    def _attend(self, x: Tensor, start: int, cache: Tensor) -> Tensor:
        shape, pairs = self.shape, x.shape[0]
        end = start + pairs
        projected = F.linear(x, self._qkv).view(pairs, -1, shape.head_dim)
        turned = self._rotate(projected[:, : shape.heads + shape.kv_heads], slice(start, end))
        cache[0, :, start:end] = turned[:, shape.heads :].transpose(0, 1)
        cache[1, :, start:end] = projected[:, shape.heads + shape.kv_heads :].transpose(0, 1)
        queries, keys, values = turned[:, : shape.heads], cache[0, None, :, :end], cache[1, None, :, :end]
        mixed = _attend_prompt(queries, keys, values) if start == 0 else _attend_past(queries, keys, values)
        return F.linear(mixed.reshape(pairs, shape.heads * shape.head_dim), self._o)


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


def _attend_prompt(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention of all pairs; ``queries`` [pairs, heads, head_dim], ``keys`` [1, kv_heads, pairs, head_dim]."""
    mixed = F.scaled_dot_product_attention(
        queries.transpose(0, 1)[None], keys, values, is_causal=True, enable_gqa=keys.shape[1] != queries.shape[1]
    )
    return mixed[0].transpose(0, 1)


def _attend_past(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of the last few pairs to all, shaped as in :func:`_attend_prompt`.

    The query heads that share a key head become rows of one attention, which spares copies of the keys.
    """
    pairs, heads, head_dim = queries.shape
    kv_heads, end = keys.shape[1:3]
    group = heads // kv_heads
    rows = queries.view(pairs, kv_heads, group, head_dim).permute(1, 2, 0, 3).reshape(1, kv_heads, -1, head_dim)
    mask = None
    if pairs > 1:
        mask = torch.ones((pairs, end), dtype=torch.bool, device=rows.device).tril(end - pairs).repeat(group, 1)
    mixed = F.scaled_dot_product_attention(rows, keys, values, attn_mask=mask)
    return mixed.view(kv_heads, group, pairs, head_dim).permute(2, 0, 1, 3)


def _attend_branches(queries: Tensor, cache: Tensor, last_pairs: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of one pair per branch to the verified pairs before it and to its branch's own.

    Args:
        queries: [branches, heads, head_dim].
        cache: keys and values of the verified pairs, [2, kv_heads, pairs, head_dim].
        last_pairs: [branches], the last verified pair that a branch sees.
        keys: of the branches' own pairs, [branches, kv_heads, own, head_dim].
        values: of the same shape.

    Returns:
        [branches, heads, head_dim].
    """
    branches, heads, head_dim = queries.shape
    kv_heads, pairs = cache.shape[1:3]
    grouped = queries.view(branches, kv_heads, heads // kv_heads, head_dim)
    verified = torch.einsum("bkgd,kpd->bkgp", grouped, cache[0])
    hidden = torch.arange(pairs, device=queries.device)[None] > last_pairs[:, None]
    verified = verified.masked_fill(hidden[:, None, None], float("-inf"))
    own = torch.einsum("bkgd,bkod->bkgo", grouped, keys)
    weights = torch.softmax(torch.cat((verified, own), dim=-1) / head_dim**0.5, dim=-1)
    mixed = torch.einsum("bkgp,kpd->bkgd", weights[..., :pairs], cache[1])
    mixed = mixed + torch.einsum("bkgo,bkod->bkgd", weights[..., pairs:], values)
    return mixed.reshape(branches, heads, head_dim)
