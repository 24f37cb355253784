"""A measurement's figures as flat properties, for JUnit files and whatever reads them."""

from __future__ import annotations

from pytest_speedbench.report.entries import MeasurementEntry


def figures(entry: MeasurementEntry) -> list[tuple[str, object]]:
    """Names and values, e.g. ``speedbench.PAIR.SPLIT.al_macro`` and ``speedbench.PAIR.SPLIT.CATEGORY.al_macro``.

    An absent figure has no property.
    """
    prefix = f"speedbench.{entry.pair}.{entry.split_name}"
    found: list[tuple[str, float | None]] = [
        (f"{prefix}.al_macro", entry.overall.al_macro),
        (f"{prefix}.al_pooled", entry.overall.al_pooled),
        (f"{prefix}.draft_acceptance_rate", entry.overall.draft_acceptance_rate),
        (f"{prefix}.output_tps", entry.output_tps),
        *((f"{prefix}.{row.name}.al_macro", row.al_macro) for row in entry.rows),
    ]
    return [(name, round(value, 6)) for name, value in found if value is not None]
