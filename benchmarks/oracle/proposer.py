"""The oracle drafter, inside vLLM's engine core: a custom proposer that knows what the target will say.

It proposes the target's recorded greedy continuation, each token replaced by another one with a probability of its
category. Whether a token is replaced depends on the run's seed, the request and the position alone, not on how requests
were batched. The verification is vLLM's own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TABLE = "continuations.json"
SETTINGS = "run.json"
FOLDER_KEY = "oracle_folder"
"""Under which vLLM's ``additional_config`` names the folder that holds both files."""
_KEY_TOKENS = 8
"""Prompts are looked up by their first tokens, then compared in whole."""


class _Known:
    """One request of the split and its continuation."""

    def __init__(self, number: int, row: dict[str, Any]) -> None:
        self.number = number
        self.category = str(row["category"])
        self.prompt = np.asarray(row["prompt_ids"], dtype=np.int64)
        self.continuation = np.asarray(row["continuation_ids"], dtype=np.int64)


class OracleProposer:
    """What vLLM calls after every step for the next drafts.

    Args:
        vllm_config: vLLM's own; its ``additional_config`` names the folder of the continuations and of the settings
            of the run, which are read again whenever that file changes: {"seed": int, "correct": {category: q}}.
    """

    def __init__(self, vllm_config: Any) -> None:
        folder = Path(vllm_config.additional_config[FOLDER_KEY])
        self._draft_length = int(vllm_config.speculative_config.num_speculative_tokens)
        self._vocabulary = int(vllm_config.model_config.get_vocab_size())
        self._settings = folder / SETTINGS
        self._read_at_ns = -1
        self._seed = 0
        self._correct: dict[str, float] = {}
        self._drafts: dict[int, NDArray[np.int64]] = {}
        self._by_key: dict[bytes, list[_Known]] = defaultdict(list)
        for number, row in enumerate(json.loads((folder / TABLE).read_text())):
            known = _Known(number, row)
            self._by_key[known.prompt[:_KEY_TOKENS].tobytes()].append(known)
        for alike in self._by_key.values():
            # A later turn's prompt begins with the earlier turn's prompt and answer: the longest one is meant.
            alike.sort(key=lambda known: -len(known.prompt))

    def load_model(self, *_: Any, **__: Any) -> None:
        """There is none."""

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: NDArray[np.int32],
        token_ids_cpu: NDArray[np.int32],
        **_: Any,
    ) -> list[list[int]]:
        """Drafts for every request of the batch; none for a request whose prefill is not finished."""
        self._read_settings()
        return [
            self._draft(token_ids_cpu[row, : num_tokens_no_spec[row]].astype(np.int64)) if len(sampled) else []
            for row, sampled in enumerate(sampled_token_ids)
        ]

    def _draft(self, context: NDArray[np.int64]) -> list[int]:
        known = self._find(context)
        position = len(context) - len(known.prompt)
        if known.number not in self._drafts:
            # By number, so that a run's draws do not depend on the order in which requests come.
            draws = np.random.default_rng([self._seed, known.number]).random(len(known.continuation))
            wrong = (known.continuation + 1) % self._vocabulary
            right = draws < self._correct[known.category]
            self._drafts[known.number] = np.where(right, known.continuation, wrong)
        return [int(token) for token in self._drafts[known.number][position : position + self._draft_length]]

    def _find(self, context: NDArray[np.int64]) -> _Known:
        for known in self._by_key.get(context[:_KEY_TOKENS].tobytes(), ()):
            length = len(known.prompt)
            if length <= len(context) and np.array_equal(context[:length], known.prompt):
                decoded = context[length:]
                if np.array_equal(decoded, known.continuation[: len(decoded)]):
                    return known
        raise RuntimeError("the oracle has no continuation of this context")

    def _read_settings(self) -> None:
        written_at_ns = self._settings.stat().st_mtime_ns
        if written_at_ns == self._read_at_ns:
            return
        settings = json.loads(self._settings.read_text())
        self._seed, self._correct = int(settings["seed"]), dict(settings["correct"])
        self._drafts = {}
        self._read_at_ns = written_at_ns
