"""Which stored output answers a request, and which request none does."""

from __future__ import annotations

from pytest_speedbench.config import DrafterMethod, Sampling
from pytest_speedbench.engines.base import Request
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.outputs import RECORD_COMMAND, Outputs, OutputsHead


class Recorded:
    """Stored outputs by what was asked.

    Args:
        outputs: of one run.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._head = outputs.head
        self._places = {(row.prompt_ids, row.seed): place for place, row in enumerate(outputs.rows)}
        self._prompts = {row.prompt_ids for row in outputs.rows}

    def place(self, request: Request) -> int:
        """Which output is a request's.

        Raises:
            OutputsError: the request was not recorded, or not as it is asked now.
        """
        head, sampling = self._head, request.sampling
        _check_limit(head, sampling)
        _check_sampling(head, sampling)
        place = self._places.get((request.prompt_ids, None if sampling.greedy else sampling.seed))
        if place is None and request.prompt_ids in self._prompts:
            raise OutputsError(
                f"The outputs were sampled with the seed {head.seed}, and the run asks for another.",
                "Ask with that seed, or record them anew.",
            )
        if place is None:
            raise OutputsError(
                f"The prompt of request {request.request_id} is not among the stored outputs.",
                f"Record them anew with: {RECORD_COMMAND}",
            )
        return place


def draft_temperature(method: DrafterMethod, draft_sampling: str, outputs: Outputs) -> float | None:
    """At which temperature drafts are drawn; ``None`` for greedy drafts, as those of greedy runs and of lookups are.

    Args:
        method: of the drafter.
        draft_sampling: ``greedy`` or ``probabilistic``, as the pair says.
        outputs: what they are judged on.

    Raises:
        EngineError: the drafter's drawn drafts are not replayed.
        OutputsError: how probable the target held its tokens is not stored.
    """
    if outputs.head.greedy or draft_sampling == "greedy" or method is DrafterMethod.NGRAM:
        return None
    if method is not DrafterMethod.DRAFT_MODEL:
        raise EngineError(
            f"Drawn drafts are replayed of draft models only, and the drafter is {method.value}.",
            "Leave draft_sampling at greedy, or decode with it.",
        )
    if any(row.log_probabilities_nats is None for row in outputs.rows):
        raise OutputsError(
            f"The outputs that {outputs.head.engine} recorded do not say how probable their tokens were, which decides "
            "over drawn drafts.",
            "Record them with the transformers engine, or replay greedy drafts.",
        )
    return outputs.head.temperature


def _check_limit(head: OutputsHead, sampling: Sampling) -> None:
    if (sampling.max_output_tokens, sampling.ignore_eos) != (head.max_output_tokens, head.ignore_eos):
        raise OutputsError(
            f"The outputs were recorded with an output limit of {head.max_output_tokens} tokens, and "
            f"{sampling.max_output_tokens} are asked.",
            f"Ask for {head.max_output_tokens}, or record them anew.",
        )


def _check_sampling(head: OutputsHead, sampling: Sampling) -> None:
    recorded, asked = _in_words(head.temperature, head.top_p), _in_words(sampling.temperature, sampling.top_p)
    if recorded != asked:
        raise OutputsError(
            f"The outputs were recorded with {recorded}, and the run asks for {asked}.",
            "Ask for what was recorded, or record them anew.",
        )


def _in_words(temperature: float, top_p: float) -> str:
    if temperature == 0.0:
        return "greedy decoding"
    return f"temperature {temperature}" + ("" if top_p == 1.0 else f" and top_p {top_p}")
