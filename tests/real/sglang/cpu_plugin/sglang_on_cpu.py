"""Has SGLang 0.5.23 run its Triton kernels on a processor, for tests only.

SGLang picks its kernels when their modules are imported: its own processor build, or Triton's where it finds an Intel
GPU. Without the first, the second set runs under ``TRITON_INTERPRET=1``. The flags set here are private to that
version.
"""

from __future__ import annotations

import importlib
from typing import Any

_VERSION = "0.5.23"
_TRITON_KERNELS = ("spec_tree", "cache_locs", "reconstruct_tree", "eagle")


def prepare() -> None:
    """Called by SGLang in each of its processes, before it loads anything.

    Raises:
        RuntimeError: another version of SGLang, whose flags may mean something else.
    """
    import sglang
    from sglang.srt import utils
    from sglang.srt.utils import common

    if sglang.__version__ != _VERSION:
        raise RuntimeError(f"sglang-on-cpu-for-tests is for SGLang {_VERSION}, and {sglang.__version__} is installed")
    _module("srt.layers.rotary_embedding.base")._is_cpu = True  # the plain torch implementation
    answers = utils.is_xpu, common.is_xpu
    utils.is_xpu = common.is_xpu = lambda: True
    try:
        for name in _TRITON_KERNELS:
            _module(f"kernels.ops.speculative.{name}")._is_xpu = True
    finally:
        utils.is_xpu, common.is_xpu = answers
    _module("srt.speculative.eagle_utils")._is_xpu = True


def _module(name: str) -> Any:
    return importlib.import_module(f"sglang.{name}")
