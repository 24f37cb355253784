"""The Run: everything one measurement recorded, and nothing computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_speedbench.acceptance import AcceptanceRecord, Counted, pool
from pytest_speedbench.config import Load, Pair, Sampling, canonical_dtype
from pytest_speedbench.engines.base import EngineInfo, FinishReason, RoutedExperts
from pytest_speedbench.engines.identity import ModelIdentity
from pytest_speedbench.numerics import Exposure
from pytest_speedbench.splits.schema import Split


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a conversation. Times are seconds since the run's start, all from one clock.

    Attributes:
        prompt_tokens: length of the rendered prompt, in the served model's tokens.
        prompt_sha256: hash of the rendered prompt's token ids.
        output_ids: what the engine emitted, the end-of-sequence token included.
        finish_reason: ``stop`` for an end-of-sequence token, ``length`` for the output limit.
        start_s: when the request was handed to the engine.
        emissions: ``(at_s, tokens)`` for every emission, in order.
        acceptance: the engine's record; ``None`` without a drafter, or when the engine does not say.
        preemptions: how often the engine computed the request anew; ``None`` if it does not say.
        routed_experts: of a mixture of experts, if the engine was asked to return them.
        exposure: of a stored output, how far rounding may make another one of it; ``None`` if that is not known, or if
            the output was decoded.
    """

    prompt_tokens: int
    prompt_sha256: str
    output_ids: tuple[int, ...]
    finish_reason: FinishReason
    start_s: float
    emissions: tuple[tuple[float, int], ...]
    acceptance: AcceptanceRecord | None
    preemptions: int | None = None
    routed_experts: RoutedExperts | None = None
    exposure: Exposure | None = None

    @property
    def contradiction(self) -> str:
        """Why the record cannot be of this output, in words; empty if it can be, or without one."""
        return "" if self.acceptance is None else self.acceptance.contradiction(len(self.output_ids))

    @property
    def first_token_s(self) -> float:
        """When the first token arrived."""
        return self.emissions[0][0]

    @property
    def last_token_s(self) -> float:
        """When the last token arrived."""
        return self.emissions[-1][0]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One prompt of the split with all its turns: the unit of every statistic.

    ``isl_tokens`` is the length to which the first turn was cut or filled, in the tokens that were asked for;
    ``turns[0].prompt_tokens`` is what became of it in the served model's. ``None`` where its length is its own.
    """

    question_id: str
    category: str
    sub_category: str
    turns: tuple[Turn, ...]
    isl_tokens: int | None = None

    @property
    def acceptance(self) -> AcceptanceRecord | None:
        """The turns' records pooled; ``None`` unless every turn has one (a part is not the whole)."""
        records = [turn.acceptance for turn in self.turns if turn.acceptance is not None]
        return pool(records) if len(records) == len(self.turns) else None

    @property
    def contradiction(self) -> str:
        """Why a turn's record cannot be of its output, in words; of the first such turn. Empty if all can be."""
        return next((turn.contradiction for turn in self.turns if turn.contradiction), "")

    @property
    def output_tokens(self) -> int:
        """Tokens emitted over all turns."""
        return sum(len(turn.output_ids) for turn in self.turns)


@dataclass(frozen=True, slots=True)
class SplitIdentity:
    """Which split was asked.

    Attributes:
        name: of the split.
        sha256: hash of its whole content.
        prompts: how many it has in all.
        origin: where it was read from, with the revision if it has one; empty where nobody said.
        notes: what was left out or changed while reading.
        control: whether it is a negative control, no workload.
    """

    name: str
    sha256: str
    prompts: int
    origin: str = ""
    notes: tuple[str, ...] = ()
    control: bool = False

    @classmethod
    def of(cls, split: Split) -> SplitIdentity:
        """Of a split or a subset of it."""
        return cls(split.name, split.sha256, split.total, split.origin, split.notes, split.control)


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one pair on one split.

    Attributes:
        conversations: in the split's order.
        environment: versions and the like, for the record only.
        counters: what the engine's own counters say of the whole run; ``None`` when it has none, or when they also
            counted requests that are not in the run because their category was decided.
        stopped: how many prompts were planned in each category that was decided before all of them were asked. It need
            not have a single conversation.
    """

    pair: Pair
    engine: EngineInfo
    models: ModelIdentity
    split: SplitIdentity
    sampling: Sampling
    load: Load
    conversations: tuple[Conversation, ...]
    environment: Mapping[str, str]
    counters: Counted | None = None
    stopped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def complete(self) -> bool:
        """Whether every planned prompt was asked.

        The acceptance of an incomplete run is unbiased only as its stop rule says. Its speed is not that of a whole
        run: cancelled requests kept the engine busy and left no tokens here.
        """
        return not self.stopped

    @property
    def dtype(self) -> str | None:
        """In which the target computed: as the engine says, else as the pair says of a server; ``None`` if neither."""
        return computed_in(self.pair, self.engine)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories present, in alphabetical order."""
        return tuple(sorted({conversation.category for conversation in self.conversations}))

    def in_category(self, category: str) -> tuple[Conversation, ...]:
        """The conversations of one category, in the split's order."""
        return tuple(c for c in self.conversations if c.category == category)


def computed_in(pair: Pair, info: EngineInfo) -> str | None:
    """In which dtype the target of a started engine computes; see :attr:`Run.dtype`."""
    told = info.args.get("dtype")
    if told is None and pair.server is not None and pair.dtype != "auto":
        return pair.dtype
    return None if told is None else canonical_dtype(str(told))
