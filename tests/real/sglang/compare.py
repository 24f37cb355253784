"""Asks the bundled family's drafters on real SGLang and on transformers."""

from __future__ import annotations

import datetime
import os
import platform
import time
from functools import lru_cache
from importlib import metadata
from typing import Any

from pytest_speedbench.acceptance import AcceptanceRecord, pool
from pytest_speedbench.config import EngineArg
from pytest_speedbench.engines.devices import cpu_name
from pytest_speedbench.engines.installed import installed
from tests.real.sglang.asking import OUTPUT_TOKENS, Answer, ask_all, sglang_pair, transformers_pair

DRAFTERS: dict[str, tuple[str | None, dict[str, EngineArg]]] = {
    "none": (None, {}),
    "eagle3": ("eagle3:bundled:eagle3", {}),
    "eagle3-pruned": ("eagle3:bundled:eagle3-pruned", {}),
    "draft": ("draft_model:bundled:draft", {}),
    "ngram": ("ngram", {}),
    "eagle3-tree": (
        "eagle3:bundled:eagle3",
        {"speculative_eagle_topk": 2, "speculative_num_draft_tokens": 8},
    ),
}
"""Name, drafter, and engine arguments on SGLang."""
CONCURRENCY = 2
"""The other engine is asked one prompt at a time: batching must not matter."""


@lru_cache
def compare(python: str, name: str) -> dict[str, Any]:
    """Both engines' answers to every prompt with one drafter."""
    drafter, args = DRAFTERS[name]
    began_s = time.perf_counter()
    # What is learnt from one answer is drafted in another, so that n-grams depend on the order.
    concurrency = 1 if name == "ngram" else CONCURRENCY
    ours = ask_all(sglang_pair(drafter, python, args), concurrency=concurrency)
    took_s = time.perf_counter() - began_s
    theirs = ask_all(transformers_pair(drafter))
    return {
        "sglang_s": round(took_s, 1),
        "sglang": _figures(list(ours.values())),
        "transformers": _figures(list(theirs.values())),
        "prompts": {
            category: {
                "same_tokens": ours[category].tokens == theirs[category].tokens,
                "sglang": _plain(ours[category]),
                "transformers": _plain(theirs[category]),
            }
            for category in ours
        },
    }


def compare_all(python: str) -> dict[str, Any]:
    """All drafters, with what they ran on."""
    return {
        "versions": {
            "sglang": dict(installed(python, ("sglang", "torch", "triton", "transformers"))),
            "transformers": {name: metadata.version(name) for name in ("torch", "transformers", "pytest-speedbench")},
            "python": platform.python_version(),
        },
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "output_tokens": OUTPUT_TOKENS,
        "drafters": {name: compare(python, name) for name in DRAFTERS},
    }


def _figures(answers: list[Answer]) -> dict[str, Any]:
    """Pooled over the prompts."""
    records: list[AcceptanceRecord] = [r for answer in answers if (r := answer.finish.acceptance) is not None]
    total = pool(records)
    if total is None:
        return {"al_pooled": None, "tokens_per_decode_step": None}
    decoded, steps = total.decoded_tokens, total.decode_steps
    return {
        "al_pooled": round(total.al, 4) if total.al is not None else None,
        "tokens_per_decode_step": round(decoded / steps, 4) if decoded is not None and steps else None,
    }


def _plain(answer: Answer) -> dict[str, Any]:
    record = answer.finish.acceptance
    return {
        "output_ids": list(answer.tokens),
        "emitted": list(answer.emitted),
        "histogram": list(record.histogram) if record is not None else None,
        "proposed_tokens": record.proposed_tokens if record is not None else None,
        "undrafted_steps": record.undrafted_steps if record is not None else None,
        "discarded_tokens": record.discarded_tokens if record is not None else None,
    }
