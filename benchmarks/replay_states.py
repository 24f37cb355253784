"""An EAGLE-3 head judged on recorded hidden states, against the same over a live target of over 100 times its cost.

The target is the bundled one with layers put before its own that add nothing: their output projections are zero, so it
says the same tokens and holds the same hidden states, at many times the cost. Every replay has a process of its own, so
that nothing is kept from the one before; one thread.

    python benchmarks/replay_states.py --out benchmarks/results/replay_states.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from pytest_speedbench.baselines import load_baseline, outputs_path
from pytest_speedbench.baselines.prompts import prompt_entries
from pytest_speedbench.config import Drafter, Load, Pair, Sampling
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.outputs import Outputs, read_outputs, write_outputs
from pytest_speedbench.splits import load_split, select
from pytest_speedbench.states import STATES_DTYPES, StatesDtype, open_states, states_beside

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ROOT / "baselines"
ROUNDS = 3


def asked_outputs(prompts: int) -> Outputs:
    """The stored outputs of some prompts."""
    from pytest_speedbench.engines.replay.pairs import replayed
    from pytest_speedbench.measure.prompts import ids_hash
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.settings import bundled_pairs

    path = outputs_path(BASELINES, "tiny-eagle3", "mini")
    with Runner(None) as runner:
        split = select(load_split("mini"), prompts=prompts)
        run = runner.measure(replayed(bundled_pairs()["tiny-ngram"], path), split, Sampling(64), Load(16))
    asked = {turn.prompt_sha256 for conversation in run.conversations for turn in conversation.turns}
    outputs = read_outputs(path)
    return Outputs(outputs.head, tuple(row for row in outputs.rows if ids_hash(row.prompt_ids) in asked))


def deepened(folder: Path, layers: int, outputs: Outputs) -> None:
    """Write the bundled target after so many layers that add nothing, its head, and these outputs as its own."""
    import torch
    from safetensors.torch import load_file, save_file

    from pytest_speedbench.engines.identity import model_sha256

    target = folder / "target"
    shutil.copytree(BUNDLED_FOLDER / "target", target)
    config = json.loads((target / "config.json").read_bytes())
    own = config["num_hidden_layers"]
    (target / "config.json").write_text(json.dumps({**config, "num_hidden_layers": own + layers}))
    tensors = {}
    for name, tensor in load_file(target / "model.safetensors").items():
        _, found, rest = name.partition("model.layers.")
        if not found:
            tensors[name] = tensor
            continue
        number, _, part = rest.partition(".")
        tensors[f"model.layers.{int(number) + layers}.{part}"] = tensor
        if number == "0":
            adds = part in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
            for idle in range(layers):
                tensors[f"model.layers.{idle}.{part}"] = torch.zeros_like(tensor) if adds else tensor.clone()
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    head = msgspec.structs.replace(outputs.head, target_sha256=model_sha256(target))
    write_outputs(folder / "mini.outputs", Outputs(head, outputs.rows))
    shutil.copytree(BUNDLED_FOLDER / "eagle3", folder / "eagle3")
    config = json.loads((folder / "eagle3" / "config.json").read_bytes())
    ids = config["eagle_config"]["eagle_aux_hidden_state_layer_ids"]
    config["eagle_config"]["eagle_aux_hidden_state_layer_ids"] = [number + layers for number in ids]
    (folder / "eagle3" / "config.json").write_text(json.dumps(config))


def deep_pair(folder: Path) -> Pair:
    """The deepened target with the bundled head."""
    drafter = Drafter.parse(f"eagle3:{folder / 'eagle3'}", 3)
    return Pair("tiny-eagle3", "transformers", str(folder / "target"), drafter)


def recorded(folder: Path, dtype: StatesDtype) -> dict[str, Any]:
    """Record the deepened target's states; what it took."""
    from pytest_speedbench.engines.checkpoints import open_checkpoint
    from pytest_speedbench.engines.replay.options import ReplayOptions
    from pytest_speedbench.engines.replay.pairs import replayed
    from pytest_speedbench.engines.replay.states_recording import read_by, record_states

    outputs = read_outputs(folder / "mini.outputs")
    pair = deep_pair(folder)
    began_s = time.perf_counter()
    record_states(
        states_beside(folder / "mini.outputs"),
        outputs.rows,
        open_checkpoint(pair.model, download=True),
        outputs.head.target_sha256,
        ReplayOptions.parse(replayed(pair, folder / "mini.outputs").engine_args),
        lambda layers: read_by(pair.drafter, layers),
        dtype,
        lambda _done: None,
    )
    states = open_states(states_beside(folder / "mini.outputs"), record_command="")
    return {
        "dtype": dtype,
        "recording_s": time.perf_counter() - began_s,
        "tokens": states.tokens,
        "bytes_a_token": states.head.token_bytes,
        "mb": states.total_bytes / 1e6,
    }


def one(folder: Path, prompts: int, began_s: float) -> dict[str, Any]:
    """One replay in this process: its start, with the first prompt, and all other prompts."""
    from pytest_speedbench.engines.replay.pairs import replayed
    from pytest_speedbench.measure.runner import Runner

    pair = replayed(deep_pair(folder), folder / "mini.outputs")
    split = select(load_split("mini"), prompts=prompts)
    with Runner(None) as runner:
        runner.measure(pair, replace(split, prompts=split.prompts[:1]), Sampling(64), Load(1))
        start_s, asked_s, asked_cpu_s = time.time() - began_s, time.perf_counter(), time.process_time()
        run = runner.measure(pair, replace(split, prompts=split.prompts[1:]), Sampling(64), Load(16))
        run_s, run_cpu_s = time.perf_counter() - asked_s, time.process_time() - asked_cpu_s
    decoded = {entry.id: entry for entry in load_baseline(BASELINES, "tiny-eagle3", "mini", record_command="").prompts}
    entries = prompt_entries(run)
    return {
        "target": run.engine.args["target"],
        "start_s": start_s,
        "run_s": run_s,
        "run_cpu_s": run_cpu_s,
        "prompts": len(entries),
        "prompts_equal_to_decoded": sum(entry == decoded[entry.id] for entry in entries),
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """The most memory that this process had; unlike getrusage, without its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def fastest(folder: Path, prompts: int, rounds: int) -> dict[str, Any]:
    """The fastest of some rounds, each in a process of its own."""
    found: list[dict[str, Any]] = []
    for _ in range(rounds):
        command = [sys.executable, __file__, "--prompts", str(prompts), "--one", str(folder), str(time.time())]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        sys.stdout.write(json.dumps(found[-1]) + "\n")
        sys.stdout.flush()
    least = {name: min(row[name] for row in found) for name in ("start_s", "run_s", "run_cpu_s")}
    return {**found[0], **least, "rounds": rounds}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, default=600, help="layers that add nothing")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(one(Path(arguments.one[0]), arguments.prompts, float(arguments.one[1]))) + "\n")
        return
    with TemporaryDirectory(prefix="speedbench-states-") as name:
        folder = Path(name)
        deepened(folder, arguments.layers, asked_outputs(arguments.prompts))
        live = fastest(folder, arguments.prompts, ROUNDS)
        rows = []
        for dtype in STATES_DTYPES:
            recording = recorded(folder, dtype)
            replay = fastest(folder, arguments.prompts, ROUNDS)
            rows.append(
                {
                    "recording": recording,
                    "replay": replay,
                    "times_faster": live["run_s"] / replay["run_s"],
                    "times_less_processor_time": live["run_cpu_s"] / replay["run_cpu_s"],
                    "times_faster_with_start": (live["start_s"] + live["run_s"])
                    / (replay["start_s"] + replay["run_s"]),
                }
            )
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
    result = {
        "command": " ".join(["python", "benchmarks/replay_states.py", *sys.argv[1:]]),
        "layers_that_add_nothing": arguments.layers,
        "versions": {name: version(name) for name in ("pytest-speedbench", "torch", "transformers", "safetensors")},
        "machine": platform.platform(),
        "live": live,
        "recorded": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
