"""vLLM's counters of speculation, as ``/metrics`` prints them."""

from __future__ import annotations

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.http.metrics import Scrape

_ALWAYS_THERE = "vllm:num_requests_running"


class Metrics:
    """One scrape of a server's metrics, as far as one of its models is concerned.

    Args:
        text: the body, in Prometheus's text format.
        model: the served model's name; samples labelled with another one are left out.

    Raises:
        EngineError: the text is in no such format.
    """

    def __init__(self, text: str, model: str) -> None:
        self._scrape = Scrape(text, {"model_name": model})

    @property
    def keeps_statistics(self) -> bool:
        """Whether vLLM publishes figures of this model at all."""
        return _ALWAYS_THERE in self._scrape

    @property
    def speculation(self) -> SpeculationCounters | None:
        """Speculation since the server's start, all ranks summed; ``None`` unless every counter is there."""
        return self._scrape.speculation("vllm:spec_decode_")
