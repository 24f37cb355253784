"""The adapter: a pair decoded in one worker thread, its emissions handed to the event loop as they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import torch

from pytest_speedbench.config import Pair, Sampling
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.engines.transformers.pair_decoder import PairDecoder
from pytest_speedbench.errors import EngineError


class TransformersEngine:
    """transformers in this process, one request at a time.

    Times are taken in the worker thread as soon as a step's tokens are known, so a busy event loop does not shift them.

    Args:
        pair: what to load.

    Raises:
        EngineError: an engine argument cannot be used.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._options = TransformersOptions.parse(pair.engine_args)
        self._worker: ThreadPoolExecutor | None = None
        self._decoder: PairDecoder | None = None
        self._threads_before: int | None = None

    async def start(self) -> EngineInfo:
        """Load the pair.

        Raises:
            EngineError: models that are missing, do not load or do not fit each other.
        """
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="speedbench-transformers")
        self._decoder, info = await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        return info

    async def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode one request; a second one waits for the first.

        Raises:
            EngineError: the request does not fit the model, or transformers failed; its message is in it.
        """
        worker, decoder = self._worker, self._decoder
        if worker is None or decoder is None:
            raise EngineError("The transformers engine was asked before it was started.", "Start it first.")
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Emission | None] = asyncio.Queue()
        cancelled = threading.Event()

        def hand_over(item: Emission | None) -> None:
            loop.call_soon_threadsafe(arrived.put_nowait, item)

        def decode() -> Finish:
            try:
                return decoder.decode(request, hand_over, cancelled)
            finally:
                hand_over(None)

        finished = loop.run_in_executor(worker, decode)
        try:
            while (emission := await arrived.get()) is not None:
                yield emission
            yield await finished
        finally:
            # Closed early: the worker stops at its next step, and the engine is free again only then.
            cancelled.set()
            await asyncio.wait([finished])
            if not finished.cancelled():
                finished.exception()  # seen, so that asyncio does not report a failure nobody waited for

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The target's most probable next tokens with their log-probabilities.

        Raises:
            EngineError: it is not started.
        """
        if self._worker is None or self._decoder is None:
            raise EngineError("The transformers engine was asked before it was started.", "Start it first.")
        ranked = self._decoder.next_tokens
        return await asyncio.get_running_loop().run_in_executor(self._worker, ranked, prompt_ids, count)

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The ids that the target's first forward pass is given.

        Raises:
            EngineError: it is not started, or the prompt does not fit the model.
        """
        if self._worker is None or self._decoder is None:
            raise EngineError("The transformers engine was asked before it was started.", "Start it first.")
        read = self._decoder.prompt_as_read
        return await asyncio.get_running_loop().run_in_executor(self._worker, read, prompt_ids)

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...]:
        """How sure the target was of every output token.

        Raises:
            EngineError: it is not started.
        """
        if self._worker is None or self._decoder is None:
            raise EngineError("The transformers engine was asked before it was started.", "Start it first.")
        margins = self._decoder.margins_nats
        return await asyncio.get_running_loop().run_in_executor(self._worker, margins, prompt_ids, output_ids)

    async def log_probabilities_nats(
        self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...], sampling: Sampling
    ) -> tuple[float, ...]:
        """How likely every token of a sampled output was.

        Raises:
            EngineError: it is not started.
        """
        if self._worker is None or self._decoder is None:
            raise EngineError("The transformers engine was asked before it was started.", "Start it first.")
        stated = self._decoder.log_probabilities_nats
        return await asyncio.get_running_loop().run_in_executor(self._worker, stated, prompt_ids, output_ids, sampling)

    async def stop(self) -> None:
        """Free the models and the worker thread."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        await asyncio.get_running_loop().run_in_executor(worker, self._unload)
        worker.shutdown()

    def _load(self) -> tuple[PairDecoder, EngineInfo]:
        if self._options.threads is not None:
            self._threads_before = torch.get_num_threads()
            torch.set_num_threads(self._options.threads)
        decoder = PairDecoder(self._pair, self._options)
        return decoder, decoder.info()

    def _unload(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        if self._threads_before is not None:
            torch.set_num_threads(self._threads_before)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
