"""What the ``config.json`` of an EAGLE head says, whichever tool wrote it. Imports no torch.

Two layouts of EAGLE-3 heads are in use. The flat one (SpecForge, Model-Optimizer, the authors' own heads) is the config
of a Llama model with a few fields more. speculators keeps the layer's fields under ``transformer_layer_config`` and the
head's beside it. The same weights in both are the same head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.head_fields import check_rope_type, layer_window, uncomputed_fields
from pytest_speedbench.errors import EngineError

LAYER_IDS = "eagle_aux_hidden_state_layer_ids"
NORM_BEFORE_RESIDUAL = "norm_before_residual"
_FIRST_EAGLE = ("LlamaForCausalLM", "EagleLlamaForCausalLM", "LlamaForCausalLMEagle")
"""Published heads of the first EAGLE name the first, serving engines the others."""
_QWEN3 = "qwen3"
_LAYERS = ("llama", _QWEN3)
_OTHER_LAYERS = ("Deepseek", "DeepSeek", "Kimi", "MistralLarge3")
"""Parts of the names of EAGLE-3 architectures whose layer is neither Llama's nor Qwen 3's."""
_NESTED_ELSEWHERE = ("fc_norm", "norm_output", "attention_bias", "mlp_bias")
"""Fields that engines read at the top of the config only."""
_MODELOPT: Mapping[str, tuple[object, ...]] = {
    "use_aux_hidden_state": (True,),
    "use_input_layernorm_in_first_layer": (True,),
    "use_last_layernorm": (True,),
    "use_mtp_layernorm": (False,),
    "next_layer_regular": (True,),
    "parallel_draft_step": (0, 1),
}
"""Fields of ``eagle_config``, most of them Model-Optimizer's, with the values that are computed."""


@dataclass(frozen=True, slots=True)
class Eagle3Config:
    """The computation of a head.

    Attributes:
        layer: the fields of its decoder layer, as transformers' config of such a layer takes them.
        qk_norm: whether queries and keys are normed per head, as in Qwen 3's layer.
        window: tokens that the layer attends to, itself included; ``None`` for all.
        norm_before_residual: whether the residual stream starts from the normed hidden state.
        norm_before_fc: whether the target's states are normed together before the first projection.
        fc_norm: whether they are normed one by one before it.
        norm_output: whether the state that goes into the next draft is the one after the final norm.
    """

    layer: Mapping[str, Any]
    qk_norm: bool
    window: int | None
    norm_before_residual: bool
    norm_before_fc: bool
    fc_norm: bool
    norm_output: bool


def read_eagle3_config(head: Checkpoint) -> Eagle3Config:
    """Read a head's config.

    Raises:
        EngineError: it asks for something that is not computed here, or leaves open what engines read differently.
    """
    check_rope_type(head)
    layer, eagle = head.text_config, head.config.get("eagle_config") or {}
    refused = _named_layers(head) + uncomputed_fields({**head.config, **layer}) + _uncomputed_flags(head, eagle)
    window = None
    try:
        window = layer_window(layer)
    except ValueError as error:
        refused.append(str(error))
    if refused:
        raise EngineError(
            f"The head {head.reference!r} is a variant that the transformers engine and replay do not compute: "
            f"{', '.join(refused)}.",
            "Measure it on an engine that supports it.",
        )
    if lacks_norm_before_residual(head):
        raise EngineError(
            f"The config.json of the head {head.reference!r} does not give {NORM_BEFORE_RESIDUAL}, which vLLM then "
            "takes for true and speculators, whose layout it is, for false.",
            "Write what the head was trained with into its config.json.",
        )
    return Eagle3Config(
        layer=layer,
        qk_norm=_is_qwen3(head),
        window=window,
        norm_before_residual=bool(head.config.get(NORM_BEFORE_RESIDUAL)),
        norm_before_fc=bool(eagle.get("norm_before_fc", head.config.get("norm_before_fc"))),
        fc_norm=bool(head.config.get("fc_norm")),
        norm_output=bool(head.config.get("norm_output")),
    )


def check_eagle_config(head: Checkpoint) -> None:
    """A head of the first EAGLE is one that is computed, as far as its config tells.

    Raises:
        EngineError: it asks for something that is not.
    """
    check_rope_type(head)
    refused = uncomputed_fields({**head.config, **head.text_config})
    if head.speculators_type is not None:
        refused.append(f"its speculators_model_type is {head.speculators_type}")
    try:
        if window := layer_window(head.text_config):
            refused.append(f"its sliding_window is {window}")
    except ValueError as error:
        refused.append(str(error))
    refused += [f"its architecture is {name}" for name in head.architectures if name not in _FIRST_EAGLE]
    if refused:
        raise EngineError(
            f"The drafter {head.reference!r} is no EAGLE head that can be replayed: {', '.join(refused)}.",
            "Decode with it; replayed are heads of one Llama layer.",
        )


def lacks_norm_before_residual(head: Checkpoint) -> bool:
    """Whether a head in speculators' layout leaves out the field whose default is another to vLLM than to its class."""
    return head.speculators_type == "eagle3" and head.config.get(NORM_BEFORE_RESIDUAL) is None


def stated_layer_ids(head: Checkpoint) -> tuple[int, ...] | None:
    """The layers of the target that the head's config names; ``None`` if it names none.

    Raises:
        EngineError: it names two different lists.
    """
    nested, top = (head.config.get("eagle_config") or {}).get(LAYER_IDS), head.config.get(LAYER_IDS)
    if nested and top and list(nested) != list(top):
        raise EngineError(
            f"The head {head.reference!r} gives its {LAYER_IDS} twice: {top} at the top of its config.json and "
            f"{nested} in eagle_config.",
            "Leave one of them out.",
        )
    ids = nested or top
    return tuple(ids) if ids else None


def _is_qwen3(head: Checkpoint) -> bool:
    if head.speculators_type is not None:
        return head.text_config.get("model_type") == _QWEN3
    # The flat layout says it by the architecture; Model-Optimizer and SpecForge write Llama layers for every target.
    return any(name.removeprefix("Eagle3") == "Qwen3ForCausalLM" for name in head.architectures)


def _named_layers(head: Checkpoint) -> list[str]:
    if head.speculators_type is not None:
        kind = head.text_config.get("model_type")
        return [] if kind in _LAYERS else [f"the model_type in its transformer_layer_config is {kind}"]
    return [f"its architecture is {name}" for name in head.architectures if any(part in name for part in _OTHER_LAYERS)]


def _uncomputed_flags(head: Checkpoint, eagle: Mapping[str, Any]) -> list[str]:
    refused = [f"eagle_config.{name} is set" for name in _NESTED_ELSEWHERE if eagle.get(name)]
    refused += [
        f"eagle_config.{name} is {str(eagle[name]).lower()}"
        for name, computed in _MODELOPT.items()
        if eagle.get(name) is not None and eagle[name] not in computed
    ]
    if head.config.get("norm_output") and head.speculators_type is None:
        # Engines feed the normed state back; SpecForge, which writes this layout, means that logits come from it.
        refused.append("norm_output is set, which SpecForge and engines understand differently")
    if head.config.get("fc_norm") and (eagle.get("norm_before_fc") or head.config.get("norm_before_fc")):
        refused.append("fc_norm and norm_before_fc are both set")
    return refused
