"""A pair in the words of SGLang's server arguments."""

from __future__ import annotations

from typing import Any

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.sglang.heads import readable_head
from pytest_speedbench.errors import EngineError

ALGORITHMS = {
    DrafterMethod.DRAFT_MODEL: "STANDALONE",
    DrafterMethod.EAGLE: "EAGLE",
    DrafterMethod.EAGLE3: "EAGLE3",
    DrafterMethod.MTP: "NEXTN",
    DrafterMethod.NGRAM: "NGRAM",
    DrafterMethod.DFLASH: "DFLASH",
}
"""SGLang's names of the drafters it has."""
_IN_STEPS = (DrafterMethod.DRAFT_MODEL, DrafterMethod.EAGLE, DrafterMethod.EAGLE3, DrafterMethod.MTP)
"""Drafters that make one level of the draft at a time, and may branch at each."""
_OURS = {
    "model_path": "the pair's model",
    "speculative_algorithm": "the pair's drafter",
    "speculative_draft_model_path": "the pair's drafter",
    "speculative_num_steps": "the pair's draft length",
    "speculative_dflash_block_size": "the pair's draft length",
}
_SPECULATIVE = "speculative_"
_BRANCHES = "speculative_eagle_topk"
_TREE_SIZE = "speculative_num_draft_tokens"
_NGRAM_BREADTH = "speculative_ngram_max_bfs_breadth"


def check_arguments(pair: Pair) -> None:
    """Refuse engine arguments that say again, or otherwise, what the pair says, and drafters that SGLang lacks.

    Raises:
        EngineError: with the way out.
    """
    args = pair.engine_args
    for name, instead in _OURS.items():
        if name in args:
            raise EngineError(f"The engine argument {name} is set by {instead}.", f"Change {instead} instead.")
    if pair.drafter is None:
        return
    if pair.drafter.method not in ALGORITHMS:
        raise EngineError(
            f"SGLang has no {pair.drafter.method.value} drafter.",
            f"Choose one of: {', '.join(sorted(method.value for method in ALGORITHMS))}.",
        )
    _check_tree(pair, pair.drafter)


def engine_arguments(pair: Pair) -> dict[str, Any]:
    """Keyword arguments of ``sglang.Engine``: the user's own win, except what the pair itself says.

    The radix cache is off unless asked for: a prompt that was asked before would skip its prefill. Token ids go in and
    come out, so that no tokenizer is needed. A pair whose drafter was taken away, to see what the target does alone,
    keeps its arguments for one; they are left out.

    Raises:
        EngineError: a model does not exist, or arguments contradict the pair.
    """
    check_arguments(pair)
    arguments: dict[str, Any] = {
        "disable_radix_cache": True,
        "random_seed": 0,
        "skip_tokenizer_init": True,
        # Without it every chunk repeats the whole output.
        "incremental_streaming_output": True,
        **_said_by_the_user(pair),
    }
    target = open_checkpoint(pair.model, download=True)
    arguments["model_path"] = str(target.folder)
    if pair.drafter is not None:
        arguments.update(_speculation(pair, pair.drafter))
        if pair.drafter.model is not None:
            head = open_checkpoint(pair.drafter.model, download=True)
            is_head = pair.drafter.method is DrafterMethod.EAGLE3
            arguments["speculative_draft_model_path"] = str(readable_head(head, target) if is_head else head.folder)
    return arguments


def _said_by_the_user(pair: Pair) -> dict[str, Any]:
    if pair.drafter is not None:
        return dict(pair.engine_args)
    return {name: value for name, value in pair.engine_args.items() if not name.startswith(_SPECULATIVE)}


def _speculation(pair: Pair, drafter: Drafter) -> dict[str, Any]:
    arguments: dict[str, Any] = {"speculative_algorithm": ALGORITHMS[drafter.method]}
    if drafter.method in _IN_STEPS:
        arguments["speculative_num_steps"] = drafter.draft_length
        arguments[_BRANCHES] = pair.engine_args.get(_BRANCHES, 1)
    elif drafter.method is DrafterMethod.NGRAM:
        # What followed a match last, as the other engines look n-grams up, and no more of what ever followed it.
        arguments[_NGRAM_BREADTH] = pair.engine_args.get(_NGRAM_BREADTH, 1)
    # It counts the root, which is the last token that is known already.
    arguments[_TREE_SIZE] = pair.engine_args.get(_TREE_SIZE, drafter.draft_length + 1)
    return arguments


def _check_tree(pair: Pair, drafter: Drafter) -> None:
    """A tree has more tokens than levels; a chain as many, and then the pair says how many."""
    args = pair.engine_args
    branches = args.get(_BRANCHES, 1)
    if drafter.method not in _IN_STEPS and _BRANCHES in args:
        instead = f" Its trees branch by {_NGRAM_BREADTH}." if drafter.method is DrafterMethod.NGRAM else ""
        raise EngineError(f"The drafter {drafter} takes no {_BRANCHES}.", f"Leave it out.{instead}")
    size = args.get(_TREE_SIZE)
    if branches == 1:
        if size is not None:
            raise EngineError(
                f"The engine argument {_TREE_SIZE} is set by the pair's draft length.",
                f"Change the pair's draft length instead, or ask for a tree with {_BRANCHES} above 1.",
            )
        return
    if not isinstance(size, int) or size <= drafter.draft_length:
        raise EngineError(
            f"A draft tree ({_BRANCHES} = {branches!r}) of depth {drafter.draft_length} has the size {size!r}.",
            f"Set {_TREE_SIZE} to a number above the draft length: the tree's tokens with its root.",
        )
