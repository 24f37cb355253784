"""Whether a server that we did not load answers as the pair's target does, before everything is measured.

What a stored baseline of that target says of how answers open is held against those of a few of its prompts. As many
may differ as rounding explains (:mod:`pytest_speedbench.gate.outputs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_speedbench.config import DrafterMethod, Sampling
from pytest_speedbench.engines.identity import model_identity
from pytest_speedbench.errors import EngineError
from pytest_speedbench.gate.outputs import ComparedOutputs, OutputPair, coarser, judge_outputs
from pytest_speedbench.gate.pairing import dtype_of
from pytest_speedbench.measure.openings import OPENING_TOKENS

if TYPE_CHECKING:
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.config import OutputsPolicyName, Pair
    from pytest_speedbench.measure.runner import Runner
    from pytest_speedbench.settings import Settings
    from pytest_speedbench.splits import Split

MOST_ASKED = 12
"""Prompts that are asked, spread over the split."""
LEAST_ASKED = 3
_REMEMBER = (DrafterMethod.NGRAM, DrafterMethod.SUFFIX)
"""Drafters that may draft from all that a server was asked before, so that asking changes what is measured."""


@dataclass(frozen=True, slots=True)
class KnownOpenings:
    """How answers of a target open, by a stored baseline of it.

    Attributes:
        of: the baseline, in words.
        openings: hashes by question id, of prompts that are rendered now as they were then.
        categories: of those prompts.
        sampling: what they were asked with, greedy, no longer than an opening.
        dtype: in which the target computed; ``None`` if the engine did not say.
    """

    of: str
    openings: Mapping[str, str]
    categories: Mapping[str, str]
    sampling: Sampling
    dtype: str | None


def known_openings(
    baselines: Iterable[Baseline], target_sha256: str, hashes: Mapping[str, str]
) -> KnownOpenings | None:
    """What the first of these baselines that is of this target and tells enough says; ``None`` if none does.

    ``hashes`` are those of the rendered first turns that are to be asked, by question id.
    """
    for baseline in baselines:
        key = baseline.acceptance_key
        if key.target_sha256 != target_sha256 or key.temperature != 0:
            continue
        alike = [e for e in baseline.prompts if e.opening_sha256 and hashes.get(e.id) == e.prompt_sha256]
        if len(alike) >= LEAST_ASKED:
            every = max(1, len(alike) // MOST_ASKED)
            chosen = alike[::every][:MOST_ASKED]
            return KnownOpenings(
                f"the baseline of {baseline.pair} on {baseline.split}",
                {entry.id: entry.opening_sha256 or "" for entry in chosen},
                {entry.id: entry.category for entry in chosen},
                Sampling(min(OPENING_TOKENS, key.max_output_tokens), ignore_eos=key.ignore_eos),
                dtype_of(baseline),
            )
    return None


def check_target(runner: Runner, pair: Pair, split: Split, settings: Settings, baselines: Iterable[Baseline]) -> bool:
    """Ask a server that we did not load how it opens answers; whether there was a record to compare with.

    Args:
        runner: whose engine is started for it and kept.
        pair: as it is asked.
        split: what is to be measured.
        settings: the policy of outputs, the error level and the timeouts.
        baselines: stored ones of any pair, those to prefer first; nothing is asked without one that tells, nor of a
            drafter that would remember it.

    Raises:
        EngineError: it answers otherwise than the pair's target did.
    """
    if pair.drafter is not None and pair.drafter.method in _REMEMBER:
        return False
    hashes = runner.prompt_hashes(pair.model, split)
    known = known_openings(baselines, model_identity(pair).target_sha256, hashes)
    if known is None:
        return False
    now = runner.openings(pair, split, list(known.openings), known.sampling, settings.timeouts)
    if not now:
        return False
    _judge(known, now, pair, settings.outputs, settings.family_error)
    return True


def _judge(known: KnownOpenings, now: Mapping[str, str], pair: Pair, policy: OutputsPolicyName, level: float) -> None:
    tokens = known.sampling.max_output_tokens
    pairs = tuple(
        OutputPair(name, known.categories[name], tokens, opening == now[name], None, 0.0)
        for name, opening in sorted(known.openings.items())
    )
    dtype = coarser((known.dtype, pair.dtype))  # a server's is known only if the pair says it
    finding = judge_outputs(ComparedOutputs((pairs,), dtype), policy, level)
    if finding is None or not finding.failed:
        return
    raise EngineError(
        f"{pair.server} does not answer as {pair.model!r} did: {finding.different} of {finding.compared} answers open "
        f"otherwise than those in {known.of} (the first is {finding.first}).",
        "Name the model that is served, or start the server with this one; if its dtype or quantization is another one "
        "on purpose, --speedbench-outputs=note goes on.",
    )
