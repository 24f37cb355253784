"""What kind of drafter a folder holds, by all that says so: never by the name of the folder, never by one field alone.

A folder of one kind that is run as another often runs: a P-EAGLE head drafts token by token, a DSpark drafter without
its Markov head. Its acceptance is then another drafter's. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pytest_speedbench.engines.checkpoints import Checkpoint


class DrafterKind(Enum):
    """Kinds of drafters, by the names their makers gave them."""

    LANGUAGE_MODEL = "language model"
    PARD = "PARD draft model"
    """A language model that was trained to draft all tokens of a step at once."""
    EAGLE = "EAGLE head"
    EAGLE3 = "EAGLE-3 head"
    P_EAGLE = "P-EAGLE head"
    """An EAGLE-3 head that was trained to draft all tokens of a step at once."""
    MEDUSA = "Medusa drafter"
    DFLASH = "DFlash drafter"
    DFLASH2 = "DFlash 2 drafter"
    DSPARK = "DSpark drafter"
    XPRESS = "XPress drafter"
    DOMINO = "Domino drafter"
    MTP = "drafter of multi-token-prediction layers"
    MLP_SPECULATOR = "MLP speculator"
    OTHER = "drafter of another kind"
    """It says of itself what it is, and that is none of these."""
    UNSAID = "model that does not say its kind"

    @property
    def with_article(self) -> str:
        """For messages."""
        return f"{'an' if self.value.startswith(('E', 'X', 'ML')) else 'a'} {self.value}"


_SPECULATORS = {
    "eagle": DrafterKind.EAGLE,
    "eagle3": DrafterKind.EAGLE3,
    "peagle": DrafterKind.P_EAGLE,
    "dflash": DrafterKind.DFLASH,
    "dflash2": DrafterKind.DFLASH2,
    "dspark": DrafterKind.DSPARK,
    "xpress": DrafterKind.XPRESS,
    "mtp": DrafterKind.MTP,
    "mlp_speculator": DrafterKind.MLP_SPECULATOR,
}
_PROJECTORS = {
    "dflash": DrafterKind.DFLASH,
    "dflash2": DrafterKind.DFLASH2,
    "dspark": DrafterKind.DSPARK,
    "domino": DrafterKind.DOMINO,
    "xpress": DrafterKind.XPRESS,
}
"""What SpecForge calls the part that tells its block drafters apart."""
_ARCHITECTURES = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        # The more particular ones first.
        (r"P-?[Ee]agle", DrafterKind.P_EAGLE),
        (r"DFlash2", DrafterKind.DFLASH2),
        (r"DFlash|^MuseGlimmerAssistantModel$", DrafterKind.DFLASH),
        (r"DSpark", DrafterKind.DSPARK),
        (r"XPress", DrafterKind.XPRESS),
        (r"^Domino", DrafterKind.DOMINO),
        (r"^Eagle3|Eagle3$", DrafterKind.EAGLE3),
        # Eagle 2.5 is a family of multimodal language models.
        (r"^Eagle(?!2_5)|Eagle$", DrafterKind.EAGLE),
        (r"^Medusa", DrafterKind.MEDUSA),
        (r"MLPSpeculator", DrafterKind.MLP_SPECULATOR),
        (r"MTP(Model|DraftModel)?$", DrafterKind.MTP),
    )
)
_LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_PARALLEL_FIELDS = ("pard_token", "ptd_token_id")
"""The token that stands for a draft not made yet, in the flat layout of drafters that make all of them at once."""
_MARKING_TENSORS = {"mask_hidden": DrafterKind.P_EAGLE, "markov_head": DrafterKind.DSPARK}
"""First parts of names of tensors that only these kinds have."""


def kind_of(checkpoint: Checkpoint) -> DrafterKind:
    """What a folder is, by its ``speculators_model_type``, its architecture, the fields and the tensors of one kind."""
    if checkpoint.speculators_type is not None:
        return _SPECULATORS.get(checkpoint.speculators_type, DrafterKind.OTHER)
    named = _by_architecture(checkpoint)
    if named not in (DrafterKind.LANGUAGE_MODEL, DrafterKind.UNSAID, DrafterKind.EAGLE3, DrafterKind.DFLASH):
        return named
    return _by_fields(checkpoint, named)


def is_head(kind: DrafterKind) -> bool:
    """Whether it is a drafter that cannot generate text without a target."""
    return kind not in (DrafterKind.LANGUAGE_MODEL, DrafterKind.PARD, DrafterKind.UNSAID)


def makes_text(checkpoint: Checkpoint) -> bool:
    """Whether the architecture is one that generates text, or none is given."""
    names = checkpoint.architectures
    return not names or any(name.endswith(_LANGUAGE_MODELS) for name in names)


def _by_architecture(checkpoint: Checkpoint) -> DrafterKind:
    for name in checkpoint.architectures:
        for pattern, kind in _ARCHITECTURES:
            if pattern.search(name):
                return kind
    if checkpoint.architectures:
        return DrafterKind.LANGUAGE_MODEL if makes_text(checkpoint) else DrafterKind.OTHER
    return DrafterKind.UNSAID


def _by_fields(checkpoint: Checkpoint, named: DrafterKind) -> DrafterKind:
    """An architecture that several kinds share, or the target's own as some heads name it."""
    config = checkpoint.config
    block = config.get("dflash_config")
    if named is DrafterKind.DFLASH or isinstance(block, dict):
        return _block_drafter(config, block if isinstance(block, dict) else {})
    if config.get("model_type") == "medusa" or config.get("medusa_num_heads") is not None:
        return DrafterKind.MEDUSA
    kind = named
    if checkpoint.size("draft_vocab_size") is not None:
        kind = DrafterKind.EAGLE3
    names = {name.partition(".")[0] for name in checkpoint.plain_tensors or ()}
    marked = [kind for name, kind in _MARKING_TENSORS.items() if name in names]
    if marked:
        return marked[0]
    if any(config.get(name) is not None for name in _PARALLEL_FIELDS):
        return DrafterKind.P_EAGLE if kind is DrafterKind.EAGLE3 else DrafterKind.PARD
    if kind is DrafterKind.LANGUAGE_MODEL and "fc" in names:
        # Heads of the first EAGLE name the architecture of their target.
        return DrafterKind.EAGLE
    return kind


def _block_drafter(config: Mapping[str, Any], block: Mapping[str, Any]) -> DrafterKind:
    projector = block.get("projector_type")
    if projector is not None:
        return _PROJECTORS.get(projector, DrafterKind.OTHER)
    if config.get("markov_rank") or block.get("markov_rank"):
        return DrafterKind.DSPARK
    return DrafterKind.XPRESS if block.get("xpress_topc") or config.get("xpress_rank") else DrafterKind.DFLASH
