"""Stored outputs given again as an engine gives them, each with the record that the pair's drafter would have had."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.base import Answered, Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.identity import model_identity
from pytest_speedbench.engines.replay.expected import DrawnReach, ExpectedAcceptance, expected_acceptance
from pytest_speedbench.engines.replay.lookup import lookup_judge, rule_of
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.recorded import Recorded, draft_temperature
from pytest_speedbench.engines.replay.texts import SharedText, shared_texts
from pytest_speedbench.engines.replay.walk import Judge, Reach, emitted, record_of, room, steps_of
from pytest_speedbench.errors import EngineError, OutputsError
from pytest_speedbench.numerics import Exposure, exposure, near_tie_limit
from pytest_speedbench.outputs import RECORD_COMMAND, Outputs, OutputsHead, StoredOutput, read_outputs
from pytest_speedbench.states import open_states

if TYPE_CHECKING:
    from pytest_speedbench.engines.replay.free_cores import FreeCores

_OTHER_DRAW = Exposure(share=0.0, unchanged=1.0)
"""Where rounding makes another text of a sampled output, it is another draw of the same distribution."""
_BATCHES_AT_A_TIME = 4
"""Batches that are judged before it is looked who else has asked, and whether the run was cancelled."""


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
        self._lookup = rule_of(pair, self._options)
        self._rows: Sequence[StoredOutput] = ()
        self._recorded: Recorded | None = None
        self._near_tie_limit: float | None = None
        self._reaches: dict[int, Reach] = {}
        self._texts: Sequence[SharedText] = ()
        self._text_of: Mapping[int, int] = {}
        self._waiting: set[int] = set()
        self._worker: ThreadPoolExecutor | None = None
        self._judging: asyncio.Future[None] | None = None
        self._free_cores: FreeCores | None = None

    async def start(self) -> EngineInfo:
        """Read the outputs and load the drafter.

        Raises:
            EngineError: the drafter does not load or does not fit.
            OutputsError: the outputs cannot be read, or are another target's.
        """
        # One thread for all: a second one has threads of its own below it, and theirs wait for each other by sleeping.
        self._worker = ThreadPoolExecutor(1, "speedbench-replay")
        outputs = await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        return self._info(outputs)

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Give a stored output again, cut into the steps that its record counts.

        Raises:
            OutputsError: the request was not recorded, or not as it is asked now.
        """
        if self._recorded is None:
            raise EngineError("Replay was asked before it was started.", "Start it first.")
        place = self._recorded.place(request)
        if self._lookup is not None and self._lookup.remembers:
            self._reaches.pop(place, None)  # other requests may have been remembered since
        await self._judged(place)
        row, now_s = self._rows[place], time.perf_counter()
        steps = steps_of(row, self._reaches[place], self._drafter.draft_length, self._context_tokens)
        for token_ids in emitted(row, steps):
            yield Emission(token_ids, now_s)
        yield Finish(
            "stop" if row.stopped else "length",
            self._record(place, self._drafter.draft_length),
            exposure=exposure(row.margins_nats, self._near_tie_limit) if row.seed is None else _OTHER_DRAW,
        )

    async def stop(self) -> None:
        """Let go of the models."""
        judging, self._judging = self._judging, None
        if judging is not None:
            await asyncio.gather(judging, return_exceptions=True)
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown()
        self._rows, self._recorded = (), None
        self._reaches.clear()

    def records_at(self, draft_length: int) -> Mapping[Answered, AcceptanceRecord]:
        """The records of all requests that were asked so far, had the drafts been that long.

        Raises:
            OutputsError: the pair's drafts are not as long.
        """
        self._check_length(draft_length)
        return {self._answered(place): self._record(place, draft_length) for place in self._reaches}

    def expected_at(self, draft_length: int) -> Mapping[Answered, ExpectedAcceptance]:
        """What is expected of all requests that were asked so far and whose drafts are drawn.

        Raises:
            OutputsError: the pair's drafts are not as long.
        """
        self._check_length(draft_length)
        found = {}
        for place, reach in self._reaches.items():
            if isinstance(reach, DrawnReach):
                row, acceptance = self._rows[place], reach.acceptance[:, :draft_length]
                rooms = [room(row, j, draft_length, self._context_tokens) for j in range(len(acceptance))]
                found[self._answered(place)] = expected_acceptance(acceptance, rooms)
        return found

    def _answered(self, place: int) -> Answered:
        return self._rows[place].prompt_ids, self._rows[place].output_ids

    def _check_length(self, draft_length: int) -> None:
        if not 1 <= draft_length <= self._drafter.draft_length:
            raise OutputsError(
                f"Drafts of {draft_length} tokens cannot be judged by those of {self._drafter.draft_length}.",
                "Replay a pair of the longest drafts.",
            )
        if self._lookup is not None and self._lookup.stepwise and draft_length != self._drafter.draft_length:
            raise OutputsError(
                f"By {self._lookup.name}'s rule drafts of {self._drafter.draft_length} tokens say nothing of those of "
                f"{draft_length}.",
                "Replay a pair of that draft length.",
            )

    def _record(self, place: int, draft_length: int) -> AcceptanceRecord:
        record = record_of(self._rows[place], self._reaches[place], draft_length, self._context_tokens)
        return record if self._lookup is None else self._lookup.record(record)

    def _load(self) -> Outputs:
        outputs = read_outputs(self._options.outputs)
        self._check(outputs.head)
        self._drawn_at = draft_temperature(self._drafter.method, self._options.draft_sampling, outputs)
        self._judge = self._loaded(outputs.head.context_tokens)
        self._rows, self._recorded = outputs.rows, Recorded(outputs)
        self._texts = [SharedText(row.prompt_ids + row.output_ids, [place]) for place, row in enumerate(outputs.rows)]
        if self._lookup is None:  # a lookup shares nothing, and may depend on the order of requests
            self._texts = shared_texts([text.ids for text in self._texts])
        self._text_of = {place: number for number, text in enumerate(self._texts) for place in text.places}
        self._context_tokens = outputs.head.context_tokens
        return outputs

    def _loaded(self, context_tokens: int) -> Judge:
        if self._lookup is not None:
            return lookup_judge(self._lookup, self._options, self._drafter.draft_length, context_tokens)
        from pytest_speedbench.engines.replay.judges import load_judge

        with self._threads():
            return load_judge(self._pair, self._drafter, self._options, context_tokens, self._drawn_at)

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
                    f"Record them anew with: {RECORD_COMMAND}",
                )
        if self._drafter.draft_length > head.overhang:
            raise OutputsError(
                f"The stored outputs judge drafts of at most {head.overhang} tokens, and the pair drafts "
                f"{self._drafter.draft_length}.",
                f"Record them anew with: {RECORD_COMMAND}",
            )

    async def _judged(self, place: int) -> None:
        """Wait until a request is judged, together with all that are asked meanwhile, and the later turns of both."""
        self._waiting.update(set(self._texts[self._text_of[place]].places) - self._reaches.keys())
        while place not in self._reaches:
            if self._judging is None:
                self._judging = asyncio.ensure_future(self._judge_waiting())
            await asyncio.shield(self._judging)

    async def _judge_waiting(self) -> None:
        try:
            asked = 0
            while asked < len(self._waiting):  # others that are about to ask
                asked = len(self._waiting)
                await asyncio.sleep(0)
            places = self._next_places()
            rows = [self._rows[place] for place in places]
            reaches = await asyncio.get_running_loop().run_in_executor(self._worker, self._reaches_of, rows)
            self._reaches.update(zip(places, reaches, strict=True))
            self._waiting.difference_update(places)
        finally:
            self._judging = None

    def _next_places(self) -> list[int]:
        """Of those that wait the shortest texts, in the order of their lengths."""
        places: list[int] = []
        budget = _BATCHES_AT_A_TIME * self._judge.batch_tokens
        for number in sorted({self._text_of[place] for place in self._waiting}, key=self._tokens):
            budget -= self._tokens(number)
            if places and budget < 0:
                break
            places += [place for place in self._texts[number].places if place in self._waiting]
        return places

    def _tokens(self, text: int) -> int:
        return len(self._texts[text].ids)

    def _reaches_of(self, rows: Sequence[StoredOutput]) -> Sequence[Reach]:
        with self._threads():
            return self._judge(rows)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        if self._lookup is not None:  # which computes nothing in parallel
            yield
            return
        import torch

        from pytest_speedbench.engines.replay.free_cores import FreeCores

        if self._free_cores is None:
            self._free_cores = FreeCores(self._options.models.threads)
        before = torch.get_num_threads()
        torch.set_num_threads(self._free_cores.threads())
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _target_in_words(self) -> str | None:
        """What a head reads; ``None`` for drafters that read nothing of the target."""
        if self._drafter.method in (DrafterMethod.NGRAM, DrafterMethod.DRAFT_MODEL):
            return None
        if self._options.states is None or self._drafter.method is DrafterMethod.MTP:
            return "live"
        return f"recorded states in {open_states(self._options.states, record_command='speedbench states').head.dtype}"

    def _info(self, outputs: Outputs) -> EngineInfo:
        head = outputs.head
        served = self._options.models.dtype or head.dtype
        self._near_tie_limit = near_tie_limit(served, head.dtype)
        return EngineInfo(
            name="replay",
            version=version("pytest-speedbench"),
            args={
                "recorded_by": f"{head.engine} {head.engine_version}",
                "recorded_on": head.date,
                "lookup": None if self._lookup is None else self._lookup.in_words,
                "target": self._target_in_words(),
                "dtype": head.dtype,
                "served_dtype": served,
                "near_ties": near_ties(outputs.rows, self._near_tie_limit),
                "draft_sampling": "greedy" if self._drawn_at is None else "probabilistic",
            },
            device=cpu_name(),
            device_count=1,
            driver=None,
            max_concurrency=1 if self._lookup is not None and self._lookup.remembers else None,
            vocab_size=head.vocab_size,
            context_tokens=head.context_tokens,
            eos_token_ids=head.eos_token_ids,
            timed=False,
        )


def near_ties(rows: Sequence[StoredOutput], limit_nats: float | None) -> float | None:
    """The share of output tokens that rounding may turn over; ``None`` if limit or margins are not known."""
    margins = [margin for row in rows for margin in row.margins_nats or ()]
    if limit_nats is None or not margins or any(row.margins_nats is None for row in rows):
        return None
    return sum(margin <= limit_nats for margin in margins) / len(margins)
