"""What can be said about a pair before SGLang is started."""

from __future__ import annotations

from pytest_speedbench.config import DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import BUNDLED_PREFIX, open_checkpoint
from pytest_speedbench.engines.fit import check_models
from pytest_speedbench.engines.lossy import refuse_arguments, refuse_environment
from pytest_speedbench.engines.sglang.arguments import check_arguments
from pytest_speedbench.engines.sglang.head_fields import ALSO, DRAFT_WINDOW, check_head
from pytest_speedbench.engines.sglang.heads import layers_read
from pytest_speedbench.engines.sglang.lossy import SETTINGS
from pytest_speedbench.engines.sglang.versions import SGLANG


def check_pair(pair: Pair) -> None:
    """Check SGLang's version, the arguments, and that the checkpoints exist and fit each other.

    A hub id that is not in the local cache is not looked at: it is fetched when the engine starts.

    Raises:
        EngineError: with the way out.
    """
    SGLANG.version(pair.python)
    check_arguments(pair)
    refuse_arguments("SGLang", SETTINGS, pair.engine_args)
    refuse_environment("SGLang", SETTINGS)
    check_drafter(pair)


def check_drafter(pair: Pair) -> None:
    """Check that the checkpoints exist and fit each other, and that SGLang computes all of the drafter.

    Raises:
        EngineError: with the way out.
    """
    check_models(pair, also=ALSO)
    if pair.drafter is None or pair.drafter.model is None or pair.drafter.method is not DrafterMethod.EAGLE3:
        return
    target = open_checkpoint(pair.model, download=False)
    drafter = open_checkpoint(pair.drafter.model, download=False)
    if drafter is not None:
        check_head(drafter, pair.engine_args.get(DRAFT_WINDOW))
    if target is not None and drafter is not None and not drafter.reference.startswith(BUNDLED_PREFIX):
        layers_read(drafter, target)
