"""How SGLang drafts where it drafts unlike the other engines, replayed over the target's own output.

Its acceptance must follow from these two, step by step: then nothing else is different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

K = 3
_REMEMBERED = 18
"""SGLang's default ``speculative_ngram_max_trie_depth``."""

Tokens = Sequence[int]
Accepts = Callable[[Tokens, Tokens], int]
"""How many of the tokens that follow are accepted, given those so far."""


def steps(prompt: Tokens, output: Tokens, accepts: Accepts) -> list[int]:
    """Tokens that come together: the prefill's, then each step's, the last one cut at the end of the output.

    Args:
        prompt: what was asked.
        output: the answer, which may be followed by what the target would have gone on with.
        accepts: the drafter.
    """
    sizes, done = [1], 1
    while done < len(output):
        accepted = accepts([*prompt, *output[:done]], output[done : done + K])
        sizes.append(min(accepted + 1, len(output) - done))
        done += accepted + 1
    return sizes


def draft_model_without_the_first_token(so_far: Tokens, following: Tokens) -> int:
    """SGLang runs a draft model as it runs an EAGLE head, which starts at the second token of a prompt."""
    import torch

    ids, accepted = list(so_far[1:]), 0
    while accepted < len(following):
        with torch.no_grad():
            ids.append(int(_draft_model()(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] != following[accepted]:
            break
        accepted += 1
    return accepted


@dataclass
class _Node:
    """A token in the tree of what was remembered, and what followed it, the latest first."""

    following: dict[int, _Node] = field(default_factory=dict)
    latest: list[int] = field(default_factory=list)

    def child(self, token: int) -> _Node:
        if token in self.following:
            self.latest.remove(token)
        self.latest.insert(0, token)
        return self.following.setdefault(token, _Node())


class Remembered:
    """SGLang's n-gram drafter: the last tokens of every sequence at every step, of all requests."""

    def __init__(self) -> None:
        self._root = _Node()

    def __call__(self, so_far: Tokens, following: Tokens) -> int:
        """Draft, and remember what was known before the step."""
        draft, accepted = self._draft(so_far[-_REMEMBERED:]), 0
        while accepted < len(following) and following[accepted] in draft:
            draft = draft[following[accepted]]
            accepted += 1
        self._remember(so_far[-_REMEMBERED:])
        return accepted

    def _remember(self, tokens: Tokens) -> None:
        for start in range(len(tokens)):
            node = self._root
            for token in tokens[start:]:
                node = node.child(token)

    def _draft(self, context: Tokens) -> dict[int, Any]:
        """A tree of K tokens: what followed the longest match last, then what followed shorter ones."""
        draft: dict[int, Any] = {}
        left = K
        for node in self._matches(context):
            branch = draft
            while node.latest and left:
                token = node.latest[0]
                left -= token not in branch
                branch = branch.setdefault(token, {})
                node = node.following[token]  # noqa: PLW2901 - down the tree
        return draft

    def _matches(self, context: Tokens) -> Iterator[_Node]:
        for start in range(len(context)):
            node: _Node | None = self._root
            for token in context[start:]:
                node = node.following.get(token) if node is not None else None
            if node is not None:
                yield node


@lru_cache
def _draft_model() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(BUNDLED_FOLDER / "draft", dtype=torch.float32)
    return model.eval()
