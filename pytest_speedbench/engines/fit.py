"""Whether target and drafter can be a pair, as far as their configs tell. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.vocabularies import drafts_below
from pytest_speedbench.errors import EngineError

Vocabularies = Literal["equal", "padded", "any"]
"""What an engine takes of a draft model: its size the target's, or another by padding only, or any."""


def check_models(pair: Pair, vocabularies: Vocabularies = "equal") -> None:
    """Check that the pair's checkpoints exist and fit each other.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Args:
        pair: of which models.
        vocabularies: what the engine takes of a draft model.

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
        check_kind(drafter, pair.drafter.method)
        check_heads(drafter, pair.drafter.method, pair.drafter.draft_length)
        if target is not None:
            check_fit(target, drafter, pair.drafter.method, vocabularies)


def check_target(target: Checkpoint) -> None:
    """A target is a causal language model, not a drafter.

    Raises:
        EngineError: the folder holds something else.
    """
    if target.is_eagle3_head:
        raise EngineError(
            f"The target {target.reference!r} is an EAGLE-3 head.",
            "Give it as the drafter, eagle3:MODEL, and a language model as the target.",
        )
    check_causal(target, "target")


def check_causal(checkpoint: Checkpoint, role: str) -> None:
    """A model that generates text. ``role`` names it in the message.

    Raises:
        EngineError: the config names another kind of model.
    """
    names = checkpoint.architectures
    if names and not any(name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")) for name in names):
        raise EngineError(
            f"The {role} {checkpoint.reference!r} is no causal language model: its architecture is {', '.join(names)}.",
            "Give the folder of a language model that generates text.",
        )


def check_kind(drafter: Checkpoint, method: DrafterMethod) -> None:
    """An EAGLE-3 head is given as one, and nothing else is.

    Raises:
        EngineError: the folder holds another kind of model.
    """
    if method is DrafterMethod.EAGLE3 and not drafter.is_eagle3_head:
        found = ", ".join(drafter.architectures) or "none"
        raise EngineError(
            f"The drafter {drafter.reference!r} is no EAGLE-3 head: its config.json gives the architecture {found}.",
            "An EAGLE-3 head has the architecture LlamaForCausalLMEagle3 or a draft_vocab_size; a language model is "
            "draft_model:MODEL.",
        )
    if method is DrafterMethod.EAGLE and drafter.is_eagle3_head:
        raise EngineError(f"The drafter {drafter.reference!r} is an EAGLE-3 head.", "Use eagle3:MODEL for it.")
    if method is DrafterMethod.DRAFT_MODEL:
        if drafter.is_eagle3_head:
            raise EngineError(f"The draft model {drafter.reference!r} is an EAGLE-3 head.", "Use eagle3:MODEL for it.")
        check_causal(drafter, "draft model")


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
