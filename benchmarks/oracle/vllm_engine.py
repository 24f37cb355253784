"""Our vLLM adapter with the oracle as its drafter. Imported in vLLM's own environment only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from pytest_speedbench.engines.vllm import engine
from pytest_speedbench.engines.vllm.arguments import engine_arguments

if TYPE_CHECKING:
    from pytest_speedbench.config import Pair
    from pytest_speedbench.engines.base import EngineInfo

_PROPOSER = "oracle.proposer.OracleProposer"


class OracleEngine(engine.VllmEngine):
    """vLLM with one target and the oracle. The pair names n-gram drafting, which stands for the oracle here."""

    async def start(self) -> EngineInfo:
        """Load the target; everything but the proposer is the adapter's own."""
        with patch.object(engine, "engine_arguments", _with_oracle):
            return await super().start()


def _with_oracle(pair: Pair) -> dict[str, Any]:
    arguments = engine_arguments(pair)
    length = arguments["speculative_config"]["num_speculative_tokens"]
    speculation = {"method": "custom_class", "model": _PROPOSER, "num_speculative_tokens": length}
    return {**arguments, "speculative_config": speculation}
