"""vLLM's counters of speculation, as ``/metrics`` prints them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.errors import EngineError

_DRAFTS = "vllm:spec_decode_num_drafts_total"
_DRAFT_TOKENS = "vllm:spec_decode_num_draft_tokens_total"
_ACCEPTED_AT = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
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
        # By name, then by draft position; samples of several ranks, told apart by other labels, are summed.
        self._sums: dict[str, dict[int, float]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name.startswith("vllm:") and sample.labels.get("model_name", model) == model:
                        position = int(sample.labels.get("position", 0))
                        sums = self._sums.setdefault(sample.name, {})
                        sums[position] = sums.get(position, 0.0) + sample.value
        except ValueError as error:
            raise EngineError(
                f"The server's /metrics cannot be read: {error}.", "Check that the endpoint is a vLLM server."
            ) from error

    @property
    def keeps_statistics(self) -> bool:
        """Whether vLLM publishes figures of this model at all."""
        return _ALWAYS_THERE in self._sums

    @property
    def speculation(self) -> SpeculationCounters | None:
        """Speculation since the server's start, all ranks summed; ``None`` unless every counter is there."""
        if not {_DRAFTS, _DRAFT_TOKENS, _ACCEPTED_AT} <= self._sums.keys():
            return None
        accepted = self._sums[_ACCEPTED_AT]
        return SpeculationCounters(
            verify_steps=int(self._sums[_DRAFTS][0]),
            proposed_tokens=int(self._sums[_DRAFT_TOKENS][0]),
            accepted_per_position=tuple(int(accepted.get(position, 0)) for position in range(max(accepted) + 1)),
        )
