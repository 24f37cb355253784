"""One GPU and no tensors."""

from __future__ import annotations

from types import SimpleNamespace

cuda = SimpleNamespace(is_available=lambda: True, get_device_name=lambda _index: "A GPU")
version = SimpleNamespace(cuda="13.0")
