"""Does vLLM route every token as transformers does? Both in fp32, over the same sequences.

    python -m examples.expert_routing.vllm_agreement --model examples/tiny_moe/work/target \\
        --vllm-python VENV/bin/python --out examples/expert_routing/results/vllm_agreement.json

vLLM answers prompts of ``mini`` and their random partners, token by token with its own cache; transformers reads prompt
and answer in one pass. Compared is the choice of experts, in order, of each token in each layer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from examples.expert_routing.study import prompts
from pytest_speedbench.engines.transformers.routing import routed_experts

EVERY = 11
"""One in so many of the 352 prompts of ``mini`` and their partners is taken; an odd number takes both kinds."""


def main() -> None:
    """Run both and count."""
    parser = argparse.ArgumentParser(prog="python -m examples.expert_routing.vllm_agreement")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--vllm-python", required=True, help="interpreter of an environment with vLLM for the CPU")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = [row for row in prompts(options.model, options.seed) if row[0] == "mini"][::EVERY]
    requests = from_vllm([row[3] for row in rows], options)
    model: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, local_files_only=True)
    choices = same = 0
    for row, request in zip(rows, requests, strict=True):
        theirs = np.concatenate([np.asarray(step) for step in request["passes"]])
        ours = routed_experts(model, row[3], request["output_ids"])
        choices += ours.shape[0] * ours.shape[1]
        same += int((theirs == ours).all(axis=-1).sum())
    arguments = ["VENV/bin/python" if part == options.vllm_python else part for part in sys.argv[1:]]
    result = {
        "command": " ".join(["python", "-m", "examples.expert_routing.vllm_agreement", *arguments]),
        "vllm": vllm_version(options.vllm_python),
        **{package: metadata.version(package) for package in ("torch", "transformers")},
        "requests": len(rows),
        "of_random_tokens": sum(row[2] for row in rows),
        "output_tokens": sum(len(request["output_ids"]) for request in requests),
        "choices": choices,
        "same_choices": same,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{same} of {choices} choices are the same")


def from_vllm(prompt_ids: list[tuple[int, ...]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Outputs and routing of vLLM, which runs in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "prompts.json", Path(folder) / "out.json"
        asked.write_text(json.dumps(prompt_ids), encoding="utf-8")
        command = [options.vllm_python, "-m", "examples.expert_routing.vllm_capture", "--model", str(options.model)]
        command += ["--prompts", str(asked), "--max-tokens", str(options.max_tokens), "--out", str(answered)]
        subprocess.run(command, check=True)
        requests: list[dict[str, Any]] = json.loads(answered.read_text(encoding="utf-8"))
    return requests


def vllm_version(python: str) -> str:
    """vLLM's version in that environment."""
    code = "import vllm; print(vllm.__version__)"
    lines = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return lines[-1]


if __name__ == "__main__":
    main()
