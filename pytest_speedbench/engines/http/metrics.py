"""Counters as a server's metrics page prints them, in Prometheus's text format."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.errors import EngineError

_MOST_POSITIONS = 4096
"""No draft is as long: what counts as one would only fill the memory."""


class Scrape:
    """One reading of a metrics page, as far as it is about one model.

    Args:
        text: the body.
        only: labels with the one value that counts; samples that carry another one are left out, samples without the
            label are kept.

    Raises:
        EngineError: the text is in no such format.
    """

    def __init__(self, text: str, only: Mapping[str, str]) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if all(sample.labels.get(label, value) == value for label, value in only.items()):
                        self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        except ValueError as error:
            raise EngineError(
                f"The server's metrics page cannot be read: {error}.", "Check that the endpoint is the server's own."
            ) from error

    def __contains__(self, name: str) -> bool:
        return name in self._samples

    def total(self, name: str) -> float | None:
        """A metric summed over its labels, which tell ranks apart; ``None`` if it is not on the page."""
        samples = self._samples.get(name)
        return None if samples is None else sum(value for _, value in samples)

    def count(self, name: str) -> int | None:
        """A counter summed over its labels; ``None`` if it is not on the page.

        Raises:
            EngineError: it is no count.
        """
        total = self.total(name)
        return None if total is None else _count(name, total)

    def by_label(self, name: str, label: str) -> dict[str, float] | None:
        """A metric for every value of one label, summed over the others; ``None`` if it is not on the page.

        Samples without the label come under the empty text.
        """
        samples = self._samples.get(name)
        if samples is None:
            return None
        sums: dict[str, float] = {}
        for labels, value in samples:
            key = labels.get(label, "")
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def speculation(self, prefix: str) -> SpeculationCounters | None:
        """Counters of speculation since the server's start, all ranks summed; ``None`` unless every one is there.

        Args:
            prefix: of the names ``num_drafts_total``, ``num_draft_tokens_total`` and
                ``num_accepted_tokens_per_pos_total``, the last with a label ``position`` from 0.
        """
        drafts, draft_tokens = self.count(f"{prefix}num_drafts_total"), self.count(f"{prefix}num_draft_tokens_total")
        by_position = f"{prefix}num_accepted_tokens_per_pos_total"
        accepted = self.by_label(by_position, "position")
        if drafts is None or draft_tokens is None or accepted is None:
            return None
        positions = {_position(by_position, label): _count(by_position, count) for label, count in accepted.items()}
        return SpeculationCounters(
            verify_steps=drafts,
            proposed_tokens=draft_tokens,
            accepted_per_position=tuple(positions.get(position, 0) for position in range(max(positions) + 1)),
        )


def _count(name: str, value: float) -> int:
    if not math.isfinite(value) or value < 0 or value != int(value):
        raise EngineError(
            f"The server's metrics page says {value:g} for {name}, which is no count.",
            "Turn on its per-request acceptance metrics, or report it with the server's version.",
        )
    return int(value)


def _position(name: str, label: str) -> int:
    if not (label.isascii() and label.isdecimal()) or int(label) >= _MOST_POSITIONS:
        raise EngineError(
            f"The server's metrics page has a draft position {label!r} in {name}.",
            "Turn on its per-request acceptance metrics, or report it with the server's version.",
        )
    return int(label)
