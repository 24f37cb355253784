"""What arrives of one request, held to what was asked and to what the engine says of it: once, for every engine."""

from __future__ import annotations

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.engines.base import Emission, Finish, Request
from pytest_speedbench.errors import EngineError

_REPORT = "Report it with the engine's version and its arguments; a measurement of such answers would be wrong."


class Arrivals:
    """The tokens of one request as they come, and its end.

    Args:
        engine: the engine's name, for messages.
        request: what was asked.
        vocab_size: the target's.

    Attributes:
        output: the token ids so far.
        finish: the request's end; ``None`` as long as it has not come.
    """

    def __init__(self, engine: str, request: Request, vocab_size: int) -> None:
        self._engine = engine
        self._request = request
        self._vocab_size = vocab_size
        self.output: list[int] = []
        self.finish: Finish | None = None

    def add(self, event: Emission | Finish) -> None:
        """Take what came next.

        Raises:
            EngineError: it came after the end, it is more than was asked, or no tokens of this target.
        """
        if self.finish is not None:
            raise self._error("goes on after its end")
        if isinstance(event, Finish):
            self.finish = event
            return
        for token in event.token_ids:
            if type(token) is not int or not 0 <= token < self._vocab_size:
                raise self._error(f"has the token id {token!r}, and the target has the ids 0 to {self._vocab_size - 1}")
        self.output.extend(event.token_ids)
        limit = self._request.sampling.max_output_tokens
        if len(self.output) > limit:
            raise self._error(f"has {len(self.output)} tokens by now, and at most {limit} were asked")

    def ended(self) -> Finish:
        """The end, once nothing more comes.

        Raises:
            EngineError: there was no end or no token, or the acceptance record is not of these tokens.
        """
        if self.finish is None or not self.output:
            raise EngineError(
                f"The engine {self._engine} ended the request {self._request.request_id} without "
                f"{'an end' if self.finish is None else 'any token'}.",
                "Look at the engine's own log for the reason.",
            )
        if self.finish.acceptance is not None:
            counted = self.finish.counted_tokens
            self._hold(self.finish.acceptance, len(self.output) if counted is None else counted)
        return self.finish

    def _hold(self, record: AcceptanceRecord, output_tokens: int) -> None:
        """Hold a record to the n tokens of its output.

        The prefill gives one of them and the decode steps the others; only the last step's can be cut off, K at most
        because one of them came. So n − 1 ≤ decoded ≤ n − 1 + K. Where steps without a draft are not counted, only the
        upper bound is known; where the tokens cut off are, decoded is n − 1 and they.
        """
        after_prefill = output_tokens - 1
        least, most = after_prefill, after_prefill + record.draft_length
        if record.decoded_tokens is None:
            least = 0
        elif record.discarded_tokens is not None:
            least = after_prefill + record.discarded_tokens
            most = min(most, least)
        undrafted = record.undrafted_steps or 0
        decoded = record.accepted_tokens + record.verify_steps + undrafted
        if least <= decoded <= most:
            return
        steps = f"{record.verify_steps} verify steps" + (f" and {undrafted} steps without a draft" if undrafted else "")
        cut = f", less {record.discarded_tokens} cut off at the end" if record.discarded_tokens is not None else ""
        raise EngineError(
            f"The engine {self._engine} says of the request {self._request.request_id} that {steps} accepted "
            f"{record.accepted_tokens} draft tokens, which makes {decoded} tokens{cut}; but {after_prefill} arrived "
            f"after the prefill's, with at most {record.draft_length} that an end can cut off.",
            "Its acceptance record is not of these tokens. " + _REPORT,
        )

    def _error(self, words: str) -> EngineError:
        return EngineError(
            f"The engine {self._engine}'s answer to the request {self._request.request_id} {words}.", _REPORT
        )
