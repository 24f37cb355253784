"""How large a loss is accepted, by metric and category."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any

from pytest_speedbench.config import DEFAULT_SPEED_TOLERANCE, DEFAULT_TOLERANCE
from pytest_speedbench.errors import ConfigError, closest

LENGTH_METRICS = ("al_macro", "al_pooled")
"""The acceptance lengths: always gated."""
SPEED_METRICS = ("output_tps", "user_tps", "ttft", "e2e", "step_time")
"""Gated where they can be compared. Of the ``_tps`` a drop is a loss, of the times a rise."""

_EVERY_RATE = "ar"
_RATE = re.compile(r"ar[1-9][0-9]*")
_UNIT_ABSOLUTE = "abs"
_Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Allowance:
    """How large a loss is accepted.

    Attributes:
        value: a share of the baseline's figure, 0 ≤ share < 1, or, if ``absolute``, an amount of at least 0 in the
            metric's own unit: tokens per step, a rate, tokens per second, seconds.
        absolute: which of the two.

    Raises:
        ValueError: a value out of range.
    """

    value: float
    absolute: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        if not isfinite(self.value) or self.value < 0 or not (self.absolute or self.value < 1):
            raise ValueError(f"a tolerance is a share of at least 0 and below 1, or an amount, got {self.value}")

    def __str__(self) -> str:
        return f"{self.value:g} absolute" if self.absolute else f"{self.value:.1%}"

    def relative_to(self, baseline: float) -> float:
        """The share of a baseline's figure that this is; an absolute one may be more than the whole of it.

        Raises:
            ValueError: an absolute one of a figure that is not above 0.
        """
        if not self.absolute:
            return self.value
        if not baseline > 0:
            raise ValueError(f"an absolute tolerance has no share of {baseline}")
        return self.value / baseline


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Rules for the accepted loss; where none holds, 1 % of an acceptance length or rate and 5 % of a speed.

    Attributes:
        rules: by metric and category. ``None`` as category: of every one. ``None`` as metric: ``al_macro`` and
            ``al_pooled``. ``(None, None)``: the plain default, of all but the speeds. ``ar``: every ``ar1``, ``ar2``, …
    """

    rules: Mapping[_Key, Allowance] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, metric: str, category: str) -> Allowance:
        """What is accepted of a metric in a category.

        The first rule that is there holds: metric and category, category, metric, the plain default. The rule for one
        position of the draft comes before that for all.

        Raises:
            ValueError: no such metric.
        """
        names = _names(metric)
        keys: list[_Key] = [(name, category) for name in names]
        if metric in LENGTH_METRICS:
            keys.append((None, category))
        keys += [(name, None) for name in names]
        for key in keys:
            if key in self.rules:
                return self.rules[key]
        return Allowance(DEFAULT_SPEED_TOLERANCE) if metric in SPEED_METRICS else self.plain

    def gates(self, metric: str, category: str | None = None) -> bool:
        """Whether a metric is to be gated in a category (``None``: in any); acceptance rates only if a rule names them.

        Raises:
            ValueError: no such metric.
        """
        names = _names(metric)
        if metric in (*LENGTH_METRICS, *SPEED_METRICS):
            return True
        return any(named in names and (category is None or where in (None, category)) for named, where in self.rules)

    @property
    def plain(self) -> Allowance:
        """What is accepted of an acceptance length that no closer rule is for."""
        return self.rules.get((None, None), Allowance(DEFAULT_TOLERANCE))

    @property
    def categories(self) -> tuple[str, ...]:
        """All categories that rules name, in alphabetical order."""
        return tuple(sorted({category for _, category in self.rules if category is not None}))

    def __str__(self) -> str:
        """The plain default, then every other rule."""
        others = ((":".join(filter(None, key)), rule) for key, rule in self.rules.items() if key != (None, None))
        return ", ".join([str(self.plain), *(f"{what} {rule}" for what, rule in sorted(others, key=lambda o: o[0]))])

    def overridden_by(self, closer: Tolerance) -> Tolerance:
        """These rules, with those of a closer source in place of and beside them."""
        return Tolerance(MappingProxyType({**self.rules, **closer.rules}))


def parse_tolerance(value: Any, name: str) -> Tolerance:
    """Read rules as text, as a number or as a table.

    ``"2%"``, ``0.02``, ``"1%,multilingual=5%"``, ``"al_pooled:rag=3%"``, ``"al_macro=0.05abs"`` (tokens per step), or
    ``{default = "1%", multilingual = "5%", "al_pooled:rag" = "0.1abs"}``. What is no metric is a category; after
    ``METRIC:`` everything is.

    Args:
        value: what the user gave.
        name: how the user wrote the setting, for messages.

    Raises:
        ConfigError: it cannot be read, a value is out of range, or a metric is unknown.
    """
    if isinstance(value, Tolerance):
        return value
    rules: dict[_Key, Allowance] = {}
    for what, allowance in _parts(value):
        key, read = _key(what, name), _allowance(allowance, name)
        if key in rules:
            raise ConfigError(f"{name} gives two tolerances for one thing, {what}.", "Give each once.")
        rules[key] = read
    return Tolerance(MappingProxyType(rules))


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(what), allowance) for what, allowance in value.items()]
    if not isinstance(value, str):
        return [("default", value)]
    parts: list[tuple[str, Any]] = []
    for part in value.split(","):
        what, equals, allowance = part.rpartition("=")
        parts.append((what.strip() if equals else "default", allowance))
    return parts


def _key(what: str, name: str) -> _Key:
    if what == "default":
        return None, None
    metric, colon, category = (part.strip() for part in what.partition(":"))
    if not colon and what:
        return (what, None) if _is_metric(what) or what == _EVERY_RATE else (None, what)
    if not metric or not category:
        raise ConfigError(f"{name} holds a tolerance for {what!r}.", "Name a category, a metric or METRIC:CATEGORY.")
    if _is_metric(metric) or metric == _EVERY_RATE:
        return metric, category
    known = (*LENGTH_METRICS, _EVERY_RATE, "ar1", *SPEED_METRICS)
    raise ConfigError(
        f"{name} holds a tolerance for {what!r}, but there is no metric {metric!r}.",
        f"{closest(metric, known)}Known are: {', '.join(LENGTH_METRICS)}, ar (or ar1, ar2, …), "
        f"{', '.join(SPEED_METRICS)}.",
    )


def _allowance(value: Any, name: str) -> Allowance:
    text = "" if isinstance(value, bool) else str(value).strip()
    try:
        if text.endswith(_UNIT_ABSOLUTE):
            return Allowance(float(text.removesuffix(_UNIT_ABSOLUTE)), absolute=True)
        return Allowance(float(text[:-1]) / 100 if text.endswith("%") else float(text))
    except ValueError:
        raise ConfigError(
            f"{name} holds {value!r}, which is no tolerance.",
            "Write a share such as 2% or 0.02, at least 0 and below 100%, or an amount in the metric's own unit such "
            "as 0.05abs.",
        ) from None


def _is_metric(name: str) -> bool:
    return name in LENGTH_METRICS or name in SPEED_METRICS or _RATE.fullmatch(name) is not None


def _names(metric: str) -> tuple[str, ...]:
    """How rules may name a metric, the closest first."""
    if not _is_metric(metric):
        raise ValueError(f"no metric is named {metric!r}")
    return (metric, _EVERY_RATE) if _RATE.fullmatch(metric) else (metric,)
