"""Whether target and drafter can be a pair, as far as their configs tell. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Literal

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.draft_vocabulary import check_draft_map
from pytest_speedbench.engines.drafter_kinds import DrafterKind, is_head, kind_of, makes_text
from pytest_speedbench.engines.vocabularies import drafts_below
from pytest_speedbench.errors import EngineError

Vocabularies = Literal["equal", "padded", "any"]
"""What an engine takes of a draft model: its size the target's, or another by padding only, or any."""
Kinds = Mapping[DrafterMethod, Set[DrafterKind]]
_MEANT = {
    DrafterMethod.DRAFT_MODEL: DrafterKind.LANGUAGE_MODEL,
    DrafterMethod.EAGLE: DrafterKind.EAGLE,
    DrafterMethod.EAGLE3: DrafterKind.EAGLE3,
    DrafterMethod.MEDUSA: DrafterKind.MEDUSA,
    DrafterMethod.DFLASH: DrafterKind.DFLASH,
}
"""What every engine that has a method runs as that method."""
_TAKEN_FOR_IT: Kinds = {
    DrafterMethod.DRAFT_MODEL: {DrafterKind.UNSAID},
    # Most published heads of the first EAGLE name the architecture of their target.
    DrafterMethod.EAGLE: {DrafterKind.LANGUAGE_MODEL, DrafterKind.UNSAID},
    DrafterMethod.MEDUSA: {DrafterKind.UNSAID},
}
_INSTEAD = {
    DrafterKind.PARD: "Use draft_model:MODEL with the engine vllm, which drafts all its tokens at once.",
    DrafterKind.EAGLE: "Use eagle:MODEL for it.",
    DrafterKind.EAGLE3: "Use eagle3:MODEL for it.",
    DrafterKind.P_EAGLE: "Use eagle3:MODEL with the engine vllm, which drafts all its tokens at once.",
    DrafterKind.MEDUSA: "Use medusa:MODEL for it.",
    DrafterKind.DFLASH: "Use dflash:MODEL for it.",
    DrafterKind.DFLASH2: "Use dflash:MODEL with the engine vllm or sglang.",
}


def check_models(pair: Pair, vocabularies: Vocabularies = "equal", *, also: Kinds | None = None) -> None:
    """Check that the pair's checkpoints exist and fit each other.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Args:
        pair: of which models.
        vocabularies: what the engine takes of a draft model.
        also: kinds of drafters that this engine runs as a method, beside those that every engine does.

    Raises:
        EngineError: with the way out.
    """
    target = open_checkpoint(pair.model, download=False)
    if target is not None:
        check_target(target)
    if pair.drafter is None or pair.drafter.model is None:
        return
    drafter = open_checkpoint(pair.drafter.model, download=False)
    if drafter is not None:
        check_kind(drafter, pair.drafter.method, also)
        check_heads(drafter, pair.drafter.method, pair.drafter.draft_length)
        if target is not None:
            check_fit(target, drafter, pair.drafter.method, vocabularies)


def check_target(target: Checkpoint) -> None:
    """A target is a causal language model, not a drafter.

    Raises:
        EngineError: the folder holds something else.
    """
    kind = kind_of(target)
    if is_head(kind) and kind is not DrafterKind.OTHER:
        raise EngineError(
            f"The target {target.reference!r} is {kind.with_article}.",
            "Give it as the drafter, METHOD:MODEL, and a language model as the target.",
        )
    check_causal(target, "target")


def check_causal(checkpoint: Checkpoint, role: str) -> None:
    """A model that generates text. ``role`` names it in the message.

    Raises:
        EngineError: the config names another kind of model.
    """
    if not makes_text(checkpoint):
        raise EngineError(
            f"The {role} {checkpoint.reference!r} is no causal language model: its architecture is "
            f"{', '.join(checkpoint.architectures)}.",
            "Give the folder of a language model that generates text.",
        )


def check_kind(drafter: Checkpoint, method: DrafterMethod, also: Kinds | None = None) -> None:
    """A drafter is of a kind that the engine runs as the method, and its map of the draft vocabulary is one.

    Args:
        drafter: its folder.
        method: what the pair calls it.
        also: as in :func:`check_models`.

    Raises:
        EngineError: the folder holds another kind of drafter, or a map that gives no tokens.
    """
    kind, meant = kind_of(drafter), _MEANT.get(method)
    if meant is None:
        return  # a method that loads no model
    if kind is not meant and not any(kind in kinds.get(method, ()) for kinds in (_TAKEN_FOR_IT, also or {})):
        raise _another_kind(drafter, kind, method)
    check_draft_map(drafter)


def _another_kind(drafter: Checkpoint, kind: DrafterKind, method: DrafterMethod) -> EngineError:
    meant = _MEANT[method]
    if meant is DrafterKind.LANGUAGE_MODEL and kind is DrafterKind.OTHER:
        check_causal(drafter, "draft model")
    who = "draft model" if meant is DrafterKind.LANGUAGE_MODEL else "drafter"
    named = ", ".join(drafter.architectures) or "none"
    if kind in (DrafterKind.LANGUAGE_MODEL, DrafterKind.UNSAID):
        return EngineError(
            f"The {who} {drafter.reference!r} is no {meant.value}: its config.json gives the architecture {named}.",
            f"Give {meant.with_article}; a language model is draft_model:MODEL.",
        )
    says = f"speculators_model_type {drafter.speculators_type}" if drafter.speculators_type else f"architecture {named}"
    return EngineError(
        f"The {who} {drafter.reference!r} ({says}) is {kind.with_article}.",
        _INSTEAD.get(kind, f"No method here runs it, and as {method.value} it would be another drafter."),
    )


def check_heads(drafter: Checkpoint, method: DrafterMethod, draft_length: int) -> None:
    """Medusa has one head per draft position.

    Raises:
        EngineError: the draft length asks for more heads than there are.
    """
    heads = drafter.size("num_heads") or drafter.size("medusa_num_heads")
    if method is DrafterMethod.MEDUSA and heads is not None and draft_length > heads:
        raise EngineError(
            f"The Medusa drafter {drafter.reference!r} has {heads} heads, and the pair asks for a draft length of "
            f"{draft_length}.",
            f"Set the draft length to {heads} or less.",
        )


def check_fit(
    target: Checkpoint, drafter: Checkpoint, method: DrafterMethod, vocabularies: Vocabularies = "equal"
) -> None:
    """Target and drafter speak of the same tokens and, where the drafter reads hidden states, of the same width.

    Raises:
        EngineError: vocabularies or hidden sizes differ.
    """
    if method is DrafterMethod.DRAFT_MODEL:
        padded = vocabularies != "any" and drafts_below(target, drafter) is not None
        if padded and vocabularies == "equal":
            raise _padded(target, drafter)
        return
    ours, theirs = drafter.size("vocab_size"), target.size("vocab_size")
    if method is not DrafterMethod.DFLASH and None not in (ours, theirs) and ours != theirs:
        raise EngineError(
            f"The drafter {drafter.reference!r} has a vocabulary of {ours} tokens, the target {target.reference!r} one "
            f"of {theirs}.",
            "Give a drafter that was made for this target.",
        )
    if method in (DrafterMethod.EAGLE, DrafterMethod.EAGLE3):
        width, needed = target.size("hidden_size"), drafter.size("target_hidden_size") or drafter.size("hidden_size")
        if None not in (width, needed) and width != needed:
            raise EngineError(
                f"The head {drafter.reference!r} reads hidden states of width {needed}, the target "
                f"{target.reference!r} has {width}.",
                "Give a head that was made for this target.",
            )


def _padded(target: Checkpoint, draft: Checkpoint) -> EngineError:
    return EngineError(
        f"The draft model {draft.reference!r} has a vocabulary of {draft.size('vocab_size')} tokens, the target "
        f"{target.reference!r} one of {target.size('vocab_size')}: they have one tokenizer and differ in padding only, "
        "but this engine wants equal sizes.",
        "Measure them with transformers or in a replay, which leave the padding out, or with vllm under "
        "speculative_config.use_heterogeneous_vocab; or pad the smaller embedding.",
    )
