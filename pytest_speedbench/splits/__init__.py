"""What is asked: splits of prompts in SPEED-Bench's columns, bundled or read from a file."""

from pytest_speedbench.splits.loader import bundled_splits, load_split
from pytest_speedbench.splits.schema import Prompt, Split
from pytest_speedbench.splits.subset import select

__all__ = ["Prompt", "Split", "bundled_splits", "load_split", "select"]
