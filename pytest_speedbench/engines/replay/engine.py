"""Stored outputs given again as an engine gives them, each with the record that the pair's drafter would have had."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import Pair
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.identity import model_identity
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import Reach, record_of
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.numerics import near_tie_limit
from pytest_speedbench.outputs import Outputs, OutputsHead, StoredOutput, read_outputs

_RECORD = "pytest … --speedbench-record-outputs"
_AHEAD_TOKENS = 8
"""Batches that are judged together, so that outputs of similar length can stand side by side."""


class ReplayEngine:
    """Answers with stored outputs.

    A request that was not recorded is refused: later turns contain replies, so only the recorded conversations of the
    recorded target, tokenizer and template are known.

    Args:
        pair: whose drafter is judged.
    """

    def __init__(self, pair: Pair) -> None:
        if pair.drafter is None:
            raise EngineError(f"The pair {pair.name!r} has no drafter to replay.", "Name one.")
        self._pair = pair
        self._drafter = pair.drafter
        self._options = ReplayOptions.parse(pair.engine_args)
        self._rows: Sequence[StoredOutput] = ()
        self._places: dict[tuple[int, ...], int] = {}
        self._reaches: dict[int, Reach] = {}
        self._head: OutputsHead | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> EngineInfo:
        """Read the outputs and load the drafter.

        Raises:
            EngineError: the drafter does not load or does not fit.
            OutputsError: the outputs cannot be read, or are another target's.
        """
        outputs = await asyncio.to_thread(self._load)
        return self._info(outputs)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Give a stored output again, cut into the steps that its record counts.

        Raises:
            OutputsError: the request was not recorded, or not as it is asked now.
        """
        place = self._place(request)
        async with self._lock:
            if place not in self._reaches:
                await asyncio.to_thread(self._judge_from, place)
        row, now_s = self._rows[place], time.perf_counter()
        yield Emission(row.output_ids, now_s)
        yield Finish("stop" if row.stopped else "length", self._record(place, self._drafter.draft_length))

    async def stop(self) -> None:
        """Let go of the models."""
        self._rows, self._head = (), None
        self._reaches.clear()

    def records_at(self, draft_length: int) -> Mapping[tuple[int, ...], AcceptanceRecord]:
        """By prompt, the records of all requests that were asked so far, had the drafts been that long.

        Raises:
            OutputsError: the pair's drafts are not as long.
        """
        if not 1 <= draft_length <= self._drafter.draft_length:
            raise OutputsError(
                f"Drafts of {draft_length} tokens cannot be judged by those of {self._drafter.draft_length}.",
                "Replay a pair of the longest drafts.",
            )
        return {self._rows[place].prompt_ids: self._record(place, draft_length) for place in self._reaches}

    def _record(self, place: int, draft_length: int) -> AcceptanceRecord:
        return record_of(self._rows[place], self._reaches[place], draft_length, self._context_tokens)

    def _load(self) -> Outputs:
        from pytest_speedbench.engines.replay.judges import load_judge

        outputs = read_outputs(self._options.outputs, record_command=_RECORD)
        self._check(outputs.head)
        with self._threads():
            self._judge = load_judge(self._pair, self._drafter, self._options, outputs.head.context_tokens)
        self._rows, self._head = outputs.rows, outputs.head
        self._context_tokens = outputs.head.context_tokens
        self._places = {row.prompt_ids: place for place, row in enumerate(outputs.rows)}
        return outputs

    def _check(self, head: OutputsHead) -> None:
        models = model_identity(self._pair)
        for what, stored, ours in (
            ("target", head.target_sha256, models.target_sha256),
            ("tokenizer", head.tokenizer_sha256, models.tokenizer_sha256),
            ("chat template", head.chat_template_sha256, models.chat_template_sha256),
        ):
            if stored != ours:
                raise OutputsError(
                    f"The stored outputs {self._options.outputs} are of another {what} than the pair's.",
                    f"Record them anew with: {_RECORD}",
                )
        if self._drafter.draft_length > head.overhang:
            raise OutputsError(
                f"The stored outputs judge drafts of at most {head.overhang} tokens, and the pair drafts "
                f"{self._drafter.draft_length}.",
                f"Record them anew with: {_RECORD}",
            )

    def _place(self, request: Request) -> int:
        head, sampling = self._head, request.sampling
        if head is None:
            raise EngineError("Replay was asked before it was started.", "Start it first.")
        if not sampling.greedy:
            raise OutputsError("Stored outputs are greedy, and a sampled run is asked.", "Ask at temperature 0.")
        if (sampling.max_output_tokens, sampling.ignore_eos) != (head.max_output_tokens, head.ignore_eos):
            raise OutputsError(
                f"The outputs were recorded with an output limit of {head.max_output_tokens} tokens, and "
                f"{sampling.max_output_tokens} are asked.",
                f"Ask for {head.max_output_tokens}, or record them anew.",
            )
        place = self._places.get(request.prompt_ids)
        if place is None:
            raise OutputsError(
                f"The prompt of request {request.request_id} is not among the stored outputs.",
                f"Record them anew with: {_RECORD}",
            )
        return place

    def _judge_from(self, place: int) -> None:
        """Judge a request and those after it, as many as go together."""
        budget = _AHEAD_TOKENS * self._options.batch_tokens
        places: list[int] = []
        for following in range(place, len(self._rows)):
            row = self._rows[following]
            budget -= len(row.prompt_ids) + len(row.continued)
            if places and budget < 0:
                break
            if following not in self._reaches:
                places.append(following)
        with self._threads():
            reaches = self._judge([self._rows[following] for following in places])
        self._reaches.update(zip(places, reaches, strict=True))

    @contextmanager
    def _threads(self) -> Iterator[None]:
        if self._options.models.threads is None:
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self._options.models.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _info(self, outputs: Outputs) -> EngineInfo:
        head = outputs.head
        served = self._options.models.dtype or head.dtype
        return EngineInfo(
            name="replay",
            version=version("pytest-speedbench"),
            args={
                "recorded_by": f"{head.engine} {head.engine_version}",
                "recorded_on": head.date,
                "dtype": head.dtype,
                "served_dtype": served,
                "near_ties": near_ties(outputs.rows, served, head.dtype),
            },
            device=cpu_name(),
            device_count=1,
            driver=None,
            max_concurrency=None,
            vocab_size=head.vocab_size,
            context_tokens=head.context_tokens,
            eos_token_ids=head.eos_token_ids,
            timed=False,
        )


def near_ties(rows: Sequence[StoredOutput], *dtypes: str | None) -> float | None:
    """The share of output tokens that rounding in the coarsest of these dtypes may turn into another one.

    ``None`` if a dtype is not known or the margins were not recorded.
    """
    limits = [near_tie_limit(dtype) for dtype in dtypes]
    margins = [margin for row in rows for margin in row.margins_nats or ()]
    if None in limits or not margins or any(row.margins_nats is None for row in rows):
        return None
    limit = max(limit for limit in limits if limit is not None)
    return sum(margin <= limit for margin in margins) / len(margins)
