"""Tiny random models of the families that transformers has: one of each, a second or less to write and to load.

Their text means nothing. Windows and chunks are shorter than a prompt with its output, so that a cache which is cut or
rolled back wrongly changes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from pytest_speedbench.engines.transformers.loading import without_progress_bars

hf: Any = transformers  # its configs take more than their signatures say
VOCAB, CONTEXT, WINDOW = 160, 256, 12
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "tie_word_embeddings": False,
    "initializer_range": 0.25,
}
NO_HEAD_DIM = {name: value for name, value in SIZES.items() if name != "head_dim"}
MLA: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
DEEPSEEK_MOE: dict[str, Any] = {
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
DELTA_NET: dict[str, Any] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
NO_LIMIT: dict[str, Any] = {"max_position_embeddings": CONTEXT, "initializer_range": 0.25}
"""For families whose config states no context length: what a user has to add."""
VISION: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**NO_HEAD_DIM)),
    "qwen2-window": lambda: hf.Qwen2ForCausalLM(
        hf.Qwen2Config(**NO_HEAD_DIM, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)
    ),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SIZES)),
    "qwen3-window": lambda: hf.Qwen3ForCausalLM(
        hf.Qwen3Config(**SIZES, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)
    ),
    "qwen2-moe": lambda: hf.Qwen2MoeForCausalLM(
        hf.Qwen2MoeConfig(
            **NO_HEAD_DIM,
            num_experts=8,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
        )
    ),
    "qwen3-moe": lambda: hf.Qwen3MoeForCausalLM(
        hf.Qwen3MoeConfig(**SIZES, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32)
    ),
    "qwen3-next": lambda: hf.Qwen3NextForCausalLM(
        hf.Qwen3NextConfig(
            **SIZES,
            **DELTA_NET,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
            decoder_sparse_step=1,
        )
    ),
    "qwen3.5": lambda: hf.Qwen3_5ForCausalLM(hf.Qwen3_5TextConfig(**SIZES, **DELTA_NET)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SIZES, sliding_window=None)),
    "mistral-window": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SIZES, sliding_window=WINDOW)),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**SIZES, sliding_window=WINDOW, query_pre_attn_scalar=8)),
    "gemma3": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**SIZES, sliding_window=WINDOW, query_pre_attn_scalar=8, sliding_window_pattern=2)
    ),
    "gemma3-multimodal": lambda: hf.Gemma3ForConditionalGeneration(
        hf.Gemma3Config(
            text_config={**SIZES, "sliding_window": WINDOW, "query_pre_attn_scalar": 8, "sliding_window_pattern": 2},
            vision_config={**VISION, "image_size": 28, "patch_size": 14},
            initializer_range=0.25,
            tie_word_embeddings=False,
            mm_tokens_per_image=1,
            image_token_index=5,
            boi_token_index=6,
            eoi_token_index=7,
        )
    ),
    "gemma4": lambda: hf.Gemma4ForCausalLM(
        hf.Gemma4TextConfig(
            **SIZES,
            sliding_window=WINDOW,
            global_head_dim=8,
            vocab_size_per_layer_input=VOCAB,
            hidden_size_per_layer_input=0,
            num_kv_shared_layers=0,
        )
    ),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**NO_HEAD_DIM, sliding_window=None)),
    "phi3-window": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**NO_HEAD_DIM, sliding_window=WINDOW)),
    "phimoe": lambda: hf.PhimoeForCausalLM(
        hf.PhimoeConfig(**NO_HEAD_DIM, sliding_window=None, num_local_experts=4, num_experts_per_tok=2)
    ),
    "gpt-oss": lambda: hf.GptOssForCausalLM(
        hf.GptOssConfig(**SIZES, sliding_window=WINDOW, num_local_experts=4, num_experts_per_tok=2)
    ),
    "glm4": lambda: hf.Glm4ForCausalLM(hf.Glm4Config(**SIZES)),
    "glm4-moe": lambda: hf.Glm4MoeForCausalLM(hf.Glm4MoeConfig(**SIZES, **{**DEEPSEEK_MOE, "n_group": 1})),
    "deepseek-v2": lambda: hf.DeepseekV2ForCausalLM(
        hf.DeepseekV2Config(**{**NO_HEAD_DIM, **MLA}, **DEEPSEEK_MOE, topk_method="greedy")
    ),
    "deepseek-v3": lambda: hf.DeepseekV3ForCausalLM(hf.DeepseekV3Config(**{**NO_HEAD_DIM, **MLA}, **DEEPSEEK_MOE)),
    "granite": lambda: hf.GraniteForCausalLM(hf.GraniteConfig(**NO_HEAD_DIM)),
    "granite-moe": lambda: hf.GraniteMoeForCausalLM(
        hf.GraniteMoeConfig(**NO_HEAD_DIM, num_local_experts=4, num_experts_per_tok=2)
    ),
    "granite-hybrid": lambda: hf.GraniteMoeHybridForCausalLM(
        hf.GraniteMoeHybridConfig(
            **NO_HEAD_DIM,
            num_local_experts=4,
            num_experts_per_tok=2,
            shared_intermediate_size=32,
            layer_types=["mamba", "attention", "mamba", "attention"],
            mamba_n_heads=8,
            mamba_d_head=8,
            mamba_d_state=8,
            mamba_n_groups=1,
        )
    ),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**NO_HEAD_DIM)),
    "olmo3": lambda: hf.Olmo3ForCausalLM(hf.Olmo3Config(**NO_HEAD_DIM, sliding_window=WINDOW)),
    "olmoe": lambda: hf.OlmoeForCausalLM(hf.OlmoeConfig(**NO_HEAD_DIM, num_experts=8, num_experts_per_tok=2)),
    "cohere2": lambda: hf.Cohere2ForCausalLM(
        hf.Cohere2Config(**NO_HEAD_DIM, sliding_window=WINDOW, sliding_window_pattern=2)
    ),
    "lfm2": lambda: hf.Lfm2ForCausalLM(
        hf.Lfm2Config(**NO_HEAD_DIM, layer_types=["conv", "full_attention", "conv", "full_attention"])
    ),
    "mamba": lambda: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, state_size=8, **NO_LIMIT)
    ),
    "mamba2": lambda: hf.Mamba2ForCausalLM(
        hf.Mamba2Config(
            vocab_size=VOCAB,
            hidden_size=32,
            num_hidden_layers=2,
            num_heads=8,
            head_dim=8,
            state_size=8,
            n_groups=1,
            **NO_LIMIT,
        )
    ),
    "jamba": lambda: hf.JambaForCausalLM(
        hf.JambaConfig(
            **NO_HEAD_DIM,
            num_experts=4,
            num_experts_per_tok=2,
            attn_layer_period=2,
            attn_layer_offset=1,
            mamba_d_state=8,
            use_mamba_kernels=False,
        )
    ),
    "falcon-h1": lambda: hf.FalconH1ForCausalLM(
        hf.FalconH1Config(
            **{**SIZES, "num_hidden_layers": 2},
            mamba_d_ssm=32,
            mamba_n_heads=4,
            mamba_d_head=8,
            mamba_n_groups=1,
            mamba_d_state=8,
        )
    ),
    "nemotron-h": lambda: hf.NemotronHForCausalLM(
        hf.NemotronHConfig(
            **{k: v for k, v in SIZES.items() if k != "num_hidden_layers"},
            layers_block_type=["mamba", "attention", "mamba", "moe"],
            n_routed_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            moe_shared_expert_intermediate_size=32,
            mamba_num_heads=8,
            mamba_head_dim=8,
            ssm_state_size=8,
            n_groups=1,
        )
    ),
    "minimax": lambda: hf.MiniMaxForCausalLM(
        hf.MiniMaxConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2, block_size=8)
    ),
    "minimax-m2": lambda: hf.MiniMaxM2ForCausalLM(
        hf.MiniMaxM2Config(**SIZES, num_local_experts=4, num_experts_per_tok=2)
    ),
    "llama4": lambda: hf.Llama4ForCausalLM(
        hf.Llama4TextConfig(
            **SIZES,
            num_local_experts=4,
            num_experts_per_tok=1,
            intermediate_size_mlp=48,
            interleave_moe_layer_step=2,
            attention_chunk_size=WINDOW,
        )
    ),
    "llama4-multimodal": lambda: hf.Llama4ForConditionalGeneration(
        hf.Llama4Config(
            text_config={
                **SIZES,
                "num_local_experts": 4,
                "num_experts_per_tok": 1,
                "intermediate_size_mlp": 48,
                "attention_chunk_size": WINDOW,
            },
            vision_config={
                **VISION,
                "image_size": 28,
                "patch_size": 14,
                "vision_output_dim": 32,
                "projector_input_dim": 32,
                "projector_output_dim": 32,
            },
        )
    ),
    "qwen2.5-vl": lambda: hf.Qwen2_5_VLForConditionalGeneration(
        hf.Qwen2_5_VLConfig(
            text_config={
                **NO_HEAD_DIM,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
            },
            vision_config={
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "out_hidden_size": 32,
            },
            image_token_id=5,
            video_token_id=6,
            vision_start_token_id=7,
            vision_end_token_id=8,
        )
    ),
    "qwen3-vl": lambda: hf.Qwen3VLForConditionalGeneration(
        hf.Qwen3VLConfig(
            text_config={
                **SIZES,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
            },
            vision_config={
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "out_hidden_size": 32,
                "deepstack_visual_indexes": [0],
            },
            image_token_id=5,
            video_token_id=6,
            vision_start_token_id=7,
            vision_end_token_id=8,
        )
    ),
    "mistral3": lambda: hf.Mistral3ForConditionalGeneration(
        hf.Mistral3Config(
            text_config={**SIZES, "model_type": "mistral"},
            vision_config={**VISION, "model_type": "pixtral", "head_dim": 16, "image_size": 28, "patch_size": 14},
            image_token_index=5,
        )
    ),
    "qwen3.5-multimodal": lambda: hf.Qwen3_5ForConditionalGeneration(
        hf.Qwen3_5Config(
            text_config={**SIZES, **DELTA_NET},
            vision_config={
                "depth": 1,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "out_hidden_size": 32,
            },
            image_token_id=5,
            video_token_id=6,
            vision_start_token_id=7,
            vision_end_token_id=8,
        )
    ),
    "deepseek-v4": lambda: hf.DeepseekV4ForCausalLM(
        hf.DeepseekV4Config(
            vocab_size=VOCAB,
            hidden_size=64,
            moe_intermediate_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            head_dim=32,
            qk_rope_head_dim=16,
            q_lora_rank=16,
            n_routed_experts=4,
            num_experts_per_tok=2,
            num_hash_layers=2,
            max_position_embeddings=CONTEXT,
            o_lora_rank=16,
            o_groups=2,
            index_n_heads=2,
            index_head_dim=16,
            initializer_range=0.25,
        )
    ),
    "dbrx": lambda: hf.DbrxForCausalLM(
        hf.DbrxConfig(
            d_model=32,
            n_heads=4,
            n_layers=2,
            max_seq_len=CONTEXT,
            vocab_size=VOCAB,
            ffn_config={"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
            attn_config={"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
            initializer_range=0.25,
        )
    ),
    "gemma4-moe": lambda: hf.Gemma4ForCausalLM(
        hf.Gemma4TextConfig(
            **SIZES,
            sliding_window=WINDOW,
            global_head_dim=8,
            vocab_size_per_layer_input=VOCAB,
            hidden_size_per_layer_input=0,
            num_kv_shared_layers=0,
            enable_moe_block=True,
            num_experts=4,
            top_k_experts=2,
            moe_intermediate_size=32,
        )
    ),
    "qwen3.5-moe": lambda: hf.Qwen3_5MoeForCausalLM(
        hf.Qwen3_5MoeTextConfig(
            **SIZES,
            **DELTA_NET,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
        )
    ),
    "lfm2-moe": lambda: hf.Lfm2MoeForCausalLM(
        hf.Lfm2MoeConfig(
            **NO_HEAD_DIM,
            layer_types=["conv", "full_attention", "conv", "full_attention"],
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            num_dense_layers=1,
        )
    ),
    "dots1": lambda: hf.Dots1ForCausalLM(hf.Dots1Config(**SIZES, **{**DEEPSEEK_MOE, "n_group": 1})),
    "jetmoe": lambda: hf.JetMoeForCausalLM(
        hf.JetMoeConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            num_hidden_layers=2,
            num_key_value_heads=2,
            kv_channels=8,
            intermediate_size=48,
            max_position_embeddings=CONTEXT,
            num_local_experts=4,
            num_experts_per_tok=2,
            initializer_range=0.25,
        )
    ),
    "flex-olmo": lambda: hf.FlexOlmoForCausalLM(hf.FlexOlmoConfig(**NO_HEAD_DIM, num_experts=8, num_experts_per_tok=2)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, initializer_range=0.25)
    ),
    "bloom": lambda: hf.BloomForCausalLM(
        hf.BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4, **NO_LIMIT)
    ),
    "smollm3": lambda: hf.SmolLM3ForCausalLM(hf.SmolLM3Config(**NO_HEAD_DIM)),
    "ernie4.5": lambda: hf.Ernie4_5ForCausalLM(hf.Ernie4_5Config(**SIZES)),
    "ernie4.5-moe": lambda: hf.Ernie4_5_MoeForCausalLM(
        hf.Ernie4_5_MoeConfig(
            **NO_HEAD_DIM, moe_num_experts=4, moe_k=2, moe_intermediate_size=32, moe_layer_start_index=1
        )
    ),
    "seed-oss": lambda: hf.SeedOssForCausalLM(hf.SeedOssConfig(**SIZES)),
    "exaone4": lambda: hf.Exaone4ForCausalLM(
        hf.Exaone4Config(**SIZES, sliding_window=WINDOW, sliding_window_pattern=2)
    ),
    "hunyuan-moe": lambda: hf.HunYuanMoEV1ForCausalLM(hf.HunYuanMoEV1Config(**SIZES, num_experts=4, moe_topk=2)),
}


def write_family(name: str, folder: Path, noise: float = 0.0) -> Path:
    """A random model of a family in a folder; with ``noise`` one that agrees with the other often but not always."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = FAMILIES[name]().float().eval()
    generator = torch.Generator().manual_seed(1)
    if noise:
        with torch.no_grad():
            for weight in model.parameters():
                spread = float(weight.std(correction=0))
                weight.add_(torch.randn(weight.shape, generator=generator), alpha=noise * spread)
    model.generation_config = hf.GenerationConfig()
    with without_progress_bars():
        model.save_pretrained(folder)
    return folder
