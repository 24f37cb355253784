"""What the replay engine has judged, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_speedbench.baselines import outputs_path
from pytest_speedbench.config import Load, Sampling
from pytest_speedbench.engines.replay import judges
from pytest_speedbench.engines.replay.pairs import replayed
from pytest_speedbench.engines.replay.walk import Judge, Reach
from pytest_speedbench.measure.runner import Runner
from pytest_speedbench.outputs import StoredOutput
from pytest_speedbench.settings import bundled_pairs
from pytest_speedbench.splits import load_split, select

OUTPUTS = outputs_path(Path(__file__).resolve().parents[3] / "baselines", "tiny-eagle3", "mini")


def test_only_what_is_asked_is_judged_and_all_of_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Sequence[StoredOutput]] = []
    load = judges.load_judge

    def watched(*loaded: object, **named: object) -> Judge:
        judge = load(*loaded, **named)  # type: ignore[arg-type]

        def watch(outputs: Sequence[StoredOutput]) -> Sequence[Reach]:
            judged.append(outputs)
            return judge(outputs)

        return replace(judge, reaches=watch)

    monkeypatch.setattr(judges, "load_judge", watched)
    prompts = select(load_split("mini"), prompts=22)
    with Runner() as runner:
        run = runner.measure(replayed(bundled_pairs()["tiny-draft"], OUTPUTS), prompts, Sampling(64), Load(2))
    asked = [turn.output_ids for conversation in run.conversations for turn in conversation.turns]
    assert len(asked) > len(prompts), "some of the prompts have more turns than one"
    assert len(judged) == 1
    assert sorted(output.output_ids for output in judged[0]) == sorted(asked)
