"""A curated split becomes a table for a terminal or a log, and JSON with every figure."""

from __future__ import annotations

import msgspec

from pytest_speedbench.curation import Curation
from pytest_speedbench.curation.curate import RANDOM_DRAWS, Similarity
from pytest_speedbench.gate import OVERALL
from pytest_speedbench.report.terminal import FigureTable, figure_table, number, render

JSON_SCHEMA = "speedbench-curation/1"


def curation_lines(curation: Curation, *, width: int, colour: bool) -> list[str]:
    """What was selected and by what it was compared; average similarities by category, before and after."""
    return [
        f"{curation.split.name}: {len(curation.selected)} of {len(curation.split)} candidates selected, "
        f"{curation.per_category} a category",
        f"  compared by: {curation.embeddings} ({curation.dimensions} dimensions)",
        "",
        "average pairwise cosine similarity",
        render(_table(curation), width=width, colour=colour),
        f"  random: as many candidates, mean and lowest of {RANDOM_DRAWS} draws; overall: means of the categories",
        "  A smaller selection need not lie inside a larger one: select anew for each size.",
        *(f"  note: {note}" for note in curation.notes),
    ]


def curation_json(curation: Curation) -> bytes:
    """Every figure and the selected ids."""
    content = {
        "schema": JSON_SCHEMA,
        "split": curation.split.name,
        "split_sha256": curation.split.sha256,
        "candidates": len(curation.split),
        "per_category": curation.per_category,
        "embeddings": curation.embeddings,
        "dimensions": curation.dimensions,
        "seed": curation.seed,
        "random_draws": RANDOM_DRAWS,
        "similarity": curation.overall,
        "categories": curation.categories,
        "notes": curation.notes,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _table(curation: Curation) -> FigureTable:
    table = figure_table("", "candidates", "selected", "all", "random", "lowest", "selection")
    for category in curation.categories:
        table.add_row(
            category.name,
            str(category.candidates),
            str(len(category.selected)),
            *_cells(category.similarity),
        )
    table.add_section()
    table.add_row(OVERALL, str(len(curation.split)), str(len(curation.selected)), *_cells(curation.overall))
    return table


def _cells(similarity: Similarity) -> tuple[str, ...]:
    figures = (similarity.candidates, similarity.random, similarity.random_lowest, similarity.selected)
    # Next to nothing below zero is zero: no minus sign.
    return tuple(number(round(figure, 3) + 0.0, 3) for figure in figures)
