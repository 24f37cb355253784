"""What the transformers engine and replay make of a family: computed exactly, or refused before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.config import Drafter, DrafterMethod, Sampling
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.engines.registry import engine_factory
from pytest_speedbench.engines.replay.draft_model import draft_model_reaches
from pytest_speedbench.engines.replay.walk import steps_of
from pytest_speedbench.engines.transformers.families import check_computed
from pytest_speedbench.engines.transformers.loading import Placement, load_language_model
from pytest_speedbench.engines.transformers.observers import Recorder
from pytest_speedbench.engines.transformers.options import TransformersOptions
from pytest_speedbench.errors import EngineError
from pytest_speedbench.outputs import StoredOutput
from tests.families import CONTEXT, VOCAB, write_family
from tests.unit.engines.running import drafter, pair, run

EXACT, REFUSED = "exact", "refused"
OUTPUT_TOKENS, K = 40, 3
PROMPTS = tuple(
    tuple(torch.randint(10, VOCAB, (tokens,), generator=torch.Generator().manual_seed(tokens)).tolist())
    for tokens in (2, 9, 20)
)
"""Shorter than a convolution, than a window, and longer than either."""

Texts = list[tuple[int, ...]]
Steps = list[tuple[VerifyStep, ...]]


@dataclass(frozen=True)
class Uses:
    """What became of a family in every use: :data:`EXACT`, :data:`REFUSED`, or what was wrong.

    Attributes:
        alone: the target without a drafter puts out what forward passes without a cache do.
        ngram: with n-gram lookup it puts out the same.
        draft_model: and with a draft model: itself, all drafts of which it accepts, and one that resembles it, whose
            every verify step a replay counts as decoding does.
        replayed: itself as its own draft model in a replay, where all drafts are accepted too.
        reasons: the sentences of the refusals.
    """

    alone: str
    ngram: str
    draft_model: str
    replayed: str
    reasons: tuple[str, ...] = ()


class _Refused(Exception):  # noqa: N818 - no error: what some families are to get
    """A pair was refused before anything was loaded; the text is the sentence."""


def uses_of(name: str, folder: Path) -> Uses:
    """Write a family's models into an empty folder and use them every way."""
    own, alike = write_family(name, folder / "own"), write_family(name, folder / "alike", noise=0.05)
    reasons: dict[str, None] = {}

    def found(use: Callable[[], str]) -> str:
        try:
            return use()
        except _Refused as refusal:
            reasons[str(refusal).replace(str(folder), "…")] = None
            return REFUSED

    return Uses(
        alone=found(lambda: _alone(own)),
        ngram=found(lambda: _ngram(own)),
        draft_model=found(lambda: _draft_models(own, alike)),
        replayed=found(lambda: _replayed(own)),
        reasons=tuple(reasons),
    )


def _alone(own: Path) -> str:
    texts, _ = _decoded(own, None)
    return EXACT if texts == _outputs(own) else "another text than without a cache"


def _ngram(own: Path) -> str:
    texts, _ = _decoded(own, drafter(DrafterMethod.NGRAM))
    return EXACT if texts == _outputs(own) else "another text than without a drafter"


def _draft_models(own: Path, alike: Path) -> str:
    for draft in (own, alike):
        texts, steps = _decoded(own, drafter(DrafterMethod.DRAFT_MODEL, draft, K))
        if texts != _outputs(own):
            return "another text than without a drafter"
        if draft == own and _rejected(steps):
            return "its own drafts are rejected"
        if steps != _replay(draft, own):
            return "replay counts otherwise"
    return EXACT


def _replayed(own: Path) -> str:
    return "its own drafts are rejected" if _rejected(_replay(own, own)) else EXACT


def _rejected(steps: Steps) -> bool:
    return any(step != VerifyStep(K, K) for taken in steps for step in taken)


def _decoded(target: Path, drafted: Drafter | None) -> tuple[Texts, Steps]:
    """What the engine puts out, and every verify step."""
    asked = pair(target, drafted)
    try:
        engine_factory("transformers").check(asked)
    except EngineError as error:
        raise _Refused(error.problem) from error
    recorders: list[Recorder] = []
    made = Recorder.__init__

    def note(self: Recorder, *args: Any) -> None:
        made(self, *args)
        recorders.append(self)

    with patch.object(Recorder, "__init__", note):
        _, answers = run(asked, [(prompt, Sampling(OUTPUT_TOKENS, ignore_eos=True)) for prompt in PROMPTS])
    return [answer.ids for answer in answers], [tuple(recorder.steps) for recorder in recorders]


def _replay(draft: Path, target: Path) -> Steps:
    """The verify steps that a replay counts on the target's own texts."""
    try:
        check_computed(open_checkpoint(str(draft), download=True), "draft model", drafts=False)
    except EngineError as error:
        raise _Refused(error.problem) from error
    rows = [
        StoredOutput(prompt, text[:OUTPUT_TOKENS], text[OUTPUT_TOKENS:], False)
        for prompt, text in zip(PROMPTS, _continued(target), strict=True)
    ]
    reaches = draft_model_reaches(_loaded(draft), rows, K, batch_tokens=1000)
    return [steps_of(row, reach, K, CONTEXT) for row, reach in zip(rows, reaches, strict=True)]


def _outputs(folder: Path) -> Texts:
    return [text[:OUTPUT_TOKENS] for text in _continued(folder)]


@lru_cache(maxsize=1)
def _continued(folder: Path) -> Texts:
    """The greedy text of forward passes over all that there is, without any cache, and K tokens past its end."""
    model, texts = _loaded(folder), []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = torch.tensor([prompt])
            for _ in range(OUTPUT_TOKENS + K):
                ids = torch.cat((ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)), dim=1)
            texts.append(tuple(ids[0, len(prompt) :].tolist()))
    return texts


def _loaded(folder: Path) -> Any:
    return load_language_model(
        open_checkpoint(str(folder), download=True), Placement.choose(TransformersOptions())
    ).model
