"""Every planted fault is caught by exactly the checks that are about it, and a correct engine by none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_speedbench.config import Drafter, Pair, Timeouts
from pytest_speedbench.conformance import effort, subject
from pytest_speedbench.conformance.findings import Finding, Outcome
from pytest_speedbench.conformance.promises import PROMISES, service
from pytest_speedbench.conformance.prompts import Prompts, load_prompts
from pytest_speedbench.conformance.subject import Subject
from pytest_speedbench.conformance.suite import Suite
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.errors import EngineError
from tests.unit.conformance import faulty_engines as faulty
from tests.unit.conformance.toy_engine import ToyEngine, ToyFactory

PAIR = Pair("toy", "toy", "bundled:target", Drafter.parse("ngram"))
SAMPLING = {"sampling-1", "sampling-0.7"}


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return load_prompts(PAIR)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, prompts: Prompts) -> Iterator[None]:
    """Less patience, fewer draws, and prompts that were rendered once."""
    monkeypatch.setattr(effort, "_MOST_DRAWS", 60)
    monkeypatch.setattr(subject, "_GONE_S", 0.5)
    monkeypatch.setattr(service, "_CLOSE_S", 1.0)
    monkeypatch.setattr(service, "_NEXT_S", 1.0)
    monkeypatch.setattr(service, "_SETTLE_S", 0.05)
    monkeypatch.setattr(subject, "load_prompts", lambda _: prompts)
    yield
    for process in faulty.LeaksAProcess.leaked:
        process.kill()
        process.wait()
    faulty.LeaksAProcess.leaked.clear()


def held(kind: type[ToyEngine], pair: Pair = PAIR) -> dict[str, Finding]:
    with Suite(pair, Timeouts(silence_s=15.0), ToyFactory(kind)) as suite:
        return {finding.promise: finding for finding in suite.hold_all()}


def names(findings: dict[str, Finding], outcome: Outcome) -> set[str]:
    return {name for name, finding in findings.items() if finding.outcome is outcome}


def test_a_correct_engine_keeps_all() -> None:
    findings = held(ToyEngine)
    assert names(findings, Outcome.KEPT) == {promise.name for promise in PROMISES}


@pytest.mark.parametrize(
    ("kind", "broken", "words"),
    [
        (faulty.SaysNothingOfItself, {"info"}, "no version"),
        (faulty.BosTwice, {"prompt"}, "15 ids it says it read 16: [1, 1]"),
        (faulty.LosesTheLastId, {"prompt"}, "15 ids it says it read 14"),
        (faulty.LosesTheFirstIdSilently, {"prompt"}, "another first id changes nothing"),
        (
            faulty.NeverTheSame,
            {"repeats", "concurrency", "cancellation", "errors", "lossless"},
            "differs when asked again",
        ),
        (faulty.IgnoresSeeds, {"seeds"}, "samples changed with the same seed"),
        (faulty.OneTokenTooMany, {"limits", "end"}, "a limit of 1 tokens gave 2"),
        (faulty.IgnoresTheEnd, {"end"}, "goes on after its end token"),
        (faulty.EndsTwice, {"end", "records", "steps"}, "goes on after its end token"),
        (faulty.MixesUpRequests, {"concurrency", "cancellation"}, "at once"),
        (faulty.HangsOnCancel, {"cancellation"}, "not let go of a cancelled request"),
        (faulty.DecodesCancelledOnes, {"cancellation"}, "as if the cancelled one were decoded to its end"),
        (faulty.CountsOnlyHalf, {"counters"}, "contradict each other"),
        (faulty.SwallowsErrors, {"errors"}, "raises nothing"),
        (faulty.RaisesAnythingButEngineError, {"errors"}, "ValueError and no EngineError"),
        (faulty.DiesOfAnError, {"errors"}, "works no more"),
        (faulty.LossyDrafter, {"lossless"}, "nats less probable"),
        (faulty.ArgmaxWhenSampling, SAMPLING, "other tokens are sampled"),
        (faulty.RoundsTemperatures, {"sampling-0.7"}, "other tokens are sampled"),
        (faulty.PrefillIsAStep, {"records"}, "1 + S 5 + A 12 + U 0 − discarded 0 = 18"),
        (faulty.CountsTheBonusToken, {"records", "steps"}, "the last one can discard 0 to 3"),
        (faulty.SwapsHistogramBins, {"steps"}, "its record has the histogram"),
        (faulty.TellsTheTimeOfDay, {"stream"}, "not by time.perf_counter()"),
        (faulty.FailsToStop, {"stop"}, "stopped already"),
        (faulty.LeaksAProcess, {"stop"}, "1 processes are left"),
    ],
)
def test_a_planted_fault_is_caught_by_the_right_checks(kind: type[ToyEngine], broken: set[str], words: str) -> None:
    findings = held(kind)
    assert names(findings, Outcome.BROKEN) == broken, findings
    assert any(words in findings[name].words for name in broken), findings


def test_what_an_engine_does_not_say_is_absent() -> None:
    findings = held(faulty.NoRecord)
    assert names(findings, Outcome.ABSENT) == {"counters", "records", "steps"}
    assert names(findings, Outcome.BROKEN) == set()


@pytest.mark.parametrize(
    ("kind", "words"), [(faulty.MergesSteps, "have merged steps"), (faulty.SplitsSteps, "have steps in pieces")]
)
def test_emissions_that_are_no_steps_are_noticed_and_not_failed(kind: type[ToyEngine], words: str) -> None:
    findings = held(kind)
    assert names(findings, Outcome.BROKEN) == set()
    assert findings["steps"].outcome in (Outcome.KEPT, Outcome.ABSENT)
    assert words in findings["steps"].words


def test_what_an_engine_says_it_cannot_do_is_absent() -> None:
    findings = held(faulty.RefusesToSample)
    assert names(findings, Outcome.BROKEN) == set()
    assert names(findings, Outcome.ABSENT) == {"seeds", *SAMPLING}
    assert findings["seeds"].words == "The toy does not sample."


def test_without_a_drafter_what_needs_one_is_skipped() -> None:
    findings = held(ToyEngine, Pair("toy", "toy", "bundled:target"))
    assert names(findings, Outcome.SKIPPED) == {"counters", "records", "steps", "lossless", *SAMPLING}
    assert names(findings, Outcome.BROKEN) == set()
    assert findings["lossless"].words == "the pair has no drafter"


def test_a_server_that_runs_already_cannot_lose_its_drafter() -> None:
    findings = held(ToyEngine, Pair("toy", "toy", "bundled:target", PAIR.drafter, endpoint="http://localhost:1"))
    assert names(findings, Outcome.ABSENT) == {"lossless", *SAMPLING}
    assert names(findings, Outcome.BROKEN) == set()


def test_an_engine_that_does_not_start_breaks_every_promise_in_its_own_words() -> None:
    class DoesNotStart(ToyEngine):
        async def start(self) -> EngineInfo:
            raise EngineError("The weights are torn.", "Mend them.")

    findings = held(DoesNotStart)
    assert names(findings, Outcome.BROKEN) == set(findings)
    assert "The weights are torn." in findings["info"].words


def test_the_pair_is_started_once_and_the_target_alone_once() -> None:
    started: list[Pair] = []

    class Noted(ToyEngine):
        async def start(self) -> EngineInfo:
            started.append(self.pair)
            return await super().start()

    held(Noted)
    assert [pair.drafter for pair in started] == [PAIR.drafter, None]


def test_a_slow_engine_is_asked_less() -> None:
    fast, slow = effort.Effort.of(0.005, 3), effort.Effort.of(1.5, 3)
    assert (fast.prompts, fast.tokens, fast.positions, fast.reduced) == (11, 48, 8, False)
    assert (slow.prompts, slow.tokens, slow.positions, slow.reduced) == (3, 8, 4, True)
    assert slow.draws(5.0, prompts=4) == effort.Draws(2, 24)
    assert fast.draws(0.01, prompts=4) == effort.Draws(4, 60)
    assert Subject(PAIR, factory=ToyFactory(ToyEngine)).draft_length == 3
