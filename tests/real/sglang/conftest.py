"""Real SGLang. Set TEST_SGLANG_PYTHON to the interpreter of an environment that has it: ``run.sh`` makes one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real.sglang.asking import on_a_cpu


@pytest.fixture(scope="session", autouse=True)
def _on_a_cpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        on_a_cpu(patch.setenv)
        yield


@pytest.fixture(scope="session")
def sglang_python() -> str:
    """The interpreter that has SGLang."""
    python = os.environ.get("TEST_SGLANG_PYTHON")
    if not python:
        pytest.skip("TEST_SGLANG_PYTHON names no interpreter of an environment with SGLang")
    return python
