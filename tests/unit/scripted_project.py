"""A project in the current folder that decodes with the scripted engine, for tests of commands."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pytest_speedbench.engines import registry
from pytest_speedbench.options import OPTIONS


def enter_scripted_project(folder: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str) -> None:
    """Work in a folder with this ``pyproject.toml``, the engine announced, and no settings from outside."""
    monkeypatch.chdir(folder)
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    entry_point = EntryPoint("scripted", "tests.scripted_engine", registry.ENTRY_POINT_GROUP)
    installed = registry._installed
    monkeypatch.setattr(registry, "_installed", lambda: {**installed(), "scripted": entry_point})
    (folder / "pyproject.toml").write_text(pyproject)
