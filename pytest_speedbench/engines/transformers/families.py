"""What transformers computes of a checkpoint, as far as its files tell. Imports no torch.

transformers itself says the same of the class it loads (:mod:`.loading`); what stands here lets a pair be refused
before anything is imported. A test compares the two.
"""

from __future__ import annotations

from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.errors import EngineError

KEEPS_STATE = frozenset(
    {
        "bailing_hybrid",
        "bamba",
        "deepseek_v4",
        "falcon_h1",
        "falcon_mamba",
        "granitemoehybrid",
        "jamba",
        "kimi_linear",
        "mamba",
        "mamba2",
        "minimax",
        "nemotron_h",
        "olmo_hybrid",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_5_text",
        "qwen3_next",
        "qwen4_exp",
        "qwen4_exp_text",
        "recurrent_gemma",
        "reformer",
        "rwkv",
        "xlnet",
        "xlstm",
        "zamba",
        "zamba2",
        "zaya",
    }
)
"""Model types whose layers carry a state from token to token, which transformers cannot take back once it has read a
draft that is rejected."""

TEXT_OF_MULTIMODAL = frozenset(
    {
        "dots3_note",
        "emu3",
        "fuyu",
        "gemma3",
        "gemma3n",
        "gemma4",
        "gemma4_unified",
        "git",
        "got_ocr2",
        "llama4",
        "mllama",
        "moss_transcribe_diarize",
        "phi4_multimodal",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen4_exp",
    }
)
"""Model types of multimodal checkpoints whose language model transformers loads by itself."""

QUANTIZED = frozenset(
    {
        "aqlm",
        "auto-round",
        "awq",
        "bitnet",
        "bitsandbytes",
        "bitsandbytes_4bit",
        "bitsandbytes_8bit",
        "compressed-tensors",
        "eetq",
        "fbgemm_fp8",
        "fouroversix",
        "fp8",
        "fp_quant",
        "gemma",
        "gguf",
        "gptq",
        "higgs",
        "hqq",
        "metal",
        "mxfp4",
        "mxfp8",
        "nvfp4",
        "quanto",
        "quark",
        "sinq",
        "spqr",
        "torchao",
        "vptq",
    }
)
"""Ways of quantizing that transformers knows; of any other it ignores the scales and says so in one log line."""

_SCALES = ("weight_scale", "weight_scale_inv", "weight_scale_2", "input_scale", "qweight", "weight_packed")
_OTHERS = "Measure it with vllm, sglang or a server that runs it"


def check_computed(checkpoint: Checkpoint, role: str, *, drafts: bool) -> None:
    """Refuse what transformers would not compute, or would compute wrongly.

    Args:
        checkpoint: a language model.
        role: names it in the message, "target" or "draft model".
        drafts: whether it reads drafts that may be rejected, as the target of a drafter and a draft model do.

    Raises:
        EngineError: in one sentence, with the engines that can.
    """
    who, kind = f"The {role} {checkpoint.reference!r}", checkpoint.config.get("model_type")
    conditional = any(name.endswith("ForConditionalGeneration") for name in checkpoint.architectures)
    if conditional and kind is not None and kind not in TEXT_OF_MULTIMODAL:
        raise EngineError(
            f"{who} is a {kind} model, of which transformers loads no language model by itself.",
            f"{_OTHERS}, or give a checkpoint of its language model alone.",
        )
    if drafts and not KEEPS_STATE.isdisjoint({kind, checkpoint.text_config.get("model_type")}):
        raise keeps_state(who, f"a {kind} model")
    _check_quantization(checkpoint, who)


def keeps_state(who: str, kind: str) -> EngineError:
    """What is said of a model that cannot take back a rejected draft."""
    return EngineError(
        f"{who} is {kind}, whose layers carry a state that transformers cannot take back when a draft is rejected.",
        f"{_OTHERS}; without a drafter transformers runs it, and as a draft model it can be replayed.",
    )


def _check_quantization(checkpoint: Checkpoint, who: str) -> None:
    stated = checkpoint.config.get("quantization_config") or checkpoint.text_config.get("quantization_config")
    method = stated.get("quant_method") if isinstance(stated, dict) else None
    if method is not None and method not in QUANTIZED:
        raise EngineError(
            f"{who} is quantized by {method!r}, whose scales transformers ignores.",
            f"{_OTHERS}, or give the checkpoint before quantization.",
        )
    if isinstance(stated, dict):
        return
    scale = next((name for name in checkpoint.tensors or () if name.endswith(_SCALES)), None)
    if scale is not None:
        raise EngineError(
            f"{who} has quantized weights ({scale}), and its config.json has no quantization_config, so transformers "
            "would ignore their scales.",
            f"{_OTHERS}, or give the checkpoint before quantization.",
        )
