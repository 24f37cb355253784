"""When two measurements may be compared: the acceptance key and the hardware key.

Acceptance is compared when the acceptance keys agree; absolute throughput only when the hardware keys agree too. What
a change is allowed to touch is recorded beside the keys: the drafter and its method are in neither key, the engine's
version only in the hardware key.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.baselines.shaping import draft_schedule_of, shaping_of
from pytest_speedbench.engines.identity import SERVERS_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_speedbench.config import EngineArg
    from pytest_speedbench.measure.run import Run

_URL = re.compile(r"https?://[^\s()]+")
_PARALLELISM_ARGS = frozenset({"tp_size", "pp_size", "dp_size", "ep_size", "tp", "pp", "dp", "ep"})
_BATCHING_ARGS = frozenset(
    {
        # vLLM
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
        "enable_chunked_prefill",  # TensorRT-LLM too
        "async_scheduling",
        # SGLang
        "max_running_requests",
        "max_prefill_tokens",
        "chunked_prefill_size",
        "enable_mixed_chunk",
        "disable_radix_cache",
        "disable_overlap_schedule",
        "schedule_policy",
        # TensorRT-LLM
        "max_batch_size",
        "max_num_tokens",
    }
)


class AcceptanceKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything but the drafter that decides how many draft tokens are accepted.

    ``top_p`` and ``seed`` are ``None`` for greedy decoding, which uses neither. ``source`` is the weakest source of the
    run's records: lengths inferred from a stream are not comparable with an engine's own. ``None`` without any record.

    ``dtype`` is in which the target computed, ``None`` if that is not known. It keeps nothing from being compared: it
    changes outputs by rounding, as another kernel does, and :func:`acceptance_notes` names it.

    ``draft_schedule`` is by what draft lengths vary with the load, and the concurrency; ``None`` where they do not.

    ``end_token_ids`` are what ends an output, in ascending order, none where the end of sequence is ignored;
    ``shaping`` is what else decides outputs (see :mod:`.shaping`), by name. ``None`` where they are not recorded, which
    keeps nothing from being compared either, and is named too.
    """

    target_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str
    split_sha256: str
    draft_length: int
    max_output_tokens: int
    temperature: float
    top_p: float | None
    seed: int | None
    ignore_eos: bool
    source: AcceptanceSource | None
    dtype: str | None = None
    end_token_ids: tuple[int, ...] | None = None
    shaping: dict[str, Any] | None = None
    draft_schedule: dict[str, Any] | None = None

    @classmethod
    def of(cls, run: Run) -> AcceptanceKey:
        """The acceptance key of a run. Without a drafter the draft length is 0."""
        sampling = run.sampling
        records = [record for c in run.conversations if (record := c.acceptance) is not None]
        order = list(AcceptanceSource)
        return cls(
            target_sha256=run.models.target_sha256,
            tokenizer_sha256=run.models.tokenizer_sha256,
            chat_template_sha256=run.models.chat_template_sha256,
            split_sha256=run.split.sha256,
            draft_length=run.pair.drafter.draft_length if run.pair.drafter else 0,
            max_output_tokens=sampling.max_output_tokens,
            temperature=sampling.temperature,
            top_p=None if sampling.greedy else sampling.top_p,
            seed=None if sampling.greedy else sampling.seed,
            ignore_eos=sampling.ignore_eos,
            source=max((record.source for record in records), key=order.index, default=None),
            dtype=run.dtype,
            end_token_ids=() if sampling.ignore_eos else tuple(sorted(run.engine.eos_token_ids)),
            # Stored outputs do not say how they were asked for.
            shaping=shaping_of(run.pair.engine_args) if run.engine.timed else None,
            draft_schedule=draft_schedule_of(run.engine.args, run.load.concurrency),
        )


class HardwareKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What absolute throughput depends on besides the models.

    ``parallelism`` and ``batching`` are the engine's arguments for them, as resolved; ``dtype`` is in which the target
    computes, ``None`` if that is not known.
    """

    device: str
    device_count: int
    driver: str | None
    engine: str
    engine_version: str
    parallelism: dict[str, str | int | float | bool | None]
    concurrency: int
    batching: dict[str, str | int | float | bool | None] = {}
    dtype: str | None = None

    @classmethod
    def of(cls, run: Run) -> HardwareKey:
        """The hardware key of a run."""
        return cls(
            device=without_address(run.engine.device),
            device_count=run.engine.device_count,
            driver=run.engine.driver,
            engine=run.engine.name,
            engine_version=run.engine.version,
            parallelism=_chosen(run.engine.args, _is_parallelism),
            concurrency=run.load.concurrency,
            batching=_chosen(run.engine.args, _BATCHING_ARGS.__contains__),
            dtype=run.dtype,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two keys disagree, in words; ``name`` is the key's own."""

    field: str
    baseline: str
    measured: str
    name: str = ""

    def __str__(self) -> str:
        """One line for a message."""
        return f"{self.field}: {self.baseline} in the baseline, {self.measured} now"


def acceptance_differences(baseline: AcceptanceKey, measured: AcceptanceKey) -> tuple[Difference, ...]:
    """The fields in which acceptance keys disagree; none means that acceptance may be compared.

    What replay computes is what the engine counts, so the two are comparable.
    """
    if {baseline.source, measured.source} == {AcceptanceSource.ENGINE, AcceptanceSource.REPLAY}:
        measured = msgspec.structs.replace(measured, source=baseline.source)
    rows = [found for found in _differences(baseline, measured) if found.name not in _APART]
    before, after = baseline.end_token_ids, measured.end_token_ids
    same_ending = baseline.ignore_eos == measured.ignore_eos
    if same_ending and before is not None and after is not None and before != after:
        rows.append(Difference("end tokens", _ids(before), _ids(after), "end_token_ids"))
    then, now = baseline.shaping, measured.shaping
    if then is not None and now is not None:
        rows += [
            Difference(name, _short(then.get(name)), _short(now.get(name)), "shaping")
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]
    return tuple(rows)


def acceptance_notes(baseline: AcceptanceKey, measured: AcceptanceKey) -> tuple[str, ...]:
    """What a reader must know of a comparison that the keys allow: two dtypes, or what one side does not know."""
    return (*_dtype_notes(baseline.dtype, measured.dtype), *_unrecorded_notes(baseline, measured))


def _unrecorded_notes(baseline: AcceptanceKey, measured: AcceptanceKey) -> tuple[str, ...]:
    notes = []
    if baseline.end_token_ids is None or measured.end_token_ids is None:
        notes.append("Whether the same tokens end an output on both sides is not known: the baseline keeps none.")
    if (baseline.shaping is None) != (measured.shaping is None) and (baseline.shaping or measured.shaping):
        names = ", ".join(baseline.shaping or measured.shaping or {})
        notes.append(f"{names} shaped the outputs of one side, and whether it did those of the other is not known.")
    return tuple(notes)


def _dtype_notes(before: str | None, after: str | None) -> tuple[str, ...]:
    if before == after:
        return ()
    if before is None or after is None:
        known = f"it was {before} in the baseline" if before is not None else f"it is {after} now"
        return (f"Whether both sides computed in one dtype is not known: {known}, and the other side does not say.",)
    return (
        f"The target computed in {before} in the baseline and in {after} now: rounding turns near-ties over, so "
        "outputs differ, and small changes of the acceptance may be its doing rather than the drafter's.",
    )


def hardware_differences(baseline: HardwareKey, measured: HardwareKey) -> tuple[Difference, ...]:
    """The fields in which hardware keys disagree; none means that absolute throughput may be compared too.

    A dtype that one side does not know is no difference; :func:`acceptance_notes` names it.
    """
    if baseline.dtype is None or measured.dtype is None:
        measured = msgspec.structs.replace(measured, dtype=baseline.dtype)
    # Older baselines hold the address of their endpoint.
    baseline = msgspec.structs.replace(baseline, device=without_address(baseline.device))
    return _differences(baseline, measured)


def without_address(device: str) -> str:
    """A device in words, with a short hash for the address of a server: enough to tell two servers apart."""
    return _URL.sub(lambda found: f"the endpoint {hashlib.sha256(found[0].encode()).hexdigest()[:8]}", device)


_APART = frozenset({"dtype", "end_token_ids", "shaping"})
"""What one side may not know, and what is named beside a comparison instead of keeping it from being made."""
_MOST_CHARACTERS = 60
_WORDS: dict[str, str] = {
    "target_sha256": "target weights",
    "tokenizer_sha256": "tokenizer",
    "chat_template_sha256": "chat template",
    "split_sha256": "content of the split",
    "draft_length": "draft length",
    "draft_schedule": "draft lengths by load",
    "max_output_tokens": "output limit in tokens",
    "top_p": "top-p",
    "seed": "sampling seed",
    "ignore_eos": "ignoring the end of sequence",
    "source": "source of the acceptance records",
    "device_count": "number of devices",
    "engine_version": "engine version",
}


def _differences(baseline: msgspec.Struct, measured: msgspec.Struct) -> tuple[Difference, ...]:
    rows = []
    for name in baseline.__struct_fields__:
        before, after = getattr(baseline, name), getattr(measured, name)
        if before != after:
            show: Callable[[object], str] = _short_hash if name.endswith("_sha256") else _in_words
            rows.append(Difference(_WORDS.get(name, name), show(before), show(after), name))
    return tuple(rows)


def _short_hash(value: object) -> str:
    return SERVERS_TEMPLATE if value == SERVERS_TEMPLATE else f"sha256 {str(value)[:12]}"


def _ids(ids: tuple[int, ...]) -> str:
    return ", ".join(map(str, ids)) or "none"


def _short(value: object) -> str:
    text = "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _in_words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, AcceptanceSource):
        return value.value
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items()) or "none"
    return str(value)


def _chosen(args: Mapping[str, EngineArg], wanted: Callable[[str], bool]) -> dict[str, str | int | float | bool | None]:
    found: dict[str, str | int | float | bool | None] = {}
    for name, value in sorted(args.items()):
        if wanted(name):
            found[name] = value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
    return found


def _is_parallelism(name: str) -> bool:
    return "parallel" in name or name in _PARALLELISM_ARGS
