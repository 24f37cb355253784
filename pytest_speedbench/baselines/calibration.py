"""Calibration: how much the counts, outputs and speeds of one pair vary when nothing has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from pytest_speedbench.baselines.fingerprint import AcceptanceKey, acceptance_differences
from pytest_speedbench.baselines.prompts import Count, Name, PromptEntry, prompt_entries
from pytest_speedbench.baselines.rounds import RoundSpeeds
from pytest_speedbench.errors import BaselineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource
    from pytest_speedbench.measure.run import Run

_SHARE_DIGITS = 6

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class RepeatedCounts(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one further run counted for one prompt; named as in :class:`PromptEntry`, an array in the file."""

    output_tokens: Count
    histogram: tuple[Count, ...]
    proposed_tokens: Count | None
    undrafted_steps: Count | None
    discarded_tokens: Count | None
    reached: tuple[Count, ...] | None = None

    @classmethod
    def of(cls, prompt: PromptEntry) -> RepeatedCounts:
        """The counts of a prompt."""
        return cls(**{name: getattr(prompt, name) for name in cls.__struct_fields__})

    def in_place_of(self, prompt: PromptEntry) -> PromptEntry:
        """The prompt with these counts instead of its own."""
        return msgspec.structs.replace(prompt, **msgspec.structs.asdict(self))


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The variation between runs of one pair under equal settings. The first of the runs is the baseline's own.

    Attributes:
        runs: how many there were, the first included.
        date: when they were measured, in ISO 8601.
        changed_outputs: share of (prompt, further run) whose output ids are not the first run's.
        changed_counts: the same of the counts.
        repeats: for each further run the prompts whose counts are not the first run's, by id.
        rounds: the speed of every run, the first included; ``None`` if not kept.
    """

    runs: Annotated[int, msgspec.Meta(ge=2, le=2**53)]
    date: str
    changed_outputs: Share
    changed_counts: Share
    rounds: RoundSpeeds | None
    repeats: tuple[dict[Name, RepeatedCounts], ...]

    @classmethod
    def of_runs(cls, runs: Sequence[Run], date: str) -> Calibration:
        """Make it of at least two runs.

        Raises:
            BaselineError: fewer runs, or runs of different prompts or settings, or without acceptance records.
        """
        if len(runs) < 2:
            raise BaselineError(f"{len(runs)} run says nothing of the variation between runs.", "Measure at least 2.")
        first, *further = [prompt_entries(run) for run in runs]
        for number, (run, prompts) in enumerate(zip(runs[1:], further, strict=True), start=2):
            _check_alike(runs[0], first, run, prompts, number)
        pairs = [(before, after) for prompts in further for before, after in zip(first, prompts, strict=True)]
        repeats = tuple(_changed(first, prompts) for prompts in further)
        return cls(
            runs=len(runs),
            date=date,
            changed_outputs=_share(sum(a.output_sha256 != b.output_sha256 for a, b in pairs), len(pairs)),
            changed_counts=_share(sum(map(len, repeats)), len(pairs)),
            rounds=RoundSpeeds.of_runs(runs),
            repeats=repeats,
        )

    def records(self, prompt: PromptEntry, source: AcceptanceSource) -> tuple[AcceptanceRecord, ...]:
        """A prompt's records over all runs, first the given one.

        Raises:
            ValueError: counts contradict each other; the prompt is named.
        """
        own = prompt.record(source)
        counted = (repeat.get(prompt.id) for repeat in self.repeats)
        return (own, *(own if row is None else row.in_place_of(prompt).record(source) for row in counted))

    def check(self, prompts: Sequence[PromptEntry], source: AcceptanceSource) -> None:
        """Make sure that it belongs to these prompts of the first run and agrees with itself.

        Raises:
            ValueError: it does not; the prompt is named where there is one.
        """
        if len(self.repeats) != self.runs - 1:
            raise ValueError(
                f"the calibration has {self.runs} runs, but the counts of {len(self.repeats)} further ones"
            )
        by_id = {prompt.id: prompt for prompt in prompts}
        for repeat in self.repeats:
            for name, counts in repeat.items():
                if name not in by_id:
                    raise ValueError(f"prompt {name!r}: in the calibration, but not in the baseline")
                _check_counts(by_id[name], counts, source)
        if self.changed_counts != _share(sum(map(len, self.repeats)), len(prompts) * len(self.repeats)):
            raise ValueError("the calibration's share of changed counts does not follow from its repeats")
        if self.rounds is not None and self.rounds.rounds != self.runs:
            raise ValueError(f"the calibration has {self.runs} runs, but the speed of {self.rounds.rounds}")


def _changed(first: Sequence[PromptEntry], prompts: Sequence[PromptEntry]) -> dict[str, RepeatedCounts]:
    counted = ((b, RepeatedCounts.of(a), RepeatedCounts.of(b)) for a, b in zip(first, prompts, strict=True))
    return {prompt.id: now for prompt, before, now in counted if now != before}


def _check_alike(
    first: Run, expected: Sequence[PromptEntry], run: Run, prompts: Sequence[PromptEntry], number: int
) -> None:
    remedy = "Measure all runs of a calibration in one go, under the same settings."
    found = acceptance_differences(AcceptanceKey.of(first), AcceptanceKey.of(run))
    if found or first.pair != run.pair:
        named = "; ".join(f"{d.field}: {d.baseline}, then {d.measured}" for d in found) or f"pair: {run.pair.name}"
        raise BaselineError(f"Run {number} of {first.pair.name!r} is not comparable with the first: {named}.", remedy)
    if [_asked(prompt) for prompt in expected] != [_asked(prompt) for prompt in prompts]:
        raise BaselineError(f"Run {number} of {first.pair.name!r} did not ask the prompts of the first.", remedy)


def _asked(prompt: PromptEntry) -> tuple[str, int, str]:
    return prompt.id, prompt.turns, prompt.prompt_sha256


def _check_counts(prompt: PromptEntry, counts: RepeatedCounts, source: AcceptanceSource) -> None:
    if len(counts.histogram) != len(prompt.histogram):
        raise ValueError(
            f"prompt {prompt.id!r}: {len(counts.histogram)} histogram bins in the calibration, "
            f"{len(prompt.histogram)} in the baseline"
        )
    try:
        counts.in_place_of(prompt).record(source)
    except ValueError as error:
        raise ValueError(f"{error}, in the calibration") from None
    if counts == RepeatedCounts.of(prompt):
        raise ValueError(f"prompt {prompt.id!r}: listed as changed in the calibration, but its counts are the same")


def _share(count: int, of: int) -> float:
    return round(count / of, _SHARE_DIGITS)
