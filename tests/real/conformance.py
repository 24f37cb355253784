"""Holds a pair to its promises with an effort that does not depend on how busy the machine is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_speedbench.config import Pair
from pytest_speedbench.conformance import effort
from pytest_speedbench.conformance.findings import Finding, Outcome
from pytest_speedbench.conformance.suite import Suite

DRAWS = 60
_UNBOUNDED_S = 1e6


def held(pair: Pair, monkeypatch: pytest.MonkeyPatch, draws: int = DRAWS) -> Mapping[str, Finding]:
    """The findings by promise, from so many draws of every prompt that is sampled."""
    monkeypatch.setattr(effort, "_GREEDY_S", _UNBOUNDED_S)
    monkeypatch.setattr(effort, "_SAMPLING_S", _UNBOUNDED_S)
    monkeypatch.setattr(effort, "_MOST_DRAWS", draws)
    monkeypatch.setattr(effort, "_RANKING_S", 0.0)  # the first position of speculation only
    with Suite(pair) as suite:
        return {finding.promise: finding for finding in suite.hold_all()}


def words(findings: Mapping[str, Finding], outcome: Outcome) -> dict[str, str]:
    """What was found of the promises that stand so."""
    return {name: finding.words for name, finding in findings.items() if finding.outcome is outcome}
