"""What a new baseline, or new stored outputs, change of those that they replace, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pytest_speedbench.baselines.fingerprint import acceptance_differences

if TYPE_CHECKING:
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.outputs import Outputs

_OF_NO_INTEREST = ("date",)


def baseline_changes(old: Baseline | None, new: Baseline) -> list[str]:
    """The new figures, the old ones if there are any, the category that fell most, and which settings changed."""
    overall = new.summary.overall
    if old is None:
        key = new.acceptance_key
        return [
            f"new: AL macro {_figure(overall.al_macro)}, AL pooled {_figure(overall.al_pooled)}, "
            f"{len(new.prompts)} prompts, K = {key.draft_length}, at most {key.max_output_tokens} tokens a turn"
        ]
    before = old.summary.overall
    figures = [
        f"AL macro {_change(before.al_macro, overall.al_macro)}",
        f"AL pooled {_change(before.al_pooled, overall.al_pooled)}",
    ]
    worst = _worst(old, new)
    if worst is not None:
        figures.append(f"worst category {worst}")
    changed = [
        f"{d.field} {d.baseline} -> {d.measured}"
        for d in acceptance_differences(old.comparable_key, new.comparable_key)
    ]
    told = (
        ("prompts", len(old.prompts), len(new.prompts)),
        ("drafter", old.recorded.drafter, new.recorded.drafter),
        ("engine", _engine(old), _engine(new)),
    )
    changed += [f"{name} {first} -> {second}" for name, first, second in told if first != second]
    return ["; ".join(figures), *(["changed with it: " + "; ".join(changed)] if changed else [])]


def outputs_changes(old: Outputs | None, new: Outputs) -> list[str]:
    """How many requests they hold, and in what they differ from those before."""
    if old is None:
        return [f"new: {len(new.rows)} requests of {new.head.target}"]
    before, after = (msgspec.structs.asdict(outputs.head) for outputs in (old, new))
    changed = [
        f"{name.replace('_', ' ')} {before[name]} -> {value}"
        for name, value in after.items()
        if value != before[name] and name not in _OF_NO_INTEREST
    ]
    kept = {row.prompt_ids: row.output_ids for row in old.rows}
    equal = sum(kept.get(row.prompt_ids) == row.output_ids for row in new.rows)
    lines = [f"requests {len(old.rows)} -> {len(new.rows)}, {equal} of them with the output of before"]
    return [*lines, *(["changed with it: " + "; ".join(changed)] if changed else [])]


def _worst(old: Baseline, new: Baseline) -> str | None:
    changes: list[tuple[float, str]] = []
    for name, row in new.summary.categories.items():
        before = old.summary.categories.get(name)
        if before is not None and before.al_macro and row.al_macro is not None:
            changes.append((row.al_macro / before.al_macro, f"{name} {_change(before.al_macro, row.al_macro)}"))
    return min(changes)[1] if changes else None


def _change(before: float | None, now: float | None) -> str:
    relative = f" ({now / before - 1:+.1%})" if before and now is not None else ""
    return f"{_figure(before)} -> {_figure(now)}{relative}"


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _engine(baseline: Baseline) -> str:
    return f"{baseline.recorded.engine} {baseline.recorded.engine_version}"
