"""A pair's drafter in the words of TensorRT-LLM's decoding configs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.config import Drafter, DrafterMethod, Pair
from pytest_speedbench.engines.checkpoints import BUNDLED_PREFIX, Checkpoint, open_checkpoint
from pytest_speedbench.engines.fit import check_kind
from pytest_speedbench.engines.installed import dotted
from pytest_speedbench.engines.trtllm.versions import CHOOSES_LAYERS_SINCE, Version
from pytest_speedbench.errors import EngineError

PYTORCH = "pytorch"
TENSORRT = "tensorrt"
DEFAULT_NGRAM_TOKENS = 3
"""n-grams of three tokens down to one, as the other engines look them up."""

DRAFT_MODEL_FIELD = "speculative_model_dir"
"""Where the drafter's folder goes. Its name in 1.0 and 1.1; 1.2, which says ``speculative_model``, keeps taking it."""
_LAYERS = "eagle3_layers_to_capture"
_CHOICES = {DrafterMethod.MEDUSA: "medusa_choices", DrafterMethod.EAGLE: "eagle_choices"}
_DYNAMIC, _BRANCHES, _TREE_SIZE = "use_dynamic_tree", "dynamic_tree_max_topK", "max_total_draft_tokens"
_OURS = {
    "decoding_type": "the pair's drafter",
    "speculative_model": "the pair's drafter",
    DRAFT_MODEL_FIELD: "the pair's drafter",
    "max_draft_len": "the pair's draft length",
    "num_nextn_predict_layers": "the pair's draft length",
    "num_medusa_heads": "the pair's draft length",
    "num_eagle_layers": "the pair's draft length",
}


@dataclass(frozen=True, slots=True)
class DecodingConfig:
    """What TensorRT-LLM calls a drafter.

    Attributes:
        class_names: its config's class in ``tensorrt_llm.llmapi``; the first that the installed version has.
        decoding_type: the same in a server's YAML file.
        backend: the backend of TensorRT-LLM that has it.
    """

    class_names: tuple[str, ...]
    decoding_type: str
    backend: str = PYTORCH


CONFIGS = {
    DrafterMethod.DRAFT_MODEL: DecodingConfig(("DraftTargetDecodingConfig",), "DraftTarget"),
    # 1.2 has a name for EAGLE-3 alone; before it, EAGLE-3 was what Eagle meant on the PyTorch backend.
    DrafterMethod.EAGLE3: DecodingConfig(("Eagle3DecodingConfig", "EagleDecodingConfig"), "Eagle"),
    DrafterMethod.MTP: DecodingConfig(("MTPDecodingConfig",), "MTP"),
    DrafterMethod.NGRAM: DecodingConfig(("NGramDecodingConfig",), "NGram"),
    DrafterMethod.EAGLE: DecodingConfig(("EagleDecodingConfig",), "Eagle", TENSORRT),
    DrafterMethod.MEDUSA: DecodingConfig(("MedusaDecodingConfig",), "Medusa", TENSORRT),
}
"""TensorRT-LLM's names of the drafters it has."""


def backend(pair: Pair) -> str:
    """The backend that the pair asks for; TensorRT-LLM's default is PyTorch."""
    asked = str(pair.engine_args.get("backend", PYTORCH))
    return TENSORRT if asked == "trt" else asked


def extra(pair: Pair) -> Mapping[str, Any]:
    """What the user adds to the decoding config.

    Raises:
        EngineError: it is no table.
    """
    given = pair.engine_args.get("speculative_config") or {}
    if not isinstance(given, Mapping):
        raise EngineError(
            f"The engine argument speculative_config is {given!r}.",
            "Give a table, or leave it out: the drafter says it.",
        )
    return given


def check_speculation(pair: Pair) -> None:
    """Refuse a drafter that TensorRT-LLM lacks, and settings that say again, or otherwise, what the pair says.

    Raises:
        EngineError: with the way out.
    """
    given = extra(pair)
    if pair.drafter is None:
        if given:
            raise EngineError("There is a speculative_config but no drafter.", "Name a drafter for the pair.")
        return
    for name, instead in _OURS.items():
        if name in given:
            raise EngineError(
                f"The engine argument speculative_config.{name} is set by {instead}.", f"Change {instead} instead."
            )
    _check_method(pair, pair.drafter)
    tree_tokens(pair)


def tree_tokens(pair: Pair) -> int | None:
    """The most draft tokens that one step's tree may hold, its root left out; ``None`` for a chain.

    Raises:
        EngineError: the tree has another depth than the pair's draft length, or no size.
    """
    if pair.drafter is None:
        return None
    given, depth = extra(pair), pair.drafter.draft_length
    name = next((name for name in ("eagle_choices", "medusa_choices") if given.get(name) is not None), None)
    if name is not None:
        return _tree_of_choices(name, given[name], depth)
    if not given.get(_DYNAMIC):
        return None
    size = given.get(_TREE_SIZE)
    if not isinstance(size, int) or size < depth or _BRANCHES not in given:
        raise EngineError(
            f"A dynamic draft tree of depth {depth} has the {_TREE_SIZE} {size!r} and the {_BRANCHES} "
            f"{given.get(_BRANCHES)!r}.",
            f"Set both in speculative_config; {_TREE_SIZE} is the tree's tokens without its root.",
        )
    return size


def varies(pair: Pair) -> bool:
    """Whether steps may propose different numbers of tokens."""
    given = extra(pair)
    return given.get("draft_len_schedule") is not None or bool(given.get(_DYNAMIC))


def one_model(pair: Pair) -> bool:
    """Whether the drafter is built into the target's own model, where decoding may be greedy only."""
    if pair.drafter is None or backend(pair) != PYTORCH:
        return False
    switch = {DrafterMethod.EAGLE3: "eagle3_one_model", DrafterMethod.MTP: "mtp_eagle_one_model"}
    name = switch.get(pair.drafter.method)
    return name is not None and extra(pair).get(name) is not False


def decoding_fields(pair: Pair, version: Version) -> dict[str, Any]:
    """The decoding config's fields: the user's own win, except what the pair itself says.

    Raises:
        EngineError: a model does not exist, or arguments contradict the pair.
        ValueError: the pair has no drafter.
    """
    if pair.drafter is None:
        raise ValueError("a pair without a drafter does not speculate")
    check_speculation(pair)
    method, length = pair.drafter.method, pair.drafter.draft_length
    fields: dict[str, Any] = {}
    if method is DrafterMethod.NGRAM:
        # A pool that all requests share would let a prompt's acceptance depend on what was asked before it.
        fields = {"max_matching_ngram_size": DEFAULT_NGRAM_TOKENS, "is_public_pool": False}
    elif method in _CHOICES:
        fields = {_CHOICES[method]: [[0] * depth for depth in range(1, length + 1)]}
    fields.update(extra(pair))
    if method is DrafterMethod.MTP:
        fields["num_nextn_predict_layers"] = length
    else:
        fields["max_draft_len"] = tree_tokens(pair) or length if method in _CHOICES else length
    if method is DrafterMethod.MEDUSA:
        fields["num_medusa_heads"] = length
    elif method is DrafterMethod.EAGLE:
        fields["num_eagle_layers"] = length
    if pair.drafter.model is not None:
        head = open_checkpoint(pair.drafter.model, download=True)
        # A hub id was perhaps fetched only now.
        check_kind(head, method)
        fields[DRAFT_MODEL_FIELD] = str(head.folder)
        if method is DrafterMethod.EAGLE3:
            fields.update(_layers(head, fields, version))
    return fields


def _check_method(pair: Pair, drafter: Drafter) -> None:
    config = CONFIGS.get(drafter.method)
    if config is None:
        raise EngineError(
            f"TensorRT-LLM has no {drafter.method.value} drafter.",
            f"Choose one of: {', '.join(sorted(method.value for method in CONFIGS))}.",
        )
    if backend(pair) != config.backend:
        hint = " For an EAGLE-3 head write eagle3:MODEL." if drafter.method is DrafterMethod.EAGLE else ""
        raise EngineError(
            f"TensorRT-LLM drafts with {drafter.method.value} on its backend {config.backend} only, and the pair's is "
            f"{backend(pair)}.",
            f"Set the engine argument backend to {config.backend}.{hint}",
        )


def _tree_of_choices(name: str, choices: Any, depth: int) -> int | None:
    try:
        paths = {tuple(int(child) for child in path) for path in _listed(choices)}
    except (TypeError, ValueError, SyntaxError):
        paths = set()
    if not paths:
        raise EngineError(f"The {name} are {choices!r}.", "Give a list of paths such as [[0], [1], [0, 0]].")
    deepest = max(map(len, paths))
    if deepest != depth:
        raise EngineError(
            f"The tree in {name} is {deepest} deep, and the pair's draft length is {depth}.",
            f"Set the draft length to {deepest}, or change the tree.",
        )
    return len(paths) if len(paths) > depth else None


def _listed(choices: Any) -> Any:
    return ast.literal_eval(choices) if isinstance(choices, str) else choices


def _layers(head: Checkpoint, fields: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """The layers that a bundled head reads; of other heads only the user can know how their ids are counted.

    A bundled head's id k is the stream after k layers, TensorRT-LLM's is the output of the layer with the index k.
    """
    ids = (head.config.get("eagle_config") or {}).get("eagle_aux_hidden_state_layer_ids")
    if not head.reference.startswith(BUNDLED_PREFIX) or ids is None or _LAYERS in fields:
        return {}
    if version < CHOOSES_LAYERS_SINCE:
        raise EngineError(
            f"TensorRT-LLM {dotted(version)} cannot be told which layers the head {head.reference!r} reads.",
            f"Use version {dotted(CHOOSES_LAYERS_SINCE)} or later for it.",
        )
    return {_LAYERS: [layer - 1 for layer in ids]}
