"""A pytest plugin that lets the trtllm engine start over the stand-in for TensorRT-LLM, as if there were a GPU."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pytest_speedbench.engines.trtllm import gpu

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put the stand-ins before the engine's process, and only before it: this one may need torch."""
    folder = tempfile.TemporaryDirectory(prefix="tensorrt-llm-")
    config.add_cleanup(folder.cleanup)
    metadata = Path(folder.name) / "tensorrt_llm-1.2.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: tensorrt_llm\nVersion: 1.2.1\n")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (FOLDER / "fakes", FOLDER / "fakes_gpu", folder.name)))
    os.environ["FAKE_TENSORRT_LLM"] = "1.2+"
    os.environ["FAKE_TENSORRT_LLM_SCRIPT"] = '{"accepted": [2, 0, 3, 1], "metrics": true, "length": 40}'
    gpu.DRIVER_FILES = (FOLDER,)
