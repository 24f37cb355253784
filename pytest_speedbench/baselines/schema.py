"""The baseline: per-prompt sufficient statistics of one run, with the keys that say what it compares with."""

from __future__ import annotations

from collections import Counter
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
from pytest_speedbench.baselines.calibration import Calibration
from pytest_speedbench.baselines.fingerprint import AcceptanceKey, HardwareKey
from pytest_speedbench.baselines.prompts import Name, PromptEntry, check_unique, output_sha256, prompt_entries
from pytest_speedbench.baselines.shaping import shaping_of
from pytest_speedbench.errors import BaselineError
from pytest_speedbench.metrics.acceptance import AcceptanceFigures, summarize_records
from pytest_speedbench.metrics.throughput import throughput
from pytest_speedbench.redaction import redact_text, redacted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.measure.run import Run

__all__ = [
    "FORMAT",
    "SCHEMA_VERSION",
    "Baseline",
    "BaselineSummary",
    "PromptEntry",
    "Recorded",
    "RecordedThroughput",
    "SummaryRow",
    "output_sha256",
    "prompt_entries",
]

SCHEMA_VERSION = 1
FORMAT = "pytest-speedbench baseline"

_ROUNDED_TO_DIGITS = 4


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

    ``split_prompts`` is the size of the whole split, of which the baseline may hold a part; ``split_origin`` is where
    it was read from, ``None`` in baselines that do not say.
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
    split_origin: str | None = None


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stored measurement: the file ``<pair>/<split>.json``.

    ``calibration`` is the variation of further runs like this one; ``None`` if there were none.
    """

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
    calibration: Calibration | None = None

    @classmethod
    def from_runs(cls, runs: Sequence[Run], *, date: str) -> Baseline:
        """Make a baseline of the first run, calibrated by all of them if there are several.

        Raises:
            BaselineError: the first cannot be a baseline (see :meth:`from_run`), or the others are not like it.
        """
        baseline = cls.from_run(runs[0], date=date)
        if len(runs) == 1:
            return baseline
        return msgspec.structs.replace(baseline, calibration=Calibration.of_runs(runs, date))

    @classmethod
    def from_run(cls, run: Run, *, date: str) -> Baseline:
        """Make a baseline of a run. ``date`` is when it was measured, in ISO 8601.

        Raises:
            BaselineError: the run has no drafter or no prompts, was stopped early, lacks acceptance records, or
                contradicts itself.
        """
        if run.pair.drafter is None:
            raise BaselineError(
                f"The pair {run.pair.name!r} has no drafter, so there is no acceptance to keep as a baseline.",
                "Name a drafter for it, or record another pair.",
            )
        if not run.complete:
            raise BaselineError(
                f"The run of {run.pair.name!r} was stopped early in {', '.join(run.stopped)}: what a decision stopped "
                "is extreme rather than typical.",
                "Measure all prompts to record a baseline.",
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
                target=redact_text(run.pair.model),
                drafter=redact_text(str(run.pair.drafter)),
                drafter_sha256=run.models.drafter_sha256,
                engine=run.engine.name,
                engine_version=run.engine.version,
                engine_args=redacted(dict(sorted(run.engine.args.items()))),
                split_prompts=run.split.prompts,
                environment=dict(sorted(run.environment.items())),
                package_version=_package_version(),
                split_origin=redact_text(run.split.origin) or None,
            ),
            prompts=prompts,
        )

    @property
    def comparable_key(self) -> AcceptanceKey:
        """The acceptance key, with what older baselines keep among the engine's arguments only."""
        key = self.acceptance_key
        shaping = shaping_of(self.recorded.engine_args) if key.shaping is None else key.shaping
        return msgspec.structs.replace(key, dtype=key.dtype or self._recorded_dtype, shaping=shaping)

    @property
    def comparable_hardware(self) -> HardwareKey:
        """The hardware key, likewise."""
        return msgspec.structs.replace(self.hardware_key, dtype=self.hardware_key.dtype or self._recorded_dtype)

    @property
    def _recorded_dtype(self) -> str | None:
        dtype = self.recorded.engine_args.get("dtype")
        return None if dtype is None else str(dtype)

    @property
    def source(self) -> AcceptanceSource:
        """Where the acceptance records came from."""
        return self.acceptance_key.source or AcceptanceSource.STREAM

    def records(self, prompt: PromptEntry) -> tuple[AcceptanceRecord, ...]:
        """The records of one of the prompts over all runs, first the baseline's own; one if it is not calibrated."""
        if self.calibration is None:
            return (prompt.record(self.source),)
        return self.calibration.records(prompt, self.source)

    def check_can_be_gated(self) -> None:
        """Make sure that later runs can be compared with it, category by category.

        Raises:
            BaselineError: there is no acceptance length to compare with.
        """
        if self.summary.overall.al_macro is None:
            raise BaselineError(
                f"The run of {self.pair!r} has no acceptance length: not one draft was verified, so that no later run "
                "could be compared with it.",
                "See why its outputs end at once, or why its drafter proposes nothing.",
            )
        empty = [name for name, row in self.summary.categories.items() if row.tokens_per_decode_step is None]
        if empty:
            raise BaselineError(
                f"The run of {self.pair!r} has no acceptance length in {', '.join(empty)}: all outputs there end at "
                "once, so that no later run could be compared with it.",
                "See why they do, or leave these categories out.",
            )

    def check(self) -> None:
        """Make sure that the parts agree.

        Raises:
            ValueError: duplicate prompts, counts that contradict each other, a summary that does not follow, or a
                calibration that does not belong to it.
        """
        check_unique([prompt.id for prompt in self.prompts])
        if self.acceptance_key.source is None:
            raise ValueError("the acceptance key names no source of the acceptance records")
        if not _follows(self.summary, BaselineSummary.of(self.prompts, self.source)):
            raise ValueError("the summary does not follow from the prompts; was it edited by hand?")
        if self.calibration is not None:
            self.calibration.check(self.prompts, self.source)


def _follows(stored: BaselineSummary, computed: BaselineSummary) -> bool:
    """Whether a summary is that of the prompts; rates that an older baseline states and cannot know do not count."""

    def without(row: SummaryRow, of: SummaryRow) -> SummaryRow:
        return msgspec.structs.replace(row, conditional_rates=of.conditional_rates) if _unknown(of) else row

    if stored.categories.keys() != computed.categories.keys():
        return False
    rows = {name: without(row, computed.categories[name]) for name, row in stored.categories.items()}
    overall = without(stored.overall, computed.overall)
    return msgspec.structs.replace(stored, overall=overall, categories=rows) == computed


def _unknown(row: SummaryRow) -> bool:
    return all(rate is None for rate in row.conditional_rates)


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


def _package_version() -> str | None:
    try:
        return metadata.version("pytest-speedbench")
    except metadata.PackageNotFoundError:
        return None
