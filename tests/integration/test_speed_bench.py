"""``--speedbench-split=CONFIG`` and ``hub:…``: SPEED-Bench from the hub, with a stand-in for the hub"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.hub_stand_in import HubStandIn, add_speed_bench, point_to, serving
from tests.integration.conftest import Bench


@pytest.fixture
def hub(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with serving(HubStandIn()) as hub:
        point_to(hub.url, bench.path / "home", monkeypatch)
        yield hub


def test_a_config_from_the_hub_with_its_commit_in_header_and_baseline(bench: Bench, hub: HubStandIn) -> None:
    commit = add_speed_bench(hub, "qualitative", "throughput_1k")
    options = ("--speedbench-split=qualitative", "--speedbench-prompts=22")
    result = bench.run(*options, "--speedbench-update")
    result.assert_outcomes(passed=1)
    origin = f"hub:nvidia/SPEED-Bench/qualitative@{commit}"
    result.stdout.fnmatch_lines([f"*on qualitative (22 of 880 prompts, {origin})"])
    assert json.loads(bench.baseline(split="qualitative").read_text())["recorded"]["split_origin"] == origin
    bench.run(*options).assert_outcomes(passed=1)


def test_a_pinned_commit(bench: Bench, hub: HubStandIn) -> None:
    pinned = add_speed_bench(hub, "qualitative")
    add_speed_bench(hub, "qualitative", placeholders=3)
    for split in (f"qualitative@{pinned}", f"hub:nvidia/SPEED-Bench/qualitative@{pinned}"):
        result = bench.run(f"--speedbench-split={split}", "--speedbench-prompts=11", "--speedbench-update")
        result.assert_outcomes(passed=1)


def test_placeholders_are_refused_before_anything_is_measured(bench: Bench, hub: HubStandIn) -> None:
    add_speed_bench(hub, "qualitative", placeholders=3)
    result = bench.run("--speedbench-split=qualitative")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*hub:nvidia/SPEED-Bench/qualitative@*33 of 880 *placeholder*speedbench prepare*"])
    left_out = bench.run(
        "--speedbench-split=qualitative",
        "--speedbench-allow-placeholders=skip",
        "--speedbench-prompts=11",
        "--speedbench-update",
    )
    left_out.assert_outcomes(passed=1)
    left_out.stdout.fnmatch_lines(["*qualitative: 11 of 847 prompts*", "*note: 33 placeholder rows*"])


def test_a_hub_that_does_not_answer(bench: Bench, hub: HubStandIn) -> None:
    hub.failure = 503
    result = bench.run("--speedbench-split=qualitative")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: speedbench: *nvidia/SPEED-Bench*"])
