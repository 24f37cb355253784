"""Layers become one frozen :class:`Settings`, here and only here.

From weakest to strongest: built-in defaults, ``[tool.speedbench]``, the test's marker, ``SPEEDBENCH_*`` variables, the
command line. Arguments that a test passes in code are stronger still: the test means exactly them. The tolerance's
rules are merged one by one; those of the split, then those of the pair, come between the project's and the marker's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_speedbench.config import (
    DEFAULT_FAMILY_ERROR,
    DEFAULT_ROUNDS,
    SHARED_SETTINGS,
    GatePolicyName,
    Load,
    Mode,
    OutputsPolicyName,
    Pair,
    Sampling,
    Timeouts,
    user_cache_folder,
)
from pytest_speedbench.errors import ConfigError
from pytest_speedbench.settings.layers import BY_KEY, OUTER_SOURCES, Layer
from pytest_speedbench.settings.pairs import ADDRESSES, DROPPED, dropped_words, resolve_pair
from pytest_speedbench.settings.project import Project
from pytest_speedbench.splits.conditions import Condition
from pytest_speedbench.splits.source import SplitSource
from pytest_speedbench.tolerance import Tolerance

DEFAULT_SPLIT = "mini"
DEFAULT_MAX_OUTPUT_TOKENS = 64
DEFAULT_TIMEOUTS = Timeouts()

_OF_A_SPLIT = ("columns", "allow_placeholders", "isl", "where")
"""Settings that say how one split is read, and mean nothing for another."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that one measurement and its gate need to know.

    Attributes:
        pair: what is measured.
        split: where the prompts come from.
        categories: the only ones asked; ``None`` for all.
        where: what every prompt asked meets.
        prompts: how many are asked; ``None`` for all.
        load: conversations at a time.
        sampling: how the target picks tokens, and the output limit.
        baseline_dir: where baselines are kept.
        update: whether passing tests write theirs.
        tolerance: how large a loss is accepted.
        policy: whether a verdict that is neither fails.
        outputs: how many greedy outputs may differ from the baseline's.
        family_error: the probability that a run in which nothing regressed fails, 0 < share < 0.5.
        sequential: whether a category is asked no further once its verdict is certain.
        stop_at_first: whether nothing is asked any more once one category has certainly regressed.
        repeat: how often the prompts are measured, at least 1.
        rounds: of a speed comparison, at least 3.
        timeouts: how long an engine may keep us waiting.
        mode: whether the engine decodes or stored outputs are judged.
        record_outputs: whether what a decoding run's target put out is stored beside the baseline.
        cache_dir: where token ids of large splits are kept; ``None`` for nowhere.
    """

    pair: Pair
    split: SplitSource
    categories: tuple[str, ...] | None
    where: tuple[Condition, ...]
    prompts: int | None
    load: Load
    sampling: Sampling
    baseline_dir: Path
    update: bool
    tolerance: Tolerance
    policy: GatePolicyName
    outputs: OutputsPolicyName
    family_error: float
    sequential: bool
    stop_at_first: bool
    repeat: int
    rounds: int
    timeouts: Timeouts
    mode: Mode
    record_outputs: bool
    cache_dir: Path | None


def resolve(project: Project, closer: Sequence[Layer]) -> Settings:
    """Merge the project's defaults and closer layers, weakest first, into settings.

    Raises:
        ConfigError: contradictory options, an unknown pair, a drafter that cannot be read.
    """
    merged = _merge((project.defaults, *closer))
    _refuse_replay_of_itself(merged)
    pair, split = resolve_pair(merged, project.pairs), merged.get("split", DEFAULT_SPLIT)
    of_split = project.splits.get(split, {})
    return Settings(
        pair=pair,
        split=_resolve_split(split, of_split, merged),
        categories=merged.get("categories"),
        where=(*of_split.get("where", ()), *merged.get("where", ())),
        prompts=merged.get("prompts"),
        load=Load(merged.get("concurrency", 1)),
        sampling=Sampling(merged.get("max_tokens", DEFAULT_MAX_OUTPUT_TOKENS)),
        baseline_dir=merged.get("baseline_dir", Path("baselines")),
        update=merged.get("update", False),
        tolerance=_resolve_tolerance(project, closer, split, pair.name),
        policy=merged.get("policy", "detect"),
        outputs=merged.get("outputs", "calibrated"),
        family_error=merged.get("family_error", DEFAULT_FAMILY_ERROR),
        sequential=merged.get("sequential", True),
        stop_at_first=merged.get("stop_at_first", False),
        repeat=merged.get("repeat", 1),
        rounds=merged.get("rounds", DEFAULT_ROUNDS),
        timeouts=Timeouts(
            merged.get("start_timeout", DEFAULT_TIMEOUTS.start_s),
            merged.get("silence_timeout", DEFAULT_TIMEOUTS.silence_s),
        ),
        mode=merged.get("mode", "decode"),
        record_outputs=merged.get("record_outputs", False),
        cache_dir=merged["cache_dir"] if "cache_dir" in merged else user_cache_folder(),
    )


def _refuse_replay_of_itself(merged: Mapping[str, Any]) -> None:
    if merged.get("mode") != "replay":
        return
    for key, what in (("update", "become a baseline"), ("record_outputs", "record outputs")):
        if merged.get(key):
            raise ConfigError(
                f"A replayed run cannot {what}: nothing is decoded.",
                f"Leave {BY_KEY['mode'].flag} or {BY_KEY[key].flag} out.",
            )


def _merge(layers: Sequence[Layer]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    weak_engine = False
    for layer in layers:
        _refuse_contradictions(layer)
        if "split" in layer.values:
            _forget(merged, _OF_A_SPLIT)
        # A model given closer to the user replaces a pair named further away, and the other way round.
        if "model" in layer.values:
            _forget(merged, ("pair", "drafter"))
        if "pair" in layer.values:
            of_a_pair = ("draft_length", "engine_args", *ADDRESSES, *SHARED_SETTINGS)
            _drop(merged, of_a_pair, f"other pairs, not {layer.values['pair']!r}, which {layer.name('pair')} names")
            _forget(merged, ("model", "drafter"))
            # A project's default engine yields to the pair's own; one asked for outside of the code does not.
            if weak_engine:
                merged.pop("engine", None)
        if "engine" in layer.values:
            weak_engine = layer.source not in OUTER_SOURCES
            if layer.values["engine"] != merged.get("engine"):
                other = f"{merged.get('engine', 'another engine')}, not {layer.values['engine']}"
                _drop(merged, ("engine_args", *ADDRESSES), f"{other}, which {layer.name('engine')} names")
        engine_args = {**merged.get("engine_args", {}), **layer.values.get("engine_args", {})}
        merged.update(layer.values)
        merged["engine_args"] = engine_args
    return merged


def _drop(merged: dict[str, Any], keys: Sequence[str], for_what: str) -> None:
    """Forget what was said for something else, and keep the words for it."""
    given = {key: merged[key] for key in keys if key in merged}
    words = dropped_words(given, "of weaker settings", for_what)
    _forget(merged, keys)
    merged[DROPPED] = (*merged.get(DROPPED, ()), *words)


def _forget(merged: dict[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        merged.pop(key, None)


def _resolve_tolerance(project: Project, closer: Sequence[Layer], split: str, pair: str) -> Tolerance:
    sources = [
        project.defaults.values.get("tolerance"),
        project.splits.get(split, {}).get("tolerance"),
        project.pair_tolerances.get(pair),
        *(layer.values.get("tolerance") for layer in closer),
    ]
    chosen = Tolerance()
    for given in sources:
        if given is not None:
            chosen = chosen.overridden_by(given)
    return chosen


def _resolve_split(split: str, of_split: Mapping[str, Any], merged: Mapping[str, Any]) -> SplitSource:
    chosen = {**of_split, **{key: merged[key] for key in _OF_A_SPLIT if key in merged}}
    source = SplitSource(
        chosen.get("source", split),
        name=split if "source" in of_split else None,
        columns=chosen.get("columns", ()),
        skip_placeholders=chosen.get("allow_placeholders", False),
        isl=chosen.get("isl"),
        sha256=chosen.get("sha256"),
    )
    source.check()
    return source


def _refuse_contradictions(layer: Layer) -> None:
    values = layer.values
    if "pair" in values and "model" in values:
        raise ConfigError(
            f"{layer.name('pair')} and {layer.name('model')} contradict each other: a pair has its own model.",
            "Give one of them; to gate another drafter against a pair's baseline, add the drafter only.",
        )
    if str(values.get("drafter", "")) == "none" and "draft_length" in values:
        raise ConfigError(
            f"{layer.name('draft_length')} contradicts the drafter 'none'.",
            "Leave the draft length out, or name a drafter.",
        )
