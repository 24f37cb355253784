"""What an engine is to the rest: started, given token ids, read as timed emissions, stopped.

An adapter is small. Turns, concurrency, timing of conversations, retries and journals live in
:mod:`pytest_speedbench.measure`, once for all engines.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import EngineArg, Pair, Sampling
from pytest_speedbench.numerics import Exposure

FinishReason = Literal["stop", "length"]
Answered = tuple[tuple[int, ...], tuple[int, ...]]
"""A request by what it read and what it put out: prompt ids and output ids."""


@dataclass(frozen=True, slots=True)
class Request:
    """One generation: the exact token ids the target reads, and how to sample.

    ``messages`` are the conversation that the ids render, as role and text: only for servers that take no ids and
    render it themselves, and say so with :attr:`EngineInfo.templates_prompts`; empty for all others.
    """

    request_id: str
    prompt_ids: tuple[int, ...]
    sampling: Sampling
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Emission:
    """Tokens that came out of the engine together.

    ``at_s`` is ``time.perf_counter()`` taken as close to the engine as it can be, in seconds.
    """

    token_ids: tuple[int, ...]
    at_s: float


@dataclass(frozen=True, slots=True)
class RoutedExperts:
    """Which experts of a mixture-of-experts target each token was routed to.

    Attributes:
        shape: tokens (those of the prompt first), layers, experts per token.
        ids: expert ids in C order, two bytes each, little-endian.
    """

    shape: tuple[int, int, int]
    ids: bytes


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a request.

    Attributes:
        reason: ``stop`` for an end-of-sequence token, ``length`` for the output limit.
        acceptance: the engine's own record; ``None`` when there is no drafter or the engine does not say.
        preemptions: how often the engine took the request's memory away and computed it anew; ``None`` if it does not
            say.
        routed_experts: for a mixture of experts, if the engine was asked to return them.
        exposure: of an output that was stored, how far rounding may make another one of it; ``None`` if that is not
            known, or if the output was decoded.
        answer: the text that a client would put into the conversation, where a server parted it from the thought before
            it; ``None`` where nobody did.
        counted_tokens: how many tokens the engine says it put out, where its answer came as text and the ids were made
            of that again, which may be more or fewer; ``None`` where its own ids arrived.
    """

    reason: FinishReason
    acceptance: AcceptanceRecord | None
    preemptions: int | None = None
    routed_experts: RoutedExperts | None = None
    exposure: Exposure | None = None
    answer: str | None = None
    counted_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What really runs, as resolved at start.

    Attributes:
        name: the engine's registered name.
        version: the engine's version.
        args: every argument that shapes the measurement, as resolved.
        device: accelerator name as the driver gives it, or the CPU's.
        device_count: accelerators used.
        driver: accelerator driver or CUDA version, ``None`` on a CPU.
        max_concurrency: requests the engine can decode at once; ``None`` for no limit of its own.
        vocab_size: the target's vocabulary size.
        context_tokens: the longest sequence, prompt and output together.
        eos_token_ids: ids that end a sequence, as the engine stops on them.
        templates_prompts: whether the engine renders messages itself instead of reading the ids of a request.
        timed: whether the times of emissions mean anything; not where nothing is decoded.
    """

    name: str
    version: str
    args: Mapping[str, EngineArg]
    device: str
    device_count: int
    driver: str | None
    max_concurrency: int | None
    vocab_size: int
    context_tokens: int
    eos_token_ids: tuple[int, ...]
    templates_prompts: bool = False
    timed: bool = True


class Engine(Protocol):
    """One engine with one pair loaded. All methods run on one event loop."""

    async def start(self) -> EngineInfo:
        """Load the models and get ready.

        Raises:
            EngineError: not installed, models that do not load or do not fit each other, wrong arguments.
        """

    def generate(self, request: Request) -> AsyncGenerator[Emission | Finish, None]:
        """Decode one request: emissions as they come, then exactly one :class:`Finish`.

        Closing the generator early cancels the request. ``sum(len(e.token_ids))`` is the output's length, the
        end-of-sequence token included.

        Raises:
            EngineError: the engine failed; its own message is in it.
        """

    async def stop(self) -> None:
        """Free everything. Safe to call twice, and after a failed start."""


@dataclass(frozen=True, slots=True)
class SpeculationCounters:
    """An engine's counters since its start, summed over all of its ranks.

    Attributes:
        verify_steps: drafts that the target verified.
        proposed_tokens: draft tokens in them; ``None`` when they are not counted.
        accepted_per_position: how often the first, second, … K-th draft token was accepted; ``None`` when positions are
            not told apart.
        accepted_in_all: accepted draft tokens, where positions are not told apart.

    Raises:
        ValueError: neither is given, or both.
    """

    verify_steps: int
    proposed_tokens: int | None
    accepted_per_position: tuple[int, ...] | None
    accepted_in_all: int | None = None

    def __post_init__(self) -> None:
        if (self.accepted_per_position is None) == (self.accepted_in_all is None):
            raise ValueError("accepted tokens are counted by position or in all, one of the two")


@runtime_checkable
class CountsSpeculation(Protocol):
    """An engine that counts acceptance as a whole: the source to fall back on when requests have no record."""

    async def counters(self) -> SpeculationCounters | None:
        """The counters now; ``None`` when this engine has none after all."""


@runtime_checkable
class Prints(Protocol):
    """An engine whose output is captured, to be shown when it fails."""

    def output(self) -> str:
        """What it printed last."""


@runtime_checkable
class RanksTokens(Protocol):
    """An engine that can say how likely the target's next token was."""

    async def next_tokens(self, prompt_ids: tuple[int, ...], count: int) -> tuple[tuple[int, float], ...]:
        """The ``count`` most probable next tokens after ``prompt_ids`` with their natural log-probabilities.

        Empty when this engine cannot say after all.
        """


@runtime_checkable
class ReadsBack(Protocol):
    """An engine that can say which prompt it read."""

    async def prompt_as_read(self, prompt_ids: tuple[int, ...]) -> tuple[int, ...] | None:
        """The ids that the target reads when ``prompt_ids`` are asked, by the engine's own account.

        ``None`` when this engine cannot say after all.
        """


@runtime_checkable
class StatesMargins(Protocol):
    """An engine that can say how sure the target was of an output."""

    async def margins_nats(self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...]) -> tuple[float, ...] | None:
        """For every output token, its log-probability less that of the most probable other one, in nats.

        ``None`` when this engine cannot say after all.
        """


@runtime_checkable
class StatesLogProbabilities(Protocol):
    """An engine that can say how likely the target was to put out what it did."""

    async def log_probabilities_nats(
        self, prompt_ids: tuple[int, ...], output_ids: tuple[int, ...], sampling: Sampling
    ) -> tuple[float, ...] | None:
        """For every output token the natural logarithm of its probability where it was drawn.

        That is under the distribution that ``sampling`` makes of the target's, its temperature and top_p applied.
        ``None`` when this engine cannot say after all.
        """


@runtime_checkable
class Rejudges(Protocol):
    """An engine that knows what shorter drafts would have had accepted."""

    def records_at(self, draft_length: int) -> Mapping[Answered, AcceptanceRecord]:
        """The records of the requests that were asked so far, had the drafts been that long."""


class EngineFactory(Protocol):
    """How an adapter module is entered: checked before anything is loaded, then made."""

    def check(self, pair: Pair) -> None:
        """Refuse at once what can be known without loading: package missing, drafter method unsupported, bad arguments.

        Raises:
            EngineError: with the way out.
        """

    def create(self, pair: Pair) -> Engine:
        """Make an engine that is not started yet."""
