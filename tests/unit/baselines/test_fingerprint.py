from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pytest_speedbench.acceptance import AcceptanceSource
from pytest_speedbench.baselines import AcceptanceKey, HardwareKey, acceptance_differences, hardware_differences
from pytest_speedbench.config import Drafter, DrafterMethod, Load
from pytest_speedbench.measure.run import Run
from tests.unit.metrics.runs import DRAFTER, conversation, run, turn

BASE = run([conversation("1", "qa", turn([1]))], driver="12.4")


def acceptance_words(measured: Run) -> list[str]:
    return [str(d) for d in acceptance_differences(AcceptanceKey.of(BASE), AcceptanceKey.of(measured))]


def hardware_words(measured: Run) -> list[str]:
    return [str(d) for d in hardware_differences(HardwareKey.of(BASE), HardwareKey.of(measured))]


def test_a_measurement_is_comparable_with_itself() -> None:
    assert acceptance_words(BASE) == hardware_words(BASE) == []


def test_a_change_may_touch_the_drafter_its_method_and_the_engine() -> None:
    other = replace(
        BASE,
        pair=replace(BASE.pair, name="other", engine="else", drafter=Drafter(DrafterMethod.MTP, None, 3)),
        models=replace(BASE.models, drafter_sha256="e" * 64),
        engine=replace(BASE.engine, version="2.0", args={"dtype": "bfloat16"}),
    )
    assert acceptance_words(other) == []


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (
            replace(BASE, models=replace(BASE.models, target_sha256="x" * 64)),
            "target weights: sha256 tttttttttttt in the baseline, sha256 xxxxxxxxxxxx now",
        ),
        (replace(BASE, models=replace(BASE.models, tokenizer_sha256="x" * 64)), "tokenizer: sha256 kk"),
        (replace(BASE, models=replace(BASE.models, chat_template_sha256="x" * 64)), "chat template: sha256 cc"),
        (replace(BASE, split=replace(BASE.split, sha256="x" * 64)), "content of the split: sha256 ss"),
        (
            replace(BASE, pair=replace(BASE.pair, drafter=replace(DRAFTER, draft_length=5))),
            "draft length: 3 in the baseline, 5 now",
        ),
        (
            replace(BASE, sampling=replace(BASE.sampling, max_output_tokens=32)),
            "output limit in tokens: 64 in the baseline, 32 now",
        ),
        (replace(BASE, sampling=replace(BASE.sampling, ignore_eos=True)), "ignoring the end of sequence: no in the"),
    ],
)
def test_what_decides_acceptance_is_named(measured: Run, words: str) -> None:
    (difference,) = acceptance_words(measured)
    assert difference.startswith(words)


def test_greedy_decoding_has_no_seed_and_no_top_p() -> None:
    assert acceptance_words(replace(BASE, sampling=replace(BASE.sampling, seed=9, top_p=0.5))) == []
    sampled = replace(BASE, sampling=replace(BASE.sampling, temperature=0.7))
    assert [line.split(":")[0] for line in acceptance_words(sampled)] == ["temperature", "top-p", "sampling seed"]


def test_a_stream_is_not_compared_with_an_engines_record() -> None:
    record = BASE.conversations[0].acceptance
    assert record is not None
    streamed = turn([1])
    streamed = replace(streamed, acceptance=replace(record, source=AcceptanceSource.STREAM))
    words = acceptance_words(replace(BASE, conversations=(conversation("1", "qa", streamed),)))
    assert words == ["source of the acceptance records: engine in the baseline, stream now"]
    silent = replace(BASE, conversations=(conversation("1", "qa", turn([1], record=False)),))
    assert acceptance_words(silent) == ["source of the acceptance records: engine in the baseline, none now"]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (replace(BASE, engine=replace(BASE.engine, device="H200")), "device: H100 in the baseline, H200 now"),
        (replace(BASE, engine=replace(BASE.engine, device_count=8)), "number of devices: 1 in the baseline, 8 now"),
        (replace(BASE, engine=replace(BASE.engine, driver=None)), "driver: 12.4 in the baseline, none now"),
        (replace(BASE, engine=replace(BASE.engine, version="2.0")), "engine version: 1.0 in the baseline, 2.0 now"),
        (
            replace(BASE, engine=replace(BASE.engine, args={"tensor_parallel_size": 4})),
            "parallelism: tensor_parallel_size=2 in the baseline, tensor_parallel_size=4 now",
        ),
        (
            replace(BASE, engine=replace(BASE.engine, args={**BASE.engine.args, "max_num_seqs": 8})),
            "batching: none in the baseline, max_num_seqs=8 now",
        ),
        (replace(BASE, load=Load(32)), "concurrency: 4 in the baseline, 32 now"),
    ],
)
def test_what_decides_speed_is_named(measured: Run, words: str) -> None:
    assert hardware_words(measured) == [words]
    assert acceptance_words(measured) == []


def test_a_server_is_told_from_another_without_its_address() -> None:
    def behind(address: str) -> HardwareKey:
        device = f"unknown (behind {address})"
        return HardwareKey.of(replace(BASE, engine=replace(BASE.engine, device=device)))

    here, there = behind("http://10.0.0.3:8000"), behind("http://10.0.0.4:8000")
    assert "10.0.0.3" not in here.device
    assert (here == behind("http://10.0.0.3:8000"), here == there) == (True, False)
    old = msgspec.structs.replace(here, device="unknown (behind http://10.0.0.3:8000)")
    assert not hardware_differences(old, here)
