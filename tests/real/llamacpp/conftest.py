"""Real llama.cpp. Set TEST_LLAMA_SERVER to a ``llama-server``; it runs on a CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

DRAFT_MODEL = "draft_model:bundled:draft"
HEADS = ("eagle3", "eagle3-pruned")


@dataclass(frozen=True)
class Family:
    """The bundled family for one ``llama-server``."""

    binary: str
    target: Path
    draft: Path
    heads: Mapping[str, Path]

    def pair(self, drafter: str | None = DRAFT_MODEL, **engine_args: EngineArg) -> Pair:
        """A pair with a draft length of 3, in float32 throughout: half-precision key-value caches and flash attention
        would draft one prompt of the split differently."""
        arguments: dict[str, EngineArg] = {
            "binary": self.binary,
            "gguf": str(self.target),
            "draft_gguf": str(self.draft),
            "threads": 1,
            "flash_attn": "off",
            **dict.fromkeys(("cache_type_k", "cache_type_v"), "f32"),
            **dict.fromkeys(("spec_draft_type_k", "spec_draft_type_v"), "f32"),
            "parallel": 2,
            "ctx_size": 4096,
            **engine_args,
        }
        return Pair(
            "llamacpp-tiny", "llamacpp", "bundled:target", Drafter.parse(drafter, 3) if drafter else None, arguments
        )


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The family as GGUF files."""
    binary = os.environ.get("TEST_LLAMA_SERVER")
    if not binary:
        pytest.skip("TEST_LLAMA_SERVER names no llama-server")
    pytest.importorskip("gguf")
    from tests.real.llamacpp.gguf_files import write_gguf, write_head

    folder = tmp_path_factory.mktemp("gguf")
    target = BUNDLED_FOLDER / "target"
    return Family(
        binary,
        write_gguf(target, folder / "target.gguf"),
        write_gguf(BUNDLED_FOLDER / "draft", folder / "draft.gguf"),
        {name: write_head(BUNDLED_FOLDER / name, target, folder / f"{name}.gguf") for name in HEADS},
    )
