"""The TensorRT backend's ``LLM``."""

from .engine import tensorrt_llm as LLM  # noqa: N812 - the real one's

__all__ = ["LLM"]
