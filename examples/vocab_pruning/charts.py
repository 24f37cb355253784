"""The study's charts. Needs matplotlib, which nothing else here does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from examples.vocab_pruning.tables import COUNTED, Figures

# Okabe and Ito's colours, told apart with any colour vision.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#999999"
_WORST_CHANGE = 0.45


def draw_pruned_head(pruned: Figures, path: Path) -> None:
    """Acceptance length of the full and the pruned head, and the tokens out of the pruned one's reach, by category."""
    plt = _pyplot()
    rows = sorted(
        (row for row in pruned["rows"] if row["name"] != "overall"), key=lambda row: -row["cells"][0]["change"]
    )
    figure, (lengths, outside) = plt.subplots(
        1, 2, figsize=(9.5, 4.8), sharey=True, gridspec_kw={"width_ratios": (3, 2)}, layout="constrained"
    )
    positions = range(len(rows))
    colours = [VERMILION if row["cells"][0]["standing"] == "regression" else BLUE for row in rows]
    for y, row, colour in zip(positions, rows, colours, strict=True):
        cell = row["cells"][0]
        lengths.plot([row["full_al"], cell["al"]], [y, y], color=colour, linewidth=2, zorder=1)
        lengths.plot(row["full_al"], y, "o", markersize=8, markerfacecolor="white", markeredgecolor=colour, zorder=2)
        lengths.plot(cell["al"], y, "o", markersize=8, color=colour, zorder=3)
        lengths.annotate(
            f"{cell['change']:+.1%}",
            (min(row["full_al"], cell["al"]), y),
            xytext=(-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=colour,
        )
    shares = [100 * row["cells"][0]["outside_share"] for row in rows]
    outside.barh(positions, shares, color=colours, height=0.55)
    for y, share in zip(positions, shares, strict=True):
        outside.annotate(f"{share:.1f}%", (share, y), xytext=(4, 0), textcoords="offset points", va="center")
    lengths.set_yticks(list(positions), [row["name"] for row in rows])
    lengths.invert_yaxis()
    lengths.set_xlim(1, 4)
    lengths.set_xlabel(f"acceptance length, tokens (○ {pruned['full_size']} tokens, ● {pruned['sizes'][0]})")
    outside.set_xlim(0, max(shares) * 1.2)
    outside.set_xlabel("output tokens outside the\ndraft vocabulary, %")
    outside.tick_params(left=False)
    found = colours.count(VERMILION)
    figure.suptitle(
        f"The gate finds a regression in {found} of {len(rows)} categories (orange); "
        f"tolerance {pruned['tolerance']:.0%}",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    _save(figure, path)


def draw_sweeps(sweeps: Mapping[str, Figures], path: Path) -> None:
    """Change of the acceptance length by category and size, a panel for each way of counting."""
    plt = _pyplot()
    figure, panels = plt.subplots(1, len(sweeps), figsize=(13, 6.6), sharey=True, layout="constrained")
    for panel, (name, sweep) in zip(panels, sweeps.items(), strict=True):
        image = _heatmap(panel, sweep)
        panel.set_title(COUNTED[name])
        panel.set_xlabel("draft vocabulary, tokens")
    bar = figure.colorbar(image, ax=panels, location="right", shrink=0.6, pad=0.01)
    bar.set_label("change of the acceptance length, %")
    tolerance = next(iter(sweeps.values()))["tolerance"]
    figure.suptitle(
        "Change of the acceptance length; below it the output tokens outside the draft vocabulary. "
        f"Tolerance {tolerance:.0%}.\nSolid frame: smallest size at which no regression is shown. Dashed: smallest at "
        "which none is found, which may be too small.",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    _save(figure, path)


def _heatmap(panel: Any, sweep: Figures) -> Any:
    plt = _pyplot()
    rows = sweep["rows"]
    order = sorted(range(len(sweep["sizes"])), key=lambda index: sweep["sizes"][index])
    grid = [[100 * row["cells"][index]["change"] for index in order] for row in rows]
    image = panel.imshow(
        grid, cmap="Blues_r", vmin=-100 * _WORST_CHANGE, vmax=0, aspect="auto", interpolation="nearest"
    )
    for y, row in enumerate(rows):
        for x, index in enumerate(order):
            cell = row["cells"][index]
            ink = "black" if cell["change"] > -0.6 * _WORST_CHANGE else "white"
            text = f"{cell['change']:+.1%}\n({cell['outside_share']:.1%})"
            panel.text(x, y, text, ha="center", va="center", color=ink, fontsize=8.5)
            for key, style, inset in (("smallest_not_found", "--", 0.41), ("smallest_shown", "-", 0.46)):
                if cell["size"] == row[key] and not (style == "--" and row[key] == row["smallest_shown"]):
                    frame = plt.Rectangle((x - inset, y - inset), 2 * inset, 2 * inset, fill=False)
                    frame.set(edgecolor=ink, linewidth=2, linestyle=style)
                    panel.add_patch(frame)
    panel.set_xticks(range(len(order)), [str(sweep["sizes"][index]) for index in order])
    panel.set_yticks(range(len(rows)), [row["name"] for row in rows])
    panel.tick_params(length=0)
    return image


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})
    _pyplot().close(figure)


def _pyplot() -> Any:
    try:
        import_module("matplotlib").use("agg")
    except ImportError:
        raise SystemExit("The charts need matplotlib. Run: pip install matplotlib") from None
    plt = import_module("matplotlib.pyplot")
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    return plt
