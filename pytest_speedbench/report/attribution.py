"""Where a category's acceptance length went, for the log of a failed job. No colours, at most 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.gate.attribution import Attribution, CategoryAttribution, MovedPrompt, Part

COLUMNS = 100
MOST_LINES = 25
_MOST_NAME_COLUMNS = 40
_MOST_POSITIONS = 6
_MOST_PARTS = 6
_MOST_CATEGORIES = 3
_LEAST_MOVERS = 3
_MOSTLY = 0.6
"""Share of a change from which one draft position, or one part, is called its place."""
_AS_MUCH = 0.5
"""A part moved as much as another if its relative change is at least this share of the other's."""
_NEARLY_ALL = 0.8
"""The same for several parts together."""
_FEW_PARTS = 3


def attribution_lines(attribution: Attribution) -> list[str]:
    """For each category at most about 25 lines: a sentence that says it all, then positions, parts and prompts.

    The largest changes come first; after three categories the others have a line each.

    What says nothing is left out: parts if there is only one or if they are single prompts, thirds if all are equally
    long, shares outside of the draft vocabulary if the drafter is not pruned.
    """
    lines: list[str] = []
    ranked = sorted(attribution.categories, key=lambda category: category.change)
    for category in ranked[:_MOST_CATEGORIES]:
        lines += ["", *_category(category)] if lines else _category(category)
    if len(ranked) > _MOST_CATEGORIES:
        lines.append("")
    for category in ranked[_MOST_CATEGORIES:]:
        lines += _wrapped(
            f"{_clipped(category.name)}: {category.before:.3f} -> {category.after:.3f} ({category.change:+.3f}), "
            f"{_prompts(category.prompts)}: {category.fell} fell, {category.rose} rose"
        )
    if attribution.not_located:
        names = ", ".join(map(_clipped, attribution.not_located))
        lines += _wrapped(f"Where it lies cannot be said without prompts measured on both sides: {names}.")
    return lines


def headline(category: CategoryAttribution) -> str:
    """The finding in one sentence.

    Raises:
        ValueError: the category did not change.
    """
    if not category.change:
        raise ValueError(f"{category.name} did not change")
    found = [_positions_in_words(category), _parts_in_words(category), _lengths_in_words(category)]
    sentence = ", ".join(words for words in found if words)
    if category.outside_share is not None:
        sentence += f"; {_share(category.outside_share)} of its output tokens are outside the draft vocabulary"
        if category.outside_share_elsewhere is not None:
            sentence += f" ({_share(category.outside_share_elsewhere)} in the other categories)"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _category(category: CategoryAttribution) -> list[str]:
    name = _clipped(category.name)
    if not category.change:
        return _wrapped(f"{name}: no change, {category.before:.3f}, {_prompts(category.prompts)}")
    lines = _wrapped(
        f"{name}: where the {_word(category)} lies. {category.before:.3f} -> {category.after:.3f} "
        f"({category.change:+.3f}), {_prompts(category.prompts)}: {category.fell} fell, {category.rose} rose"
    )
    lines += _wrapped(headline(category), "  ", hanging="")
    lines += _positions(category)
    if _parts_say_something(category):
        lines += _inline(f"by {category.parts_by}:", category.parts)
    lines += _inline("by prompt length:", category.by_prompt_tokens)
    lines += _inline("by output length:", category.by_output_tokens)
    return lines + _movers(category, max(MOST_LINES - len(lines) - 1, _LEAST_MOVERS))


def _positions_in_words(category: CategoryAttribution) -> str:
    strongest = max(category.positions, key=lambda position: position.effect / category.change)
    share = strongest.effect / category.change
    where = f"draft position {strongest.position}" if strongest.position else "steps without a draft"
    if len(category.positions) == 1:
        return f"at {where}"
    if share >= _MOSTLY:
        return f"mostly at {where} ({share:.0%})"
    return f"spread over the draft, most at {where} ({share:.0%})"


def _parts_in_words(category: CategoryAttribution) -> str:
    parts, kinds = category.parts, "categories" if category.parts_by == "category" else "sub-categories"
    if not _parts_say_something(category):
        return ""
    dropped_as_much = sum(_moved(part, category) >= _AS_MUCH for part in parts)
    if dropped_as_much == len(parts):
        return f"in all {len(parts)} {kinds}"
    strongest = sorted(parts, key=lambda part: (-part.contribution / category.change, part.name))
    for count in range(1, min(_FEW_PARTS, len(parts) - 1) + 1):
        share = sum(part.contribution for part in strongest[:count]) / category.change
        if share >= (_MOSTLY if count == 1 else _NEARLY_ALL):
            return f"{share:.0%} of it in {', '.join(_clipped(part.name) for part in strongest[:count])}"
    return f"in {dropped_as_much} of {len(parts)} {kinds}"


def _parts_say_something(category: CategoryAttribution) -> bool:
    return 1 < len(category.parts) <= category.prompts / 2


def _lengths_in_words(category: CategoryAttribution) -> str:
    """Nothing of all prompts together: there, lengths stand for the categories that have them."""
    if category.parts_by == "category":
        return ""
    prompts = _length_in_words(category, category.by_prompt_tokens, "prompts")
    outputs = _length_in_words(category, category.by_output_tokens, "outputs")
    if prompts and outputs and prompts.replace("prompts", "outputs") == outputs:
        return prompts.replace("prompts", "prompts and outputs")
    return ", ".join(filter(None, (prompts, outputs)))


def _length_in_words(category: CategoryAttribution, thirds: Sequence[Part], what: str) -> str:
    if len(thirds) < 2:
        return ""
    short, long = _moved(thirds[0], category), _moved(thirds[-1], category)
    if max(short, long) < _AS_MUCH:
        return f"most in {what} of middling length"
    if min(short, long) >= _AS_MUCH * max(short, long):
        return f"in long {what} as much as in short ones"
    return f"more in {'short' if short > long else 'long'} {what}"


def _moved(part: Part, category: CategoryAttribution) -> float:
    """The relative change of a part over that of the whole: 1 is as much, below 0 is the other way."""
    return part.change / (category.change / category.before)


def _positions(category: CategoryAttribution) -> list[str]:
    """The positions that moved it most, in their order."""
    shown = sorted(category.positions, key=lambda position: -abs(position.effect))[:_MOST_POSITIONS]
    columns = f"{'conditional rate':>19}{'joint rate':>17}{'effect':>10}{f'of the {_word(category)}':>14}"
    lines = [f"  draft position{columns}   (prompts weigh alike)"]
    for position in sorted(shown, key=lambda position: position.position):
        conditional = f"{_percent(position.rate_before)} -> {_percent(position.rate_after)}"
        joint = f"{_percent(position.joint_before)} -> {_percent(position.joint_after)}"
        name = f"{position.position}" if position.position else "any draft"
        lines.append(
            f"  {name:>14}{conditional:>19}{joint:>17}{position.effect:>+10.3f}"
            f"{position.effect / category.change:>14.0%}"
        )
    left = [position.effect for position in category.positions if position not in shown]
    if left:
        lines.append(f"  {'the others':>14}{sum(left):>+46.3f}{sum(left) / category.change:>14.0%}")
    return lines


def _inline(title: str, parts: Sequence[Part]) -> list[str]:
    """Parts one after the other, as many as say something."""
    if not parts:
        return []
    shown = parts[:_MOST_PARTS]
    words = [
        f"{_clipped(part.name)} {part.before:.2f} -> {part.after:.2f} ({part.change:+.0%}, {_prompts(part.prompts)}"
        f"{'' if part.outside_share is None else f', {_share(part.outside_share)} outside'})"
        for part in shown
    ]
    if len(parts) > len(shown):
        words.append(f"{len(parts) - len(shown)} more")
    return _wrapped(f"{title} {'; '.join(words)}", "  ")


def _movers(category: CategoryAttribution, most: int) -> list[str]:
    movers = category.movers[:most]
    if not movers:
        return []
    share = sum(mover.contribution for mover in movers) / category.change
    width = max(len(_clipped(mover.question_id)) for mover in movers)
    title = f"  prompts that moved it most ({share:.0%} of the {_word(category)}):"
    return [title, *(f"    {_clipped(mover.question_id):<{width}}  {_mover(mover, category)}" for mover in movers)]


def _mover(mover: MovedPrompt, category: CategoryAttribution) -> str:
    details = [
        _share(mover.contribution / category.change),
        f"{mover.baseline_steps} -> {mover.candidate_steps} steps",
        f"{mover.turns} turns" if mover.turns > 1 else "",
        "" if mover.outside_share is None else f"{_share(mover.outside_share)} outside",
        "" if mover.same_output else "another output",
    ]
    return f"{mover.before:.2f} -> {mover.after:.2f}  ({', '.join(filter(None, details))})"


def _prompts(count: int) -> str:
    return f"{count} prompt{'' if count == 1 else 's'}"


def _word(category: CategoryAttribution) -> str:
    return "loss" if category.change < 0 else "gain"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"


def _share(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _clipped(name: str) -> str:
    """Names come from data files: control characters must not reach a log, nor endless names."""
    name = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return name if len(name) <= _MOST_NAME_COLUMNS else f"{name[: _MOST_NAME_COLUMNS - 1]}…"


def _wrapped(text: str, indent: str = "", hanging: str = "  ") -> list[str]:
    return textwrap.wrap(
        text, COLUMNS, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False
    )
