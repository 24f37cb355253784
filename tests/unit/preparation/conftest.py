"""A hub that stands in for the real one, and caches of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_stand_in import HubStandIn, point_to, serving


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(HubStandIn()) as standin:
        point_to(standin.url, tmp_path / "home", monkeypatch)
        yield standin
