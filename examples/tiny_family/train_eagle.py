"""``python -m examples.tiny_family.train_eagle --out DIR`` trains an EAGLE head for the bundled target.

EAGLE (arXiv:2401.15077) in its first form: one decoder layer without an input norm reads the embedding of the next
token and the target's final state side by side, and its own state is what the target's output head reads and what is
fed forward. It is made for the tests of replay and is no part of the package.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from examples.tiny_family import tokenizer as chat_tokenizer
from examples.tiny_family.answers import answer_prompts
from examples.tiny_family.corpus import training_conversations
from examples.tiny_family.data import EncodedCorpus, batches, encode
from examples.tiny_family.export import load_llama
from examples.tiny_family.model import (
    MAX_POSITIONS,
    RMS_NORM_EPS,
    ROPE_THETA,
    Attention,
    FeedForward,
    Llama,
    LlamaShape,
    RMSNorm,
    rotary_tables,
)
from examples.tiny_family.recipe import DRAFT_LENGTH, FULL, SHORT_BATCH, TARGET_SHAPE, VOCAB_SIZE, Schedule
from examples.tiny_family.train_drafters import LATER_STEP_DISCOUNT, soft_cross_entropy
from examples.tiny_family.training import Training, compiled
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

CONVERSATIONS = 3_000
ANSWERED = replace(FULL, generated_prompts=1024)
EAGLE_SHAPE = LlamaShape(VOCAB_SIZE, 256, 192, layers=1, heads=4, kv_heads=2, head_dim=32)
SCHEDULE = Schedule(steps=240, muon_rate=1e-2, adam_rate=3e-3, warmup_steps=10, decay_share=0.7)


class EagleLayer(nn.Module):
    """The head's decoder layer, whose attention reads the fused state as it is."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.self_attn = Attention(shape, shape.hidden_size)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size)
        self.mlp = FeedForward(shape)


class EagleHead(nn.Module):
    """Parameter names are those of an EAGLE checkpoint; embedding and output head are the target's."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.fc = nn.Linear(2 * shape.hidden_size, shape.hidden_size, bias=False)
        self.layers = nn.ModuleList([EagleLayer(shape)])

    @property
    def layer(self) -> EagleLayer:
        """The one layer, typed."""
        return cast("EagleLayer", self.layers[0])

    def draft_states(self, state: Tensor, embeddings: Tensor) -> Iterator[Tensor]:
        """States of draft steps 0..K-1, each [batch, slots, hidden], with the true tokens as drafts.

        ``state`` holds the target's final states of tokens 0, 1, …; ``embeddings`` [batch, slots + K - 1, hidden] are
        those of tokens 1, 2, …. Step j at slot i sees token i + 1 + j and predicts token i + 2 + j; it attends to the
        slots up to i of step 0 and to its own earlier steps.
        """
        slots, layer = state.shape[1], self.layer
        cos, sin = rotary_tables(slots + DRAFT_LENGTH - 1, self.shape.head_dim)
        future = torch.ones(slots, slots, dtype=torch.bool).triu(1)
        own: list[tuple[Tensor, Tensor]] = []
        for step in range(DRAFT_LENGTH):
            seen = slice(step, step + slots)
            fused = self.fc(torch.cat((embeddings[:, seen], state), dim=-1))
            queries, keys, values = layer.self_attn.project(fused, cos[seen], sin[seen])
            own.append((keys, values))
            scores = (queries @ own[0][0].transpose(-1, -2)).masked_fill(future, float("-inf"))
            own_scores = [(queries * own_keys).sum(-1, keepdim=True) for own_keys, _ in own[1:]]
            scale = self.shape.head_dim**-0.5
            shares = (torch.cat([scores, *own_scores], dim=-1).float() * scale).softmax(-1).to(values.dtype)
            attended = shares[..., :slots] @ own[0][1]
            for index, (_, own_values) in enumerate(own[1:]):
                attended = attended + shares[..., slots + index, None] * own_values
            state = fused + layer.self_attn.merge(attended)
            state = state + layer.mlp(layer.post_attention_layernorm(state))
            yield state


def main() -> None:
    """Make the text, train, export."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_family.train_eagle", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished head")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = BUNDLED_FOLDER / "target"
    target = load_llama(TARGET_SHAPE, folder)
    corpus = encode(chat_tokenizer.load(folder), training_conversations(options.seed, CONVERSATIONS))
    answers = answer_prompts(target, corpus, ANSWERED, options.seed)
    text = EncodedCorpus.join([*[answers] * FULL.answer_repeats, corpus])
    export(train_eagle(target, text, options.seed, options.out / "eagle-training"), options.out / "eagle")


def train_eagle(target: Llama, text: EncodedCorpus, seed: int, folder: Path) -> EagleHead:
    """Train the head with its own states fed forward for K steps, as it will be used."""
    torch.manual_seed(seed + 4)
    head = EagleHead(EAGLE_SHAPE)
    for parameter in head.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.02)
    target.requires_grad_(False)

    def loss(ids: Tensor, weights: Tensor) -> Tensor:
        with torch.no_grad():
            streams = target.model(ids)
            states = target.model.norm(streams[-1])
            teacher = target.logits(states)
        slots = weights.shape[1] - DRAFT_LENGTH
        # The vocabulary-wide losses cost most of the time, and drafts are needed in answers: take a quarter, in these.
        chosen = weights[:, 1 : 1 + slots].flatten().topk(ids.shape[0] * slots // 4).indices
        total = torch.zeros(())
        for step, state in enumerate(head.draft_states(states[:, :slots], streams[0][:, 1:])):
            shifted = slice(step + 1, step + 1 + slots)
            kept_teacher, kept_weights = (x[:, shifted].flatten(0, 1)[chosen] for x in (teacher, weights))
            step_loss = soft_cross_entropy(target.logits(state.flatten(0, 1)[chosen]), kept_teacher, kept_weights)
            total = total + step_loss * LATER_STEP_DISCOUNT**step
        return total

    # One batch shape is one compilation; conversations of more than 512 tokens, one in a hundred, are left out.
    short = (batch for batch in batches(text, seed + 4) if len(batch.ids) == SHORT_BATCH.rows)
    Training("eagle", head, compiled(loss), short, SCHEDULE, folder).run()
    return head


def export(head: EagleHead, folder: Path) -> None:
    """The head in bf16, with the config that serving engines read."""
    shape = head.shape
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": 1,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": RMS_NORM_EPS,
        "rope_theta": ROPE_THETA,
        "attention_bias": False,
        "mlp_bias": False,
        "bias": False,
        "tie_word_embeddings": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
