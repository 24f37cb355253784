"""The study's figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Figures = Mapping[str, Any]
"""What ``speedbench vocabulary --json`` writes."""

COUNTED = {"english": "tokens ranked by the English answers", "all_languages": "tokens ranked by all answers"}
MARKS = {"no regression shown": "✓", "no regression found": "?", "regression": "✗", "not judged": "–"}


def study_text(pruned: Figures, sweeps: Mapping[str, Figures]) -> str:
    """All tables of the study."""
    blocks = [
        "# Results",
        f"{pruned['measured']}; {pruned['engine']}; {pruned['split']}; {pruned['load']}.",
        f"## The pruned head ({pruned['sizes'][0]} of {pruned['full_size']} tokens), gated at "
        f"{pruned['tolerance']:.0%} tolerance",
        _pruned_table(pruned),
    ]
    for name, sweep in sweeps.items():
        blocks += [
            f"## Smaller and larger vocabularies: {COUNTED[name]}, tolerance {sweep['tolerance']:.0%}",
            _sweep_table(sweep),
            _conclusion(sweep),
        ]
    blocks.append(
        "In each cell: change of the mean acceptance length, what can be said of it, share of the target's output "
        "tokens that the head cannot propose. ✓ no regression shown, ? none found but not excluded, ✗ regression; "
        f"family-wise error {pruned['family_error']:.0%} over all categories and sizes of a table."
    )
    return "\n\n".join(blocks) + "\n"


def _pruned_table(pruned: Figures) -> str:
    columns = ("category", "AL full", "AL pruned", "change", "interval", "finding", "tokens outside")
    return _table(columns, (_pruned_cells(row) for row in pruned["rows"]))


def _pruned_cells(row: Figures) -> list[str]:
    (cell,) = row["cells"]
    verdict = cell["standing"]
    return [
        row["name"],
        f"{row['full_al']:.3f}",
        f"{cell['al']:.3f}",
        f"{cell['change']:+.1%}",
        f"{cell['gate_lower']:+.1%} … {cell['gate_upper']:+.1%}",
        f"**{verdict}**" if verdict == "regression" else verdict,
        f"{cell['outside_share']:.1%}",
    ]


def _sweep_table(sweep: Figures) -> str:
    columns = ("category", "AL full", *map(str, sweep["sizes"]), "shown down to", "none found down to")
    return _table(
        columns,
        (
            [
                row["name"],
                f"{row['full_al']:.3f}",
                *(
                    f"{cell['change']:+.1%} {MARKS[cell['standing']]} {cell['outside_share']:.1%}"
                    for cell in row["cells"]
                ),
                str(row["smallest_shown"] or "–"),
                str(row["smallest_not_found"] or "–"),
            ]
            for row in sweep["rows"]
        ),
    )


def _conclusion(sweep: Figures) -> str:
    return (
        f"In every category: shown down to {sweep['smallest_shown'] or 'no size'}, none found down to "
        f"{sweep['smallest_not_found'] or 'no size'}."
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(columns), *map(list, rows)]
    rule = ["---", *("---:" for _ in lines[0][1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (lines[0], rule, *lines[1:]))
