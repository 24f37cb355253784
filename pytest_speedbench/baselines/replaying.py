"""Which engine answers: the pair's own, or the outputs that are stored beside its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.baselines.store import outputs_path
from pytest_speedbench.engines.replay.pairs import replayed

if TYPE_CHECKING:
    from pytest_speedbench.config import Pair
    from pytest_speedbench.settings import Settings


def asked_pair(settings: Settings, split: str, root: Path | None = None) -> Pair:
    """The pair as it is asked.

    Args:
        settings: of the measurement.
        split: the split's name.
        root: of the project, if the baseline folder is relative to it.
    """
    if settings.mode == "decode":
        return settings.pair
    return replayed(settings.pair, outputs_of(settings, split, root))


def outputs_of(settings: Settings, split: str, root: Path | None = None) -> Path:
    """Where the outputs of the pair on a split are stored; arguments as of :func:`asked_pair`."""
    return outputs_path((root or Path()) / settings.baseline_dir, settings.pair.name, split)
