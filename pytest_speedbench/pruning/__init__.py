"""Draft vocabularies: which tokens a head can propose, what lies outside of them, and heads cut down to fewer."""

from pytest_speedbench.pruning.counts import TokenCounts, count_outputs, load_counts, write_counts
from pytest_speedbench.pruning.coverage import OutsideTokens, outside_by_category
from pytest_speedbench.pruning.head import draft_vocabulary, prune_head
from pytest_speedbench.pruning.kept import most_frequent, special_ids

__all__ = [
    "OutsideTokens",
    "TokenCounts",
    "count_outputs",
    "draft_vocabulary",
    "load_counts",
    "most_frequent",
    "outside_by_category",
    "prune_head",
    "special_ids",
    "write_counts",
]
