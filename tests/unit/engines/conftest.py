"""Tiny random models on disk, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.engines import tiny_models
from tests.unit.engines.tiny_models import Models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return tiny_models.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    return path
