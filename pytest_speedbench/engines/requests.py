"""What any engine refuses of a request, for those that would break down over it."""

from __future__ import annotations

from pytest_speedbench.engines.base import Request
from pytest_speedbench.errors import EngineError


def check_vocabulary(request: Request, vocab_size: int) -> None:
    """Every id of the prompt is one of the target's.

    Raises:
        EngineError: one is not.
    """
    outside = next((token for token in request.prompt_ids if not 0 <= token < vocab_size), None)
    if outside is not None:
        raise EngineError(
            f"The request {request.request_id} has the token id {outside}, and the target's vocabulary has "
            f"{vocab_size} tokens.",
            "Tokenize the prompts with the target's own tokenizer.",
        )
