"""Which SGLang is installed, here or in another environment, without importing it."""

from __future__ import annotations

from pytest_speedbench.engines.installed import Supported

SGLANG = Supported("SGLang", ("sglang",), oldest=(0, 5, 20), newest=(0, 5, 23))
"""The versions whose interfaces this adapter was written against, inclusive."""
