"""Whether there is a GPU at all, and enough of them, before anything heavy is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_speedbench.config import Pair
from pytest_speedbench.errors import EngineError

DRIVER_FILES: tuple[Path, ...] = (
    Path("/proc/driver/nvidia/version"),
    Path("/dev/nvidiactl"),
    Path("/dev/dxg"),
    Path("/dev/nvhost-gpu"),
)
"""One of them is there wherever CUDA works: Linux, containers, WSL, Jetson."""
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_PARALLELISM = ("tensor_parallel_size", "pipeline_parallel_size", "context_parallel_size")


def check_gpus(pair: Pair) -> None:
    """Refuse a machine without an NVIDIA GPU, or with fewer than the pair's parallelism needs.

    How many there are is not known everywhere, nor how many machines there are where ``gpus_per_node`` is given; then
    TensorRT-LLM itself complains.

    Raises:
        EngineError: with what is missing.
    """
    if not any(path.exists() for path in DRIVER_FILES):
        raise EngineError(
            "TensorRT-LLM needs an NVIDIA GPU, and this machine has no NVIDIA driver.",
            "Run on a machine with a GPU (in a container: with --gpus all), or choose another engine.",
        )
    visible, needed = _visible(os.environ), gpus_needed(pair)
    if visible == 0:
        raise EngineError(f"TensorRT-LLM needs a GPU, and {_VISIBLE} hides them all.", f"Unset {_VISIBLE}.")
    if visible is not None and visible < needed and "gpus_per_node" not in pair.engine_args:
        raise EngineError(
            f"The pair {pair.name!r} needs {needed} GPUs ({' × '.join(_PARALLELISM)}), and {visible} can be seen.",
            "Lower its parallelism, or run where there are enough; several machines need trtllm-llmapi-launch.",
        )


def gpus_needed(pair: Pair) -> int:
    """GPUs that the pair's parallelism takes, on all machines together."""
    needed = 1
    for name in _PARALLELISM:
        size = pair.engine_args.get(name, 1)
        needed *= size if isinstance(size, int) else 1
    return needed


def accelerator() -> tuple[str, str | None]:
    """The first GPU's name and the CUDA version, by torch, which the engine has imported anyway.

    Raises:
        EngineError: torch sees no GPU.
    """
    import torch

    cuda: Any = torch.cuda
    if not cuda.is_available():
        raise EngineError(
            "TensorRT-LLM needs a GPU, and torch sees none.", "Check nvidia-smi and that torch was built for CUDA."
        )
    return str(cuda.get_device_name(0)), f"CUDA {torch.version.cuda}"


def gpu_name() -> str | None:
    """The first GPU's name, as the driver writes it; ``None`` where it writes none."""
    for file in sorted(GPU_FOLDER.glob("*/information")):
        found = re.search(r"^Model:\s*(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return None


def _visible(environment: Mapping[str, str]) -> int | None:
    if _VISIBLE in environment:
        return len([name for name in environment[_VISIBLE].split(",") if name.strip() not in ("", "-1")])
    return len(list(GPU_FOLDER.iterdir())) if GPU_FOLDER.is_dir() else None
