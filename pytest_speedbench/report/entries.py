"""What a test measured, as plain data: it travels from xdist workers to the controller inside test reports."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pytest_speedbench.baselines.fingerprint import AcceptanceKey
from pytest_speedbench.report.speed import SpeedEntry


class FigureRow(msgspec.Struct, frozen=True):
    """Acceptance of one category, or of everything together. ``None`` is absent, not zero.

    ``missing`` prompts have no length, for want of a record or of a verify step; ``rates`` are the conditional
    acceptance rates at draft positions 1 … K.
    """

    name: str
    prompts: int
    missing: int
    al_macro: float | None
    al_pooled: float | None
    rates: list[float | None]
    draft_acceptance_rate: float | None
    tokens_per_decode_step: float | None
    output_tokens: int


class MeasurementEntry(msgspec.Struct, frozen=True, tag="measurement"):
    """One measurement's figures, and in words what was measured."""

    test: str
    pair: str
    drafter: str
    engine: str
    device: str
    split_name: str
    split: str
    load: str
    source: str | None
    rows: list[FigureRow]
    overall: FigureRow
    output_tps: float | None
    output_tps_per_gpu: float | None
    user_tps_q50: float | None
    ttft_q50_s: float | None
    step_time_q50_s: float | None
    notes: list[str]


class GateChange(msgspec.Struct, frozen=True):
    """One figure's comparison. Changes are relative: −0.05 is a drop of 5 %.

    ``near_ties`` is how far rounding may move a replayed figure, which the interval allows for.
    """

    metric: str
    baseline: float
    candidate: float
    change: float
    lower: float | None
    upper: float | None
    tolerance: float
    verdict: str
    near_ties: float | None = None


class GateRow(msgspec.Struct, frozen=True):
    """One category's verdict, the worst of its figures'."""

    name: str
    prompts: int
    of_prompts: int
    changes: list[GateChange]
    verdict: str
    detectable_drop: float | None
    reason: str
    stopped: bool


class GateEntry(msgspec.Struct, frozen=True, tag="gate"):
    """One comparison and what came of it. ``figure`` names the compared length, ``basis`` what was set against what."""

    test: str
    pair: str
    against: str
    figure: str
    family_error: float
    mode: str
    basis: str
    rows: list[GateRow]
    notes: list[str]


class LosslessEntry(msgspec.Struct, frozen=True, tag="lossless"):
    """A comparison of the pair's output with the target's own; ``near_ties`` of the different ones are rounding."""

    test: str
    pair: str
    conversations: int
    different: int
    near_ties: int = 0


class BaselineEntry(msgspec.Struct, frozen=True, tag="baseline"):
    """A baseline file that a test read."""

    test: str
    path: str


class StagedEntry(msgspec.Struct, frozen=True, tag="staged"):
    """A file that a test wants written, and where it lies until the session ends.

    Attributes:
        test: which.
        kind: what it is.
        path: its place, absolute.
        draft: where it lies, beside its place.
        seen: hash of what lay in its place when the session began; ``None`` if nothing did.
        made: folders that were made for it, the outermost first.
        prompts: ids of the prompts in it.
        key: what a run must agree in to be compared with it.
        drafter: whose figures they are; empty where it does not matter.
        engine: what decoded.
        note: of its calibration.
        lines: what is to be said of it: its figures and what it replaces.
        lacks: how many prompts of the baseline it replaces are not in it.
    """

    test: str
    kind: Literal["baseline", "outputs"]
    path: str
    draft: str
    seen: str | None
    made: list[str]
    prompts: list[str]
    key: AcceptanceKey
    drafter: str
    engine: str
    note: str
    lines: list[str]
    lacks: int = 0


Entry = MeasurementEntry | GateEntry | LosslessEntry | SpeedEntry | BaselineEntry | StagedEntry


def to_plain(entry: Entry) -> dict[str, Any]:
    """The entry as JSON-like data."""
    plain: dict[str, Any] = msgspec.to_builtins(entry)
    return plain


def from_plain(plain: dict[str, Any]) -> Entry:
    """The entry back from JSON-like data."""
    entry: Entry = msgspec.convert(plain, type=Entry)
    return entry
