"""A stand-in for TensorRT-LLM: its names and its manners, a scripted model behind them, and no GPU.

It takes what the real one takes, refuses the rest in the same way, and notes what is used of it. The environment
variable ``FAKE_TENSORRT_LLM`` says which version it is: 1.2, or 1.2+ with what 1.2 has perhaps.
"""

from __future__ import annotations

from . import llmapi
from .engine import LLM
from .sampling import SamplingParams
from .strict import VARIANT

__version__ = f"{VARIANT.removesuffix('+')}.0"
__all__ = ["LLM", "SamplingParams", "__version__", "llmapi"]
