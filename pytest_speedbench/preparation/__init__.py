"""SPEED-Bench with its text: its authors' own script, pinned, checked, run apart, and its result verified."""

from pytest_speedbench.preparation.prepare import Plan, Prepared, prepare
from pytest_speedbench.preparation.script import PINNED_REVISION, Script

__all__ = ["PINNED_REVISION", "Plan", "Prepared", "Script", "prepare"]
