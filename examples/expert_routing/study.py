"""How many experts a mixture-of-experts target loads for real prompts and for random tokens of the same lengths.

    python -m examples.expert_routing.study --model examples/tiny_moe/work/target --out examples/expert_routing/results

Every prompt of two bundled splits is answered greedily, and so is a partner of equal length whose user message is
uniformly random tokens. Batches of many sizes are then drawn from the recorded routing, see
``pytest_speedbench.metrics.routing``: decode batches of one token a sequence, verify batches of K + 1, and prefill
chunks of consecutive prompt tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from examples.tiny_family.tokenizer import SPECIAL_TOKENS
from pytest_speedbench.engines.transformers.routing import expert_count, routed_experts
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.metrics.routing import BatchShape, Routing, load_imbalance, normalized_entropy
from pytest_speedbench.splits import load_split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Ids = NDArray[np.uint16]

SPLITS = ("mini", "mini_throughput_256")
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
DRAFT_LENGTHS = (1, 3, 7)
GENERATED_AT_ONCE = 16


@dataclass(frozen=True)
class Answered:
    """One prompt with its greedy answer and the routing of all its tokens but the last."""

    split: str
    category: str
    random: bool
    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    routed: Ids

    @property
    def prefill(self) -> Ids:
        """Rows of the prompt's tokens."""
        return self.routed[: len(self.prompt_ids)]

    @property
    def decode(self) -> Ids:
        """Rows of the output's tokens that were read to make the next one."""
        return self.routed[len(self.prompt_ids) :]


def main() -> None:
    """Generate, read the routing, draw batches, write JSON and chart."""
    parser = argparse.ArgumentParser(prog="python -m examples.expert_routing.study")
    parser.add_argument("--model", type=Path, required=True, help="folder of a model with the family's tokenizer")
    parser.add_argument("--out", type=Path, required=True, help="folder for expert_routing.json and .png")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--batches", type=int, default=500, help="batches drawn for every figure")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began_s = time.perf_counter()
    model: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, local_files_only=True)
    answered = list(answers(model, prompts(options.model, options.seed), options.max_tokens))
    experts = expert_count(model)
    groups = {name: group_figures(members, experts, options) for name, members in grouped(answered).items()}
    result = {
        "command": " ".join(["python", "-m", "examples.expert_routing.study", *sys.argv[1:]]),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in ("torch", "transformers", "numpy")},
        "model_sha256": hashlib.sha256((options.model / "model.safetensors").read_bytes()).hexdigest(),
        "splits_sha256": {name: load_split(name).sha256 for name in SPLITS},
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        "batches": options.batches,
        "experts": experts,
        "layers": answered[0].routed.shape[1],
        "top_k": answered[0].routed.shape[2],
        "wall_s": round(time.perf_counter() - began_s, 1),
        "groups": groups,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "expert_routing.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    from examples.expert_routing.chart import draw

    draw(result, options.out / "expert_routing.png")


def prompts(model_folder: Path, seed: int) -> list[tuple[str, str, bool, tuple[int, ...]]]:
    """Split, category, whether random, and ids; random partners keep the chat template's tokens around the message."""
    encoder = TemplateEncoder.load(model_folder)
    vocab_size = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    rng = np.random.default_rng(seed)
    head, tail = template_ends(encoder)
    rows = []
    for name in SPLITS:
        for prompt in load_split(name).prompts:
            ids = encoder.encode([{"role": "user", "content": prompt.turns[0]}])
            message = rng.integers(len(SPECIAL_TOKENS), vocab_size, len(ids) - len(head) - len(tail)).tolist()
            rows.append((name, prompt.category, False, ids))
            rows.append((name, prompt.category, True, (*head, *message, *tail)))
    return rows


def template_ends(encoder: TemplateEncoder) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that the chat template puts before and after a user's message, from two messages that share none."""
    first, second = (encoder.encode([{"role": "user", "content": text}]) for text in ("apple", "42"))
    same = [a == b for a, b in zip(first, second, strict=False)]
    before = same.index(False)
    after = next(n for n, (a, b) in enumerate(zip(first[::-1], second[::-1], strict=False)) if a != b)
    return first[:before], first[len(first) - after :]


def answers(model: Any, rows: Sequence[tuple[str, str, bool, tuple[int, ...]]], max_tokens: int) -> Iterator[Answered]:
    """Greedy answers, generated for prompts of similar lengths at once; the routing is read one sequence at a time."""
    by_length = sorted(rows, key=lambda row: len(row[3]))
    eos, pad = model.config.eos_token_id, model.config.pad_token_id
    for start in range(0, len(by_length), GENERATED_AT_ONCE):
        together = by_length[start : start + GENERATED_AT_ONCE]
        width = max(len(row[3]) for row in together)
        ids = torch.tensor([[pad] * (width - len(row[3])) + list(row[3]) for row in together])
        seen = torch.tensor([[0] * (width - len(row[3])) + [1] * len(row[3]) for row in together])
        generated = model.generate(
            ids, attention_mask=seen, max_new_tokens=max_tokens, do_sample=False, eos_token_id=eos, pad_token_id=pad
        )
        for (split, category, random, prompt_ids), output in zip(together, generated[:, width:].tolist(), strict=True):
            output_ids = tuple(output[: output.index(eos) + 1] if eos in output else output)
            routed = routed_experts(model, prompt_ids, output_ids)
            yield Answered(split, category, random, prompt_ids, output_ids, routed)


def grouped(answered: Sequence[Answered]) -> dict[str, list[Answered]]:
    """Real and random prompts of each split, and the real ones by category."""
    groups: dict[str, list[Answered]] = {}
    for one in answered:
        groups.setdefault(f"{one.split}, {'random tokens' if one.random else 'real'}", []).append(one)
        if not one.random:
            groups.setdefault(f"{one.split}, {one.category}", []).append(one)
    return groups


def group_figures(members: Sequence[Answered], experts: int, options: argparse.Namespace) -> dict[str, Any]:
    """Unique experts at every batch size this many prompts allow, and how evenly experts are used."""
    decode = Routing([one.decode for one in members], experts)
    prefill = Routing([one.prefill for one in members], experts)
    decode_shapes = [BatchShape(size) for size in SIZES]
    verify_shapes = [BatchShape(size, length + 1) for length in DRAFT_LENGTHS for size in SIZES]
    chunk_shapes = [BatchShape(1, size) for size in SIZES]
    return {
        "prompts": len(members),
        "mean_prompt_tokens": float(np.mean([len(one.prompt_ids) for one in members])),
        "mean_output_tokens": float(np.mean([len(one.output_ids) for one in members])),
        "distinct_output_tokens": len({token for one in members for token in one.output_ids}),
        "distinct_outputs": len({one.output_ids for one in members}),
        "decode": {**evenness(decode), "batches": unique(decode, decode_shapes, options)},
        "verify": {"batches": unique(decode, verify_shapes, options)},
        "prefill": {**evenness(prefill), "batches": unique(prefill, chunk_shapes, options)},
    }


def evenness(routing: Routing) -> dict[str, list[float]]:
    """Per layer."""
    load = routing.load()
    return {
        "normalized_entropy": normalized_entropy(load).round(4).tolist(),
        "load_imbalance": load_imbalance(load).round(3).tolist(),
    }


def unique(routing: Routing, shapes: Sequence[BatchShape], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Figures of the shapes for which there are enough requests: at most half of them are in a batch together."""
    rows = []
    for shape in shapes:
        long_enough = int((routing.lengths_tokens >= shape.tokens_each).sum())
        if long_enough < 2 * shape.sequences or long_enough < 8:
            continue
        found = routing.unique_experts(shape, options.batches, options.seed)
        rows.append(
            {
                "sequences": shape.sequences,
                "tokens_each": shape.tokens_each,
                "per_layer": [round(value, 3) for value in found.per_layer],
                "mean": round(found.mean, 3),
                "standard_error": None if found.standard_error is None else round(found.standard_error, 4),
                "uniform": round(found.uniform, 3),
                "independent": round(found.independent, 3),
            }
        )
    return rows


if __name__ == "__main__":
    main()
