"""Every figure that the published example run determines must come out of our code."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_speedbench.acceptance import AcceptanceRecord
from pytest_speedbench.measure.run import Conversation, Turn
from pytest_speedbench.metrics import speedbench_compat, summarize_acceptance, throughput_of
from pytest_speedbench.metrics.acceptance import mean_of_all
from pytest_speedbench.metrics.speedbench_compat import StepLengths

TOKENS = 449_372


@dataclass(frozen=True)
class Published:
    draft_length: int
    gpus: int
    concurrency: int
    turns: int
    histogram: dict[int, int]
    conditional_rates: dict[int, float]
    categories: dict[str, float]
    overall: float
    output_tps: float
    output_tps_per_gpu: float
    e2e_mean_s: float
    step_time_mean_s: float
    output_tokens_mean: float


@pytest.fixture(scope="module")
def published() -> Published:
    path = Path(__file__).parents[2] / "data" / "published-llama33-70b-eagle3.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    return Published(
        draft_length=data["draft_length"],
        gpus=data["gpus"],
        concurrency=data["concurrency"],
        turns=data["turns"],
        histogram={int(k): v for k, v in data["step_length_histogram"].items()},
        conditional_rates={int(k): v for k, v in data["conditional_acceptance_rate"].items()},
        categories=data["category_length"],
        overall=data["overall_length"],
        output_tps=data["output_tps"],
        output_tps_per_gpu=data["output_tps_per_gpu"],
        e2e_mean_s=data["e2e_mean_s"],
        step_time_mean_s=data["step_time_mean_s"],
        output_tokens_mean=data["output_tokens_mean"],
    )


@pytest.fixture(scope="module")
def conversations(published: Published) -> list[Conversation]:
    """Turns that together have the published histogram, whole system busy for as long as the published TPS implies."""
    dealt: list[list[int]] = [[] for _ in range(published.turns)]
    verify = Counter(published.histogram)
    verify[1] -= published.turns
    for number, length in enumerate(verify.elements()):
        dealt[number % published.turns].append(length)
    end_s = TOKENS / published.output_tps
    return [_conversation(str(number), lengths, published, end_s) for number, lengths in enumerate(dealt)]


def _conversation(question_id: str, lengths: list[int], published: Published, end_s: float) -> Conversation:
    counts = Counter(lengths)
    histogram = tuple(counts[k] for k in range(1, published.draft_length + 2))
    record = AcceptanceRecord(published.draft_length, histogram, len(lengths) * published.draft_length)
    emissions = tuple((end_s * (i + 1) / (len(lengths) + 1), n) for i, n in enumerate([1, *lengths]))
    turn = Turn(1, "p", tuple(range(1 + sum(lengths))), "length", 0.0, emissions, record)
    return Conversation(question_id, "all", "", (turn,))


def test_the_histogram_determines_the_rates_the_length_and_the_tokens(published: Published) -> None:
    lengths = StepLengths(published.histogram)
    assert lengths.conditional_rates == pytest.approx(published.conditional_rates, abs=1e-15)
    assert lengths.pooled_length == pytest.approx(2.49684402, abs=5e-9)
    assert lengths.tokens == TOKENS
    assert lengths.steps == 179_976
    assert lengths.joint_rates == pytest.approx({1: 1.0, 2: 0.6811519, 3: 0.4757468, 4: 0.3399453}, abs=1e-7)


def test_the_overall_length_is_the_mean_of_the_categories(published: Published) -> None:
    assert mean_of_all(published.categories.values()) == pytest.approx(published.overall, abs=5e-5)


def test_tokens_per_turn_and_per_gpu_follow(published: Published) -> None:
    assert TOKENS / published.turns == pytest.approx(published.output_tokens_mean, abs=5e-5)
    assert published.output_tps / published.gpus == pytest.approx(published.output_tps_per_gpu, rel=1e-15)


def test_its_step_times_contain_the_time_to_first_token(published: Published) -> None:
    # Only if every emission, the prefill's included, is a step does the mean come out; and no more requests were in
    # flight on average than the concurrency allows.
    steps = StepLengths(published.histogram).steps
    all_requests_s = published.e2e_mean_s * published.turns
    assert all_requests_s / steps == pytest.approx(published.step_time_mean_s, abs=5e-5)
    assert 30 < all_requests_s / (TOKENS / published.output_tps) <= published.concurrency


def test_records_and_emissions_give_the_published_histogram(
    published: Published, conversations: list[Conversation]
) -> None:
    for figures in (speedbench_compat.from_records(conversations), speedbench_compat.from_emissions(conversations)):
        assert figures.step_lengths.counts == published.histogram
        assert figures.missing == 0
    lengths = StepLengths(published.histogram)
    assert lengths.without_prefills(published.turns) == (56_247, 36_968, 24_441, 61_182)


def test_without_the_prefills_the_acceptance_length_is_higher(
    published: Published, conversations: list[Conversation]
) -> None:
    figures = summarize_acceptance(conversations).overall
    assert figures.histogram == (56_247, 36_968, 24_441, 61_182)
    assert figures.al_pooled == pytest.approx(1 + 269_396 / 178_838)
    assert published.turns + figures.accepted_tokens + figures.verify_steps == TOKENS


def test_throughput_reproduces_tps_and_mean_output(published: Published, conversations: list[Conversation]) -> None:
    speed = throughput_of(conversations, published.gpus)
    assert speed.generated_tokens == TOKENS
    assert speed.output_tps == pytest.approx(published.output_tps, rel=1e-12)
    assert speed.output_tps_per_gpu == pytest.approx(published.output_tps_per_gpu, rel=1e-12)
    assert speed.output_tokens is not None
    assert speed.output_tokens.mean == pytest.approx(published.output_tokens_mean, abs=5e-5)
