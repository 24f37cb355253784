"""The baseline: per-prompt sufficient statistics of one run, with the keys that say what it compares with."""

from __future__ import annotations

import hashlib
from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.baselines.fingerprint import AcceptanceKey, HardwareKey
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.metrics.acceptance import AcceptanceFigures, summarize_records
from pytest_speedbench.metrics.throughput import throughput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_speedbench.measure.run import Conversation, Run

SCHEMA_VERSION = 1
FORMAT = "pytest-speedbench baseline"

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Name = Annotated[str, msgspec.Meta(min_length=1)]

_ROUNDED_TO_DIGITS = 4


class PromptEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One prompt's statistics, its turns pooled. See :class:`~pytest_speedbench.acceptance.AcceptanceRecord`.

    Attributes:
        id: the prompt's ``question_id``.
        histogram: ``histogram[j]`` is the number of verify steps that accepted exactly ``j`` draft tokens, j = 0 … K.
        prompt_sha256: hash of the first turn's rendered prompt; later turns contain replies, so they are not in it.
        output_sha256: hash of all turns' output ids: equal hashes mean equal outputs, token for token.
    """

    id: Name
    category: Name
    sub_category: str
    turns: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    output_tokens: Count
    histogram: Annotated[tuple[Count, ...], msgspec.Meta(min_length=2)]
    proposed_tokens: Count | None
    undrafted_steps: Count | None
    discarded_tokens: Count | None
    prompt_sha256: Name
    output_sha256: Name

    def record(self, source: AcceptanceSource) -> AcceptanceRecord:
        """The acceptance record these counts are.

        Raises:
            ValueError: the counts contradict each other; the prompt is named.
        """
        try:
            record = AcceptanceRecord(
                len(self.histogram) - 1,
                self.histogram,
                self.proposed_tokens,
                self.undrafted_steps,
                self.discarded_tokens,
                source,
            )
        except ValueError as error:
            raise ValueError(f"prompt {self.id!r}: {error}") from None
        if record.discarded_tokens is not None and record.decoded_tokens is not None:
            implied = self.turns + record.decoded_tokens - record.discarded_tokens
            if implied != self.output_tokens:
                raise ValueError(
                    f"prompt {self.id!r}: {self.output_tokens} output tokens are stated, but the steps of its "
                    f"{self.turns} turns make {implied}"
                )
        return record


class SummaryRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of one category or of all prompts, rounded to four digits, for people to read in a diff."""

    prompts: int
    al_macro: float | None
    al_pooled: float | None
    conditional_rates: tuple[float | None, ...]
    tokens_per_decode_step: float | None
    output_tokens: int


class BaselineSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Follows from the prompts; checked against them on reading. ``al_category_macro`` is the mean over categories."""

    overall: SummaryRow
    al_category_macro: float | None
    categories: dict[str, SummaryRow]

    @classmethod
    def of(cls, prompts: Sequence[PromptEntry], source: AcceptanceSource) -> BaselineSummary:
        """Compute it.

        Raises:
            ValueError: a prompt's counts contradict each other.
        """
        figures = summarize_records((prompt.category, prompt.record(source)) for prompt in prompts)
        tokens: Counter[str] = Counter()
        for prompt in prompts:
            tokens[prompt.category] += prompt.output_tokens
        return cls(
            overall=_summary_row(figures.overall, tokens.total()),
            al_category_macro=_rounded(figures.al_category_macro),
            categories={name: _summary_row(row, tokens[name]) for name, row in figures.by_category.items()},
        )


class RecordedThroughput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Speed of the recorded run; comparable only where the hardware keys agree. Medians are over requests."""

    output_tps: float | None
    output_tps_per_gpu: float | None
    user_tps_median: float | None
    ttft_s_median: float | None

    @classmethod
    def of(cls, run: Run) -> RecordedThroughput:
        """Of a run."""
        speed = throughput(run)
        return cls(
            output_tps=_rounded(speed.output_tps),
            output_tps_per_gpu=_rounded(speed.output_tps_per_gpu),
            user_tps_median=_rounded(speed.user_tps.q50) if speed.user_tps else None,
            ttft_s_median=_rounded(speed.ttft_s.q50) if speed.ttft_s else None,
        )


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ran when the baseline was recorded. A change may differ in all of it.

    ``split_prompts`` is the size of the whole split, of which the baseline may hold a part.
    """

    date: str
    target: str
    drafter: str
    drafter_sha256: str | None
    engine: str
    engine_version: str
    engine_args: dict[str, Any]
    split_prompts: int
    environment: dict[str, str]
    package_version: str | None


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stored measurement: the file ``<pair>/<split>.json``."""

    format: str
    schema_version: int
    pair: Name
    split: Name
    summary: BaselineSummary
    throughput: RecordedThroughput
    acceptance_key: AcceptanceKey
    hardware_key: HardwareKey
    recorded: Recorded
    prompts: Annotated[tuple[PromptEntry, ...], msgspec.Meta(min_length=1)]

    @classmethod
    def from_run(cls, run: Run, *, date: str) -> Baseline:
        """Make a baseline of a run. ``date`` is when it was measured, in ISO 8601.

        Raises:
            BaselineError: the run has no drafter or no prompts, lacks acceptance records, or contradicts itself.
        """
        if run.pair.drafter is None:
            raise BaselineError(
                f"The pair {run.pair.name!r} has no drafter, so there is no acceptance to keep as a baseline.",
                "Name a drafter for it, or record another pair.",
            )
        prompts = prompt_entries(run)
        key = AcceptanceKey.of(run)
        if key.source is None:
            raise BaselineError(f"The run of {run.pair.name!r} has no prompts.", "Measure at least one prompt.")
        return cls(
            format=FORMAT,
            schema_version=SCHEMA_VERSION,
            pair=run.pair.name,
            split=run.split.name,
            summary=BaselineSummary.of(prompts, key.source),
            throughput=RecordedThroughput.of(run),
            acceptance_key=key,
            hardware_key=HardwareKey.of(run),
            recorded=Recorded(
                date=date,
                target=run.pair.model,
                drafter=str(run.pair.drafter),
                drafter_sha256=run.models.drafter_sha256,
                engine=run.engine.name,
                engine_version=run.engine.version,
                engine_args=dict(sorted(run.engine.args.items())),
                split_prompts=run.split.prompts,
                environment=dict(sorted(run.environment.items())),
                package_version=_package_version(),
            ),
            prompts=prompts,
        )

    @property
    def source(self) -> AcceptanceSource:
        """Where the acceptance records came from."""
        return self.acceptance_key.source or AcceptanceSource.STREAM

    def check(self) -> None:
        """Make sure that the parts agree.

        Raises:
            ValueError: duplicate prompts, counts that contradict each other, or a summary that does not follow.
        """
        _check_unique([prompt.id for prompt in self.prompts])
        if self.acceptance_key.source is None:
            raise ValueError("the acceptance key names no source of the acceptance records")
        if BaselineSummary.of(self.prompts, self.source) != self.summary:
            raise ValueError("the summary does not follow from the prompts; was it edited by hand?")


def prompt_entries(run: Run) -> tuple[PromptEntry, ...]:
    """The statistics of a run's prompts, in the split's order.

    Raises:
        BaselineError: records are missing, or counts contradict each other.
    """
    missing = [c.question_id for c in run.conversations if c.acceptance is None]
    if missing:
        raise BaselineError(
            f"The run of {run.pair.name!r} has no acceptance record for {len(missing)} of {len(run.conversations)} "
            f"prompts ({_some(missing)}), so it cannot become a baseline.",
            "Turn on the engine's per-request acceptance metrics and measure again.",
        )
    try:
        _check_unique([c.question_id for c in run.conversations])
        entries = tuple(_entry(c, record) for c in run.conversations if (record := c.acceptance) is not None)
        for entry in entries:
            entry.record(AcceptanceSource.ENGINE)
    except ValueError as error:
        raise BaselineError(
            f"The run of {run.pair.name!r} contradicts itself: {error}.",
            "This is a fault of the engine's adapter or of the split, not of the drafter: report it.",
        ) from error
    return entries


def output_sha256(conversation: Conversation) -> str:
    """Hash of all turns' output ids."""
    digest = hashlib.sha256()
    for turn in conversation.turns:
        digest.update(",".join(map(str, turn.output_ids)).encode() + b";")
    return digest.hexdigest()


def _entry(conversation: Conversation, record: AcceptanceRecord) -> PromptEntry:
    return PromptEntry(
        id=conversation.question_id,
        category=conversation.category,
        sub_category=conversation.sub_category,
        turns=len(conversation.turns),
        output_tokens=conversation.output_tokens,
        histogram=record.histogram,
        proposed_tokens=record.proposed_tokens,
        undrafted_steps=record.undrafted_steps,
        discarded_tokens=record.discarded_tokens,
        prompt_sha256=conversation.turns[0].prompt_sha256,
        output_sha256=output_sha256(conversation),
    )


def _summary_row(figures: AcceptanceFigures, output_tokens: int) -> SummaryRow:
    return SummaryRow(
        prompts=figures.conversations,
        al_macro=_rounded(figures.al_macro),
        al_pooled=_rounded(figures.al_pooled),
        conditional_rates=tuple(_rounded(rate) for rate in figures.conditional_rates),
        tokens_per_decode_step=_rounded(figures.tokens_per_decode_step),
        output_tokens=output_tokens,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _ROUNDED_TO_DIGITS)


def _check_unique(ids: Iterable[str]) -> None:
    twice = [name for name, times in Counter(ids).items() if times > 1]
    if twice:
        raise ValueError(f"prompt ids that occur more than once: {_some(twice)}")


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _package_version() -> str | None:
    try:
        return metadata.version("pytest-speedbench")
    except metadata.PackageNotFoundError:
        return None
