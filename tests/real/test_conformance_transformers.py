"""The conformance suite on the transformers engine, whose every promise is kept."""

from __future__ import annotations

import pytest

from pytest_speedbench.config import Drafter, Pair
from pytest_speedbench.conformance.findings import Outcome
from tests.real.conformance import held, words


@pytest.mark.parametrize("drafter", ["eagle3:bundled:eagle3", "ngram"])
def test_transformers_keeps_every_promise(drafter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair("conformance", "transformers", "bundled:target", Drafter.parse(drafter), {"threads": 1})
    findings = held(pair, monkeypatch)
    assert words(findings, Outcome.BROKEN) == {}
    assert words(findings, Outcome.ABSENT) == {"counters": "the engine has no counters"}
