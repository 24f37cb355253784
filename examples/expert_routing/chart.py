"""The study's chart: unique experts against batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LINES = {
    "mini, real": ("mini, real", "tab:blue", "-"),
    "mini, random tokens": ("mini's lengths, random", "tab:red", "-"),
    "mini_throughput_256, low_entropy": ("256, low entropy", "tab:green", ":"),
    "mini_throughput_256, mixed": ("256, mixed", "tab:olive", ":"),
    "mini_throughput_256, high_entropy": ("256, high entropy", "tab:purple", ":"),
    "mini_throughput_256, random tokens": ("256, random", "tab:orange", "-"),
}
REAL, RANDOM = "mini, real", "mini, random tokens"


def draw(result: dict[str, Any], path: Path) -> None:
    """Write a PNG of four panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    panels = figure.subplots(2, 2)
    _by_group(panels[0][0], result, "decode", "sequences", "Decode: one token of each sequence")
    _by_group(panels[0][1], result, "prefill", "tokens_each", "Prefill: consecutive tokens of one prompt")
    _by_layer(panels[1][0], result)
    _verify(panels[1][1], result)
    for panel in panels.flat:
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:.0f}")
        panel.set_ylim(0, result["experts"] * 1.03)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.suptitle(
        f"Experts loaded per layer, of {result['experts']} with top-{result['top_k']} routing "
        f"({result['layers']} layers; means of {result['batches']} drawn batches)"
    )
    figure.savefig(path, dpi=90)


def _by_group(panel: Any, result: dict[str, Any], phase: str, size: str, title: str) -> None:
    for group, (label, colour, style) in LINES.items():
        rows = result["groups"][group][phase]["batches"]
        panel.plot(
            [row[size] for row in rows], [row["mean"] for row in rows], style, color=colour, label=label, marker="."
        )
    rows = max((result["groups"][group][phase]["batches"] for group in LINES), key=len)
    panel.plot(
        [row[size] for row in rows], [row["uniform"] for row in rows], "--", color="black", label="uniform routing"
    )
    panel.set(title=title, xlabel="tokens in the batch", ylabel="unique experts, mean over layers")


def _by_layer(panel: Any, result: dict[str, Any]) -> None:
    for group, style in ((REAL, "-"), (RANDOM, "--")):
        rows = result["groups"][group]["decode"]["batches"]
        for layer in range(result["layers"]):
            values = [row["per_layer"][layer] for row in rows]
            label = f"layer {layer}, {'real' if group == REAL else 'random'}"
            panel.plot([row["sequences"] for row in rows], values, style, color=f"C{layer}", label=label)
    panel.set(title="Decode by layer (mini)", xlabel="tokens in the batch", ylabel="unique experts")


def _verify(panel: Any, result: dict[str, Any]) -> None:
    for group, style in ((REAL, "-"), (RANDOM, "--")):
        name = "real" if group == REAL else "random"
        rows = result["groups"][group]["decode"]["batches"] + result["groups"][group]["verify"]["batches"]
        for colour, tokens_each in enumerate(sorted({row["tokens_each"] for row in rows})):
            ours = [row for row in rows if row["tokens_each"] == tokens_each]
            label = f"K = {tokens_each - 1}, {name}"
            panel.plot(
                [row["sequences"] for row in ours],
                [row["mean"] for row in ours],
                style,
                color=f"C{colour}",
                label=label,
            )
    panel.set(
        title="Verify step: K + 1 consecutive tokens each (mini)",
        xlabel="sequences",
        ylabel="unique experts, mean over layers",
    )
