"""SGLang's ``meta_info`` of a finished request becomes the acceptance record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.engines.counts import count, counts
from pytest_speedbench.errors import EngineError

_STEPS = "spec_verify_ct"
_ACCEPTED = "spec_num_correct_drafts"
_HISTOGRAM = "spec_correct_drafts_histogram"
_PROPOSED = "spec_num_proposed_drafts"


@dataclass(frozen=True, slots=True)
class DraftShape:
    """How an engine drafts, which its record does not say.

    Attributes:
        draft_length: K, the depth of a draft.
        tree_tokens: the tokens of a tree without its root; ``None`` for a chain.
        full_drafts: whether every verify step proposes as many tokens as it may. An n-gram drafter pads what it did
            not find, and an adaptive one changes its mind; SGLang counts both as full.
        verifies_always: whether every decode step is a verify step. Decoded together with a prefill, requests take a
            plain step.
        adaptive: whether the draft length may change while it runs.
    """

    draft_length: int
    tree_tokens: int | None = None
    full_drafts: bool = True
    verifies_always: bool = True
    adaptive: bool = False

    @property
    def step_tokens(self) -> int:
        """Draft tokens of a full verify step."""
        return self.tree_tokens or self.draft_length


def draft_shape(arguments: Mapping[str, Any]) -> DraftShape | None:
    """The shape that SGLang's resolved arguments give; ``None`` if they name no speculative algorithm.

    Raises:
        KeyError: a setting of the algorithm is missing.
        ValueError: one is no count.
    """
    algorithm = arguments.get("speculative_algorithm")
    if not algorithm:
        return None
    nodes = _setting(arguments, "speculative_num_draft_tokens") - 1
    adaptive = bool(arguments.get("speculative_adaptive"))
    ngram = algorithm == "NGRAM"
    # A tree of n-grams may be a single branch; block drafters have no steps.
    depth = nodes if ngram or algorithm == "DFLASH" else _setting(arguments, "speculative_num_steps")
    # What followed shorter n-grams fills up the draft, so that it branches at any breadth.
    tree = ngram or count(arguments.get("speculative_eagle_topk") or 1, "speculative_eagle_topk") > 1
    return DraftShape(
        draft_length=depth,
        tree_tokens=nodes if tree else None,
        full_drafts=not (ngram or adaptive),
        verifies_always=not arguments.get("enable_mixed_chunk"),
        adaptive=adaptive,
    )


def _setting(arguments: Mapping[str, Any], name: str) -> int:
    return count(arguments[name], name)


def acceptance_record(meta: Mapping[str, Any], shape: DraftShape, output_tokens: int) -> AcceptanceRecord | None:
    """The record of one finished request; ``None`` if SGLang says nothing of it.

    SGLang counts the drafts of every verify step before it cuts the output at its end. Its own
    ``spec_accept_length`` is output tokens by verify steps: the prefill's token raises it, what was cut off lowers it.
    Its ``spec_num_proposed_drafts`` and ``spec_accept_rate`` take every draft for a full one.

    Args:
        meta: the ``meta_info`` of the last chunk.
        shape: how the engine drafts.
        output_tokens: n, the tokens emitted in all.

    Raises:
        EngineError: the counts contradict each other or the shape.
    """
    if _STEPS not in meta and output_tokens == 1:
        return _record(shape, (0,) * (shape.draft_length + 1), 0, 0)  # the prefill was the end
    if not {_STEPS, _ACCEPTED, _HISTOGRAM} <= meta.keys():
        return None
    try:
        steps = count(meta[_STEPS], _STEPS)
        histogram = counts(meta[_HISTOGRAM], _HISTOGRAM)
        histogram += (0,) * (shape.draft_length + 1 - len(histogram))  # it ends with the most that was accepted
        _check(meta, shape, histogram)
        # Taken up again after a retraction, a request gets a token from another prefill.
        plain_steps = meta.get("num_retractions", 0) == 0 and shape.verifies_always
        return _record(
            shape,
            histogram,
            steps * shape.step_tokens if shape.full_drafts else None,
            _discarded(histogram, output_tokens) if plain_steps else None,
        )
    except (TypeError, ValueError) as error:
        raise EngineError(
            f"SGLang's meta_info contradicts itself: {error}.", "Report it with SGLang's version and its arguments."
        ) from error


def _check(meta: Mapping[str, Any], shape: DraftShape, histogram: tuple[int, ...]) -> None:
    if len(histogram) > shape.draft_length + 1 and not shape.adaptive:
        raise ValueError(f"a step accepted {len(histogram) - 1} of {shape.draft_length} draft tokens")
    if sum(histogram) != meta[_STEPS]:
        raise ValueError(f"{meta[_STEPS]} verify steps, and the histogram {list(histogram)}")
    if sum(j * steps for j, steps in enumerate(histogram)) != count(meta[_ACCEPTED], _ACCEPTED):
        raise ValueError(f"{meta[_ACCEPTED]} accepted tokens, and the histogram {list(histogram)}")
    proposed = meta.get(_PROPOSED)
    if proposed is not None and not shape.adaptive and count(proposed, _PROPOSED) != meta[_STEPS] * shape.step_tokens:
        raise ValueError(f"{proposed} proposed tokens in {meta[_STEPS]} verify steps of {shape.step_tokens}")


def _discarded(histogram: tuple[int, ...], output_tokens: int) -> int:
    """Tokens that the last step verified and that are not in the output, which also has the prefill's."""
    decoded = sum((j + 1) * steps for j, steps in enumerate(histogram))
    discarded = 1 + decoded - output_tokens
    if not 0 <= discarded < len(histogram):
        raise ValueError(f"{sum(histogram)} verify steps gave {decoded} tokens, and the output has {output_tokens}")
    return discarded


def _record(
    shape: DraftShape, histogram: tuple[int, ...], proposed: int | None, discarded: int | None
) -> AcceptanceRecord:
    return AcceptanceRecord(
        draft_length=len(histogram) - 1,
        histogram=histogram,
        proposed_tokens=proposed,
        undrafted_steps=None if discarded is None else 0,
        discarded_tokens=discarded,
        tree_tokens=shape.tree_tokens,
    )
