"""Every promise is one test: kept passes, broken fails, and what cannot be said or asked is skipped with its reason."""

from __future__ import annotations

import pytest

from pytest_speedbench.conformance.findings import Outcome
from pytest_speedbench.conformance.promises import PROMISES, Promise
from pytest_speedbench.conformance.suite import Suite
from pytest_speedbench.errors import VerdictError


@pytest.mark.parametrize("promise", PROMISES, ids=[promise.name for promise in PROMISES])
def test_promise(promise: Promise, suite: Suite) -> None:
    """Hold the adapter to it."""
    finding = suite.hold(promise)
    if finding.outcome is Outcome.BROKEN:
        raise VerdictError(f"{finding.title}: {finding.words}")
    if finding.outcome is not Outcome.KEPT:
        pytest.skip(f"{finding.outcome.value}: {finding.words}")
