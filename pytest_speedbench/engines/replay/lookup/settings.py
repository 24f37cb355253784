"""What engines let one set of their n-gram drafters, and which of it can be replayed. Imports no numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_speedbench.config import EngineArg
from pytest_speedbench.errors import EngineError, closest

_NGRAM = "speculative_ngram_"
_SGLANG_COUNTS = {
    "max_trie_depth": "depth",
    "min_bfs_breadth": "least_breadth",
    "max_bfs_breadth": "most_breadth",
    "capacity": "capacity",
}
_EXTERNAL = f"{_NGRAM}external_"
_TRTLLM = ("max_matching_ngram_size", "is_keep_all", "is_use_oldest", "is_public_pool")


@dataclass(frozen=True, slots=True)
class SglangTrees:
    """How SGLang's n-gram drafter is set: its arguments ``speculative_ngram_…``.

    Attributes:
        draft_length: K, the tokens of a tree without its root.
        depth: D, tokens of the window that is looked up and remembered: ``max_trie_depth``.
        least_breadth: followers of a match of D - 1 tokens that are drafted: ``min_bfs_breadth``.
        most_breadth: the same of a match of none, with those between in proportion: ``max_bfs_breadth``.
        capacity: strings that the tree holds before it forgets some.
    """

    draft_length: int
    depth: int = 18
    least_breadth: int = 1
    most_breadth: int = 1
    capacity: int = 10_000_000


@dataclass(frozen=True, slots=True)
class TrtllmPool:
    """How TensorRT-LLM's n-gram drafter is set: the fields of its ``NGramDecodingConfig``.

    Attributes:
        draft_length: K: ``max_draft_len``.
        longest: tokens of the longest n-gram looked up: ``max_matching_ngram_size``.
        keeps_all: whether all that followed an n-gram is kept, or mostly one: ``is_keep_all``.
        drafts_oldest: whether the first of it is drafted, or the last: ``is_use_oldest``.
    """

    draft_length: int
    longest: int = 3
    keeps_all: bool = True
    drafts_oldest: bool = True


def sglang_trees(draft_length: int, given: Mapping[str, EngineArg]) -> SglangTrees:
    """SGLang's settings as its adapter would pass them on.

    Args:
        draft_length: K.
        given: of the pair's engine arguments those of n-grams, ``device``, ``disable_overlap_schedule``, ``dp_size``.

    Raises:
        EngineError: a value cannot be, or its effect cannot be replayed.
    """
    if not given.get("disable_overlap_schedule") and given.get("device") != "cpu":
        raise EngineError(
            "With overlapping schedules SGLang remembers of a finished request what its next step happened to draft, "
            "which is not replayed.",
            "Set the engine argument disable_overlap_schedule to true, or decode.",
        )
    if given.get("dp_size", 1) != 1:
        raise EngineError(
            "Every data-parallel rank of SGLang remembers requests of its own, which is not replayed.",
            "Set the engine argument dp_size to 1, or decode.",
        )
    counts: dict[str, int] = {}
    for name, value in given.items():
        if not name.startswith(_NGRAM) or (name.startswith(_EXTERNAL) and not value):
            continue
        own = name.removeprefix(_NGRAM)
        if own == "match_type":
            if value != "BFS":
                raise EngineError(
                    f"With the {name} {value!r} SGLang chooses between equals by the layout of its heap, which is not "
                    "replayed.",
                    "Set it to BFS, or decode.",
                )
        elif own in _SGLANG_COUNTS:
            counts[_SGLANG_COUNTS[own]] = _count(name, value)
        else:
            raise EngineError(f"The engine argument {name} is not replayed.", "Leave it out, or decode.")
    trees = SglangTrees(draft_length, **counts)
    if trees.depth < 2 or trees.least_breadth > trees.most_breadth:
        raise EngineError(
            f"SGLang takes no {_NGRAM}max_trie_depth of {trees.depth} with a breadth from {trees.least_breadth} to "
            f"{trees.most_breadth}.",
            "Give a depth of at least 2, and a largest breadth that is not below the least one.",
        )
    return trees


def trtllm_pool(draft_length: int, given: Mapping[str, EngineArg]) -> TrtllmPool:
    """TensorRT-LLM's settings as its adapter would pass them on.

    Args:
        draft_length: K.
        given: the pair's ``speculative_config``.

    Raises:
        EngineError: a value cannot be, or its effect cannot be replayed.
    """
    for name, value in given.items():
        if name not in _TRTLLM and value is not None:
            raise EngineError(
                f"What speculative_config.{name} does to n-grams is not replayed.",
                f"{closest(name, _TRTLLM)}Leave it out, or decode.",
            )
        if name.startswith("is_") and not isinstance(value, bool):
            raise EngineError(f"The engine argument speculative_config.{name} is {value!r}.", "Give true or false.")
    if given.get("is_public_pool"):
        raise EngineError(
            "With is_public_pool TensorRT-LLM drafts from all requests before, in the order of their steps, which is "
            "not replayed.",
            "Leave it out, or decode.",
        )
    return TrtllmPool(
        draft_length,
        _count("max_matching_ngram_size", given.get("max_matching_ngram_size", 3)),
        bool(given.get("is_keep_all", True)),
        bool(given.get("is_use_oldest", True)),
    )


def _count(name: str, value: EngineArg) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EngineError(
            f"The engine argument {name} must be a whole number of at least 1, not {value!r}.", "Mend it."
        )
    return value
