"""What can be said about a pair before torch is imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint, open_checkpoint
from pytest_speedbench.engines.eagle_configs import read_eagle3_config
from pytest_speedbench.engines.fit import check_fit, check_kind, check_target
from pytest_speedbench.engines.transformers.families import check_computed
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError

_OLDEST_TRANSFORMERS = (5, 20)
_METHODS = (
    DrafterMethod.DRAFT_MODEL,
    DrafterMethod.EAGLE3,
    DrafterMethod.NGRAM,
    DrafterMethod.MTP,
    DrafterMethod.DFLASH,
)
_DFLASH_MODEL = "muse_glimmer_assistant"
"""The one model type whose class drafts for transformers' generator."""
_INSTALL = 'Run: pip install "pytest-speedbench[transformers]".'


def check_pair(pair: Pair) -> None:
    """Check packages, arguments, and that the checkpoints exist and fit each other, as far as their configs tell.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Raises:
        EngineError: with the way out.
    """
    check_packages()
    TransformersOptions.parse(pair.engine_args)
    target = open_checkpoint(pair.model, download=False)
    if target is not None:
        check_target(target)
        check_computed(target, "target", drafts=pair.drafter is not None)
    if pair.drafter is None:
        return
    if pair.drafter.method not in _METHODS:
        raise EngineError(
            f"The transformers engine has no drafter {pair.drafter.method.value!r}.",
            f"It has {', '.join(method.value for method in _METHODS)}; vLLM has this one.",
        )
    drafter = None
    if pair.drafter.model is not None:
        drafter = open_checkpoint(pair.drafter.model, download=False)
    if target is not None and pair.drafter.method is DrafterMethod.MTP:
        check_mtp(target, pair.drafter.draft_length)
    if drafter is not None:
        check_drafter(drafter, pair.drafter.method, pair.drafter.draft_length)
    if target is not None and drafter is not None:
        check_fit(target, drafter, pair.drafter.method, "padded")


def check_packages() -> None:
    """Refuse to go on without torch and a transformers version whose decoding loop this engine knows.

    Raises:
        EngineError: a package is missing or of another major version.
    """
    for package in ("torch", "transformers", "safetensors"):
        if find_spec(package) is None:
            raise EngineError(f"The transformers engine needs the package {package}, which is not installed.", _INSTALL)
    try:
        found = version("transformers")
    except PackageNotFoundError:
        raise EngineError("The installed transformers has no version.", _INSTALL) from None
    major, minor = (int(part) for part in found.split(".")[:2])
    if (major, minor) < _OLDEST_TRANSFORMERS or major != _OLDEST_TRANSFORMERS[0]:
        raise EngineError(
            f"The transformers engine needs transformers 5.20 or a later 5.x, and {found} is installed.", _INSTALL
        )


def check_drafter(drafter: Checkpoint, method: DrafterMethod, draft_length: int) -> None:
    """A drafter is what its method says.

    Raises:
        EngineError: the folder holds another kind of model, one that transformers does not compute, or a block of
            another length.
    """
    check_kind(drafter, method)
    if method is DrafterMethod.DRAFT_MODEL:
        check_computed(drafter, "draft model", drafts=True)
    if method is DrafterMethod.EAGLE3:
        read_eagle3_config(drafter)
    if method is DrafterMethod.DFLASH:
        if drafter.config.get("model_type") != _DFLASH_MODEL:
            named = ", ".join(drafter.architectures) or "none"
            raise EngineError(
                f"The DFlash drafter {drafter.reference!r} (architecture {named}) is in a layout that the transformers "
                f"engine does not compute: transformers has a class for {_DFLASH_MODEL} alone.",
                "Measure it with the engine vllm or sglang.",
            )
        block = drafter.size("block_size")
        if block is None or "target_layer_ids" not in drafter.config:
            raise EngineError(
                f"The config.json of the DFlash drafter {drafter.reference!r} lacks block_size or target_layer_ids.",
                "Restore it.",
            )
        _check_fixed_length(f"The DFlash drafter {drafter.reference!r}", block - 1, draft_length)


def check_mtp(target: Checkpoint, draft_length: int) -> None:
    """The target's own multi-token-prediction layers give the draft length: one token each.

    Raises:
        EngineError: the target has none, or another number than ``draft_length``.
    """
    layers = target.size("num_mtp_layers") or target.size("num_nextn_predict_layers")
    if not layers:
        raise EngineError(
            f"The target {target.reference!r} has no multi-token-prediction layers in its config.json.",
            "Choose another drafter, or a target that has them.",
        )
    _check_fixed_length(f"The target {target.reference!r}", layers, draft_length)


def _check_fixed_length(who: str, fixed: int, draft_length: int) -> None:
    if fixed != draft_length:
        tokens = "token" if fixed == 1 else "tokens"
        raise EngineError(
            f"{who} drafts exactly {fixed} {tokens} a step, and the pair asks for {draft_length}.",
            f"Set the draft length to {fixed}.",
        )
