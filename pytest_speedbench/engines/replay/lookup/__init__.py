"""n-gram drafters, each by the rules of the engine that is to serve. Imports no numpy by itself.

vLLM and transformers look up alike; SGLang and TensorRT-LLM have ways of their own, in which what a step drafts depends
on where the steps before it began, or even on other requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.config import DrafterMethod, EngineArg, Pair
from pytest_speedbench.engines.replay.lookup.settings import sglang_trees, trtllm_pool
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.walk import Judge, Reach
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput

_TOKENS_AT_A_TIME = 1 << 14


class Lookup(Protocol):
    """A way of looking n-grams up."""

    def reach(self, stored: StoredOutput) -> Reach:
        """What would have been accepted of one request."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose way it is, and what follows from it.

    Attributes:
        name: the engine, and its version where the rule was read from one.
        engines: the adapters that it is the rule of.
        stepwise: whether a step depends on where those before it began: drafts of one length then say nothing of those
            of another, and every step verifies as many tokens as it may, found or not.
        remembers: whether a request depends on those before it.
        tree: whether a draft is a tree.
        was_run: whether the replay was held against the engine itself.
    """

    name: str
    engines: tuple[str, ...]
    stepwise: bool = False
    remembers: bool = False
    tree: bool = False
    was_run: bool = True

    @property
    def in_words(self) -> str:
        """The engine, and whether its rule was only read."""
        return self.name if self.was_run else f"{self.name}, from its sources, never run"

    def record(self, counted: AcceptanceRecord) -> AcceptanceRecord:
        """The record as the engine's adapter states it: without what the engine does not count."""
        if not self.stepwise:
            return counted
        return replace(
            counted, proposed_tokens=None, tree_tokens=counted.draft_length if self.tree else counted.tree_tokens
        )


FIRST_MATCH = Rule("vLLM and transformers", ("transformers", "vllm", "vllm-serve"))
SGLANG = Rule("SGLang 0.5.23", ("sglang", "sglang-serve"), stepwise=True, remembers=True, tree=True)
TRTLLM = Rule("TensorRT-LLM 1.1", ("trtllm", "trtllm-serve"), stepwise=True, was_run=False)
_RULES = (FIRST_MATCH, SGLANG, TRTLLM)


def rule_of(pair: Pair, options: ReplayOptions) -> Rule | None:
    """The rule that the pair's n-grams are looked up by; ``None`` for another drafter.

    Raises:
        EngineError: the engine's rule, or one of its settings, cannot be replayed.
    """
    if pair.drafter is None or pair.drafter.method is not DrafterMethod.NGRAM:
        return None
    rule = next((rule for rule in _RULES if options.engine in rule.engines), None)
    if rule is None:
        raise EngineError(
            f"The engine {options.engine} looks n-grams up by rules of its own, which are not replayed.",
            f"Decode with it; replayed are the rules of {', '.join(rule.name for rule in _RULES)}.",
        )
    if rule is SGLANG:
        sglang_trees(pair.drafter.draft_length, options.lookup)
    elif rule is TRTLLM:
        trtllm_pool(pair.drafter.draft_length, options.lookup)
    elif options.lookup:
        raise EngineError(
            f"The engine {options.engine} takes no argument lookup.", "Use prompt_lookup_max and prompt_lookup_min."
        )
    return rule


def remembers(pair: Pair) -> bool:
    """Whether what a pair replays for one request depends on those before it.

    Raises:
        EngineError: as from :func:`rule_of`.
    """
    rule = rule_of(pair, ReplayOptions.parse(pair.engine_args))
    return rule is not None and rule.remembers


def lookup_judge(rule: Rule, options: ReplayOptions, draft_length: int, context_tokens: int) -> Judge:
    """The drafter of a rule.

    Raises:
        EngineError: a setting cannot be replayed.
    """
    if rule is SGLANG:
        from pytest_speedbench.engines.replay.lookup.sglang import SglangMemory

        return _judge(SglangMemory(sglang_trees(draft_length, options.lookup), context_tokens))
    if rule is TRTLLM:
        from pytest_speedbench.engines.replay.lookup.trtllm import TrtllmLookup

        return _judge(TrtllmLookup(trtllm_pool(draft_length, options.lookup)))
    from pytest_speedbench.engines.replay.lookup.first_match import FirstMatch

    return _judge(FirstMatch(draft_length, options.models.prompt_lookup_max, options.prompt_lookup_min))


def _judge(lookup: Lookup) -> Judge:
    return Judge(lambda outputs: [lookup.reach(stored) for stored in outputs], _TOKENS_AT_A_TIME)


def lookup_args(pair: Pair) -> Mapping[str, EngineArg]:
    """What a pair that decodes says of its n-grams, for the pair that replays it; empty for other engines' rules."""
    if pair.drafter is None or pair.drafter.method is not DrafterMethod.NGRAM:
        return {}
    if pair.engine in SGLANG.engines:
        names = ("disable_overlap_schedule", "device", "dp_size")
        return {
            name: value
            for name, value in pair.engine_args.items()
            if name in names or name.startswith("speculative_ngram_")
        }
    if pair.engine in TRTLLM.engines:
        speculative = pair.engine_args.get("speculative_config")
        return dict(speculative) if isinstance(speculative, Mapping) else {}
    return {}
