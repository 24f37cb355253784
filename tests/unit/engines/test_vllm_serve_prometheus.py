"""Counters out of ``/metrics``: ranks summed, other models left out, absent is not zero."""

from __future__ import annotations

import pytest

from pytest_speedbench.engines.base import SpeculationCounters
from pytest_speedbench.engines.vllm_serve.prometheus import Metrics
from pytest_speedbench.errors import EngineError

MODEL = "org/model"


def scrape(*ranks: tuple[int, int, tuple[int, ...]], model: str = MODEL) -> str:
    """What vLLM prints for ranks of (drafts, draft tokens, accepted per position)."""
    lines = [
        "# HELP python_gc_objects_collected_total Objects collected during gc",
        "# TYPE python_gc_objects_collected_total counter",
        'python_gc_objects_collected_total{generation="0"} 15033.0',
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        *(f'vllm:num_requests_running{{engine="{rank}",model_name="{model}"}} 1.0' for rank in range(len(ranks))),
    ]
    for name in ("drafts", "draft_tokens", "accepted_tokens_per_pos"):
        lines += [
            f"# HELP vllm:spec_decode_num_{name}_total Number.",
            f"# TYPE vllm:spec_decode_num_{name}_total counter",
        ]
        for rank, (drafts, draft_tokens, accepted) in enumerate(ranks):
            labels = f'engine="{rank}",model_name="{model}"'
            if name == "accepted_tokens_per_pos":
                lines += [
                    f'vllm:spec_decode_num_{name}_total{{{labels},position="{position}"}} {count}.0'
                    for position, count in enumerate(accepted)
                ]
            else:
                lines.append(
                    f"vllm:spec_decode_num_{name}_total{{{labels}}} {drafts if name == 'drafts' else draft_tokens}.0"
                )
        lines += [
            f"# TYPE vllm:spec_decode_num_{name}_created gauge",
            f'vllm:spec_decode_num_{name}_created{{engine="0",model_name="{model}"}} 1.79e+09',
        ]
    return "\n".join(lines) + "\n"


def test_ranks_are_summed() -> None:
    text = scrape((10, 30, (8, 5, 2)), (100, 300, (80, 50, 20)), (0, 0, (0, 0, 0)))
    assert Metrics(text, MODEL).speculation == SpeculationCounters(110, 330, (88, 55, 22))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("} 10.0", "} NaN", "says nan for vllm:spec_decode_num_drafts_total, which is no count"),
        ("} 10.0", "} +Inf", "says inf for"),
        ("} 10.0", "} -10.0", "says -10 for"),
        ("} 10.0", "} 10.5", "says 10.5 for"),
        ("} 5.0", "} NaN", "says nan for vllm:spec_decode_num_accepted_tokens_per_pos_total"),
        ('position="1"', 'position="x"', "a draft position 'x' in"),
        ('position="1"', 'position="-1"', "a draft position '-1' in"),
        ('position="1"', 'position="999999999"', "a draft position '999999999' in"),
        (',position="1"', "", "a draft position '' in"),
    ],
)
def test_what_is_no_count_is_refused(before: str, after: str, words: str) -> None:
    text = scrape((10, 30, (8, 5, 2)))
    assert before in text
    with pytest.raises(EngineError, match=words.replace("+", r"\+")):
        _ = Metrics(text.replace(before, after), MODEL).speculation


def test_zero_is_a_count() -> None:
    assert Metrics(scrape((0, 0, (0, 0))), MODEL).speculation == SpeculationCounters(0, 0, (0, 0))


def test_positions_are_put_in_order_as_numbers() -> None:
    text = "\n".join(reversed(scrape((9, 108, tuple(range(20, 8, -1)))).splitlines()))
    counters = Metrics(text.replace("# ", "#"), MODEL).speculation
    assert counters is not None
    assert counters.accepted_per_position == tuple(range(20, 8, -1))


@pytest.mark.parametrize("missing", ["drafts_total", "draft_tokens_total", "per_pos_total"])
def test_a_missing_counter_is_none(missing: str) -> None:
    text = "\n".join(line for line in scrape((10, 30, (8, 5, 2))).splitlines() if missing not in line)
    metrics = Metrics(text + "\n", MODEL)
    assert metrics.speculation is None
    assert metrics.keeps_statistics


def test_other_models_are_left_out() -> None:
    text = scrape((10, 30, (8, 5, 2)))
    assert Metrics(text, "org/other").speculation is None
    assert not Metrics(text, "org/other").keeps_statistics


def test_a_server_without_statistics() -> None:
    metrics = Metrics('# TYPE python_info gauge\npython_info{version="3"} 1.0\n', MODEL)
    assert metrics.speculation is None
    assert not metrics.keeps_statistics


def test_counters_of_a_restarted_server_are_given_as_they_are() -> None:
    before = Metrics(scrape((10, 30, (8, 5, 2))), MODEL).speculation
    after = Metrics(scrape((1, 3, (1, 0, 0))), MODEL).speculation
    assert before is not None
    assert after is not None
    assert after.verify_steps < before.verify_steps


def test_a_page_in_another_format() -> None:
    with pytest.raises(EngineError, match="metrics page cannot be read"):
        Metrics("<html><body>not found</body></html>\n", MODEL)
