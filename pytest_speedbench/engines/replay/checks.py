"""What can be said about a replay before torch is imported."""

from __future__ import annotations

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.eagle_configs import check_eagle_config, read_eagle3_config
from pytest_speedbench.engines.fit import check_fit, check_heads, check_kind, check_target
from pytest_speedbench.engines.replay.lookup import rule_of
from pytest_speedbench.engines.replay.mtp_rules import check_mtp_drafts
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.transformers.checks import check_packages
from pytest_speedbench.engines.transformers.families import check_computed
from pytest_speedbench.errors import EngineError

_METHODS = (
    DrafterMethod.NGRAM,
    DrafterMethod.DRAFT_MODEL,
    DrafterMethod.EAGLE,
    DrafterMethod.EAGLE3,
    DrafterMethod.MEDUSA,
    DrafterMethod.MTP,
)


def check_pair(pair: Pair) -> None:
    """Check arguments, and that the drafter is one that can be replayed.

    Raises:
        EngineError: with the way out.
    """
    options = ReplayOptions.parse(pair.engine_args)
    if pair.drafter is None:
        raise EngineError(f"The pair {pair.name!r} has no drafter to replay.", "Name one.")
    method = pair.drafter.method
    if method not in _METHODS:
        raise EngineError(
            f"The drafter {method.value!r} cannot be replayed.",
            f"Decode with it; replayed are {', '.join(known.value for known in _METHODS)}.",
        )
    if rule_of(pair, options) is not None:
        return
    check_packages()
    target = open_checkpoint(pair.model, download=False)
    if target is not None:
        check_target(target)
        # A draft model is judged without it, and a head by what was recorded of it.
        if method is not DrafterMethod.DRAFT_MODEL and options.states is None:
            check_computed(target, "target", drafts=False)
        if method is DrafterMethod.MTP:
            check_mtp_drafts(target, options, pair.drafter.draft_length)
    if pair.drafter.model is not None:
        _check_drafter(pair.drafter, pair.drafter.model, target)


def _check_drafter(drafter: Drafter, model: str, target: Checkpoint | None) -> None:
    checkpoint = open_checkpoint(model, download=False)
    if checkpoint is None:
        return
    check_kind(checkpoint, drafter.method)
    check_heads(checkpoint, drafter.method, drafter.draft_length)
    if drafter.method is DrafterMethod.DRAFT_MODEL:
        check_computed(checkpoint, "draft model", drafts=False)
    elif drafter.method is DrafterMethod.EAGLE3:
        read_eagle3_config(checkpoint)
    elif drafter.method is DrafterMethod.EAGLE:
        check_eagle_config(checkpoint)
    if target is not None:
        check_fit(target, checkpoint, drafter.method, "padded")
