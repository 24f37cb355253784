"""How long n-gram replay takes at the size of a whole split: 880 prompts of 500 tokens with outputs of 400.

The texts are made, not decoded: pieces of ``mini``'s stored prompts and outputs, chosen at random and put together,
with one token in twenty replaced, so that n-grams repeat within a text and between texts as they do there. Acceptance
on them says nothing of any drafter. For every engine's rule and several numbers of prompts:

- start_s: the engine's start, which reads the file of outputs,
- judge_s: the lookups alone,
- answer_s: every request asked of the started engine, 16 at a time (SGLang's rule: one), lookups and records included,
- judge_cpu_s, answer_cpu_s: the processor's time of the two, which other work on the machine hardly changes.

    python benchmarks/replay_ngram.py --out benchmarks/results/replay_ngram.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines.base import Finish, Request
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.replay.engine import ReplayEngine
from pytest_speedbench.engines.replay.lookup import FIRST_MATCH, lookup_judge, rule_of
from pytest_speedbench.engines.replay.options import ReplayOptions
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.outputs import Outputs, StoredOutput, read_outputs, write_outputs

OUTPUTS = outputs_path(Path(__file__).resolve().parents[1] / "baselines", "tiny-eagle3", "mini")
PROMPT_TOKENS, OUTPUT_TOKENS = 500, 400
REPLACED = 0.05
SIZES = (220, 440, 880)
ENGINES: dict[str, dict[str, EngineArg]] = {"vllm": {}, "sglang": {"disable_overlap_schedule": True}, "trtllm": {}}
ROUNDS = 3


def made(stored: Outputs, count: int) -> Outputs:
    """So many requests."""
    draw, pieces = random.Random(count), [row.prompt_ids + row.output_ids for row in stored.rows]

    def text(tokens: int) -> tuple[int, ...]:
        ids: list[int] = []
        while len(ids) < tokens:
            ids += draw.choice(pieces)
        vocabulary = stored.head.vocab_size
        return tuple(draw.randrange(vocabulary) if draw.random() < REPLACED else token for token in ids[:tokens])

    rows = tuple(
        StoredOutput(text(PROMPT_TOKENS), text(OUTPUT_TOKENS), text(stored.head.overhang), stopped=False)
        for _ in range(count)
    )
    return Outputs(msgspec.structs.replace(stored.head, max_output_tokens=OUTPUT_TOKENS), rows)


def clocks() -> tuple[float, float]:
    """Wall-clock and processor time, in seconds."""
    return time.perf_counter(), time.process_time()


async def answered(pair: Pair, rows: Sequence[StoredOutput], concurrency: int) -> dict[str, float]:
    """Start an engine and ask it everything."""
    engine = ReplayEngine(pair)
    began_s, _ = clocks()
    await engine.start()
    started_s, started_cpu_s = clocks()
    places, accepted = asyncio.Semaphore(concurrency), [0, 0]

    async def ask(number: int, row: StoredOutput) -> None:
        async with places:
            async for event in engine.generate(Request(str(number), row.prompt_ids, Sampling(OUTPUT_TOKENS))):
                if isinstance(event, Finish) and event.acceptance is not None:
                    accepted[0] += event.acceptance.accepted_tokens
                    accepted[1] += event.acceptance.verify_steps

    await asyncio.gather(*(ask(number, row) for number, row in enumerate(rows)))
    ended_s, ended_cpu_s = clocks()
    await engine.stop()
    return {
        "start_s": started_s - began_s,
        "answer_s": ended_s - started_s,
        "answer_cpu_s": ended_cpu_s - started_cpu_s,
        "al_pooled": 1 + accepted[0] / accepted[1],
    }


def judged(pair: Pair, rows: Sequence[StoredOutput], context_tokens: int) -> dict[str, float]:
    """The lookups alone."""
    options = ReplayOptions.parse(pair.engine_args)
    judge = lookup_judge(rule_of(pair, options) or FIRST_MATCH, options, 3, context_tokens)
    began_s, began_cpu_s = clocks()
    judge(rows)
    ended_s, ended_cpu_s = clocks()
    return {"judge_s": ended_s - began_s, "judge_cpu_s": ended_cpu_s - began_cpu_s}


def measured(engine: str, outputs: Outputs, path: Path) -> dict[str, Any]:
    """The fastest of some rounds of each part."""
    write_outputs(path, outputs)
    pair = replayed(Pair(engine, engine, "bundled:target", Drafter.parse("ngram", 3), ENGINES[engine]), path)
    concurrency = 1 if engine == "sglang" else 16
    rounds = [
        judged(pair, outputs.rows, outputs.head.context_tokens) | asyncio.run(answered(pair, outputs.rows, concurrency))
        for _ in range(ROUNDS)
    ]
    best = {name: min(row[name] for row in rounds) for name in rounds[0]}
    return {
        "rule_of": engine,
        "prompts": len(outputs.rows),
        "concurrency": concurrency,
        **{name: round(value, 3) for name, value in best.items()},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    stored = read_outputs(OUTPUTS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            for size in SIZES:
                rows.append(measured(engine, made(stored, size), Path(folder) / "made.outputs"))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
    result = {
        "command": " ".join(["python", "benchmarks/replay_ngram.py", *sys.argv[1:]]),
        "prompt_tokens": PROMPT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "draft_length": 3,
        "rounds": ROUNDS,
        "versions": {name: version(name) for name in ("pytest-speedbench", "numpy")}
        | {"python": platform.python_version()},
        "machine": f"{cpu_name()}, {platform.platform()}",
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
