"""What is asked: splits of prompts in SPEED-Bench's columns, bundled, read from files, or from the hub."""

from pytest_speedbench.splits.loader import bundled_splits, load_split
from pytest_speedbench.splits.schema import Prompt, Split
from pytest_speedbench.splits.source import SplitSource
from pytest_speedbench.splits.subset import select

__all__ = ["Prompt", "Split", "SplitSource", "bundled_splits", "load_split", "select"]
