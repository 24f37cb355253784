"""Whether a draft model speaks of the target's tokens where the two have embeddings of different sizes.

Models of one family may pad theirs differently, as Qwen's do; the tokens are those of the tokenizer. Imports no torch.
"""

from __future__ import annotations

import json

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.errors import EngineError


def drafts_below(target: Checkpoint, draft: Checkpoint) -> int | None:
    """Which tokens a draft model may propose.

    Returns:
        ``None`` for all, where both vocabularies are of one size or a config does not say; else the number of tokens of
        the tokenizer that both have: it proposes ids below it, and no padding.

    Raises:
        EngineError: sizes differ, and so do the tokenizers, or it cannot be seen whether they do.
    """
    ours, theirs = draft.size("vocab_size"), target.size("vocab_size")
    if ours is None or theirs is None or ours == theirs:
        return None
    sizes = (
        f"The draft model {draft.reference!r} has a vocabulary of {ours} tokens, the target {target.reference!r} one "
        f"of {theirs}"
    )
    tokens, targets_tokens = _tokens(draft), _tokens(target)
    if tokens is None or targets_tokens is None:
        raise EngineError(
            f"{sizes}, and not both have a tokenizer.json that tells whether they differ in padding only.",
            "Add it, or give a draft model with the target's tokenizer.",
        )
    if tokens != targets_tokens:
        raise EngineError(f"{sizes}, and their tokenizers differ.", "Give a draft model with the target's tokenizer.")
    if max(tokens) >= min(ours, theirs):
        raise EngineError(
            f"{sizes}, and their tokenizer has ids up to {max(tokens)}.", "Check that it belongs to both of them."
        )
    return max(tokens) + 1


def _tokens(checkpoint: Checkpoint) -> dict[int, str] | None:
    """The tokens by id, of a ``tokenizer.json``; ``None`` if there is none that says them."""
    try:
        stated = json.loads((checkpoint.folder / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = stated["model"]["vocab"]
        if isinstance(vocabulary, dict):
            found = {int(number): str(token) for token, number in vocabulary.items()}
        else:
            found = {number: str(token) for number, (token, _) in enumerate(vocabulary)}
        found.update({int(added["id"]): str(added["content"]) for added in stated.get("added_tokens") or ()})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found or None
