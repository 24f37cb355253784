"""Speed comparisons with a session's engines and prompts: what :mod:`pytest_speedbench.measurement` offers to tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_speedbench.config import Load, Pair
from pytest_speedbench.gate.speed import AgainstStored, SpeedResult, compare_speed, incomparable_speed
from pytest_speedbench.sweeps.interleaved import Ask, measure_interleaved, measure_rounds

if TYPE_CHECKING:
    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.baselines.rounds import RoundSpeeds
    from pytest_speedbench.gate import GatePolicy
    from pytest_speedbench.gate.speed import Interleaved
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.session import SpeedbenchSession
    from pytest_speedbench.settings import Settings


def measure_in_turn(
    session: SpeedbenchSession,
    settings: Settings,
    pairs: tuple[Pair, Pair],
    rounds: int | None,
    concurrency: Sequence[int] | None = None,
) -> tuple[Interleaved, ...]:
    """Rounds of a reference and a candidate in turn, at each concurrency; what is left out is the settings'.

    Equal rounds are measured once a session.

    Raises:
        ConfigError: too few rounds, or a concurrency that the prompts do not fill.
        EngineError: an engine failed, or gave no times.
    """
    session.check_alone()
    concurrencies = (settings.load.concurrency,) if concurrency is None else tuple(concurrency)
    rounds = settings.rounds if rounds is None else rounds

    def measured() -> tuple[Interleaved, ...]:
        return measure_interleaved(
            _asking(session, settings),
            *pairs,
            concurrencies=concurrencies,
            rounds=rounds,
            prompts=len(session.asked(settings)),
        )

    return session.once(settings, ("in turn", pairs, concurrencies, rounds), measured)


def compare_with_stored(
    session: SpeedbenchSession, settings: Settings, run: Run, stored: Baseline, rounds: int | None, policy: GatePolicy
) -> SpeedResult:
    """Measure rounds of a run's pair and compare them with a baseline's; nothing, with a note, if it is no reference.

    Raises:
        ConfigError: no rounds.
        EngineError: the engine failed, or gave no times.
    """
    against = f"the baseline of {stored.pair} ({stored.recorded.date})"
    prompts = [prompt.question_id for prompt in session.asked(settings).prompts]
    note = incomparable_speed(stored, run, prompts)
    if note or stored.calibration is None or stored.calibration.rounds is None:
        return compare_speed([], policy, against=against, notes=[note])
    session.check_alone()
    rounds = settings.rounds if rounds is None else rounds

    def rounds_of_run() -> RoundSpeeds:
        return measure_rounds(
            _asking(session, settings),
            run.pair,
            concurrency=run.load.concurrency,
            rounds=rounds,
            prompts=len(prompts),
        )

    measured = session.once(settings, ("rounds", run.pair, run.load, rounds), rounds_of_run)
    compared = AgainstStored(run.load.concurrency, stored.calibration.rounds, measured)
    return compare_speed([compared], policy, against=against)


def _asking(session: SpeedbenchSession, settings: Settings) -> Ask:
    def ask(pair: Pair, concurrency: int, prompts: int | None) -> Run:
        asked = replace(
            settings, pair=pair, load=Load(concurrency), prompts=prompts or settings.prompts, record_outputs=False
        )
        return session.measure(asked, fresh=True)

    return ask
