"""What a comparison in a test rests on: the policy in force, whether runs may be compared, and the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_speedbench.baselines.fingerprint import AcceptanceKey, acceptance_differences
from pytest_speedbench.baselines.known import known_differences
from pytest_speedbench.errors import BaselineError, OutputsDifferError, RegressionError
from pytest_speedbench.gate import GatePolicy, GateResult
from pytest_speedbench.report.regression import regression_message
from pytest_speedbench.tolerance import parse_tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_speedbench.baselines import Baseline
    from pytest_speedbench.baselines.fingerprint import Difference
    from pytest_speedbench.measure.run import Run
    from pytest_speedbench.settings import Settings
    from pytest_speedbench.splits import Split


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A comparison with what was compared, so that a failure can say where the loss lies.

    ``reference`` is ``None`` for figures without prompts.
    """

    result: GateResult
    reference: Baseline | Run | None
    runs: Sequence[Run]

    def check(self) -> None:
        """Fail unless it passed.

        Raises:
            OutputsDifferError: more greedy outputs differ from the reference's than may.
            RegressionError: a category regressed, or lacks the data to say.
        """
        if self.result.failed:
            error = OutputsDifferError if self.result.outputs_failed else RegressionError
            raise error(regression_message(self.result, self.reference, self.runs))


def policy_of(settings: Settings, tolerance: Any) -> GatePolicy:
    """The policy in force, with a call's own tolerance, in any form, before the settings'.

    Raises:
        ConfigError: the tolerance cannot be read.
    """
    chosen = settings.tolerance
    if tolerance is not None:
        chosen = chosen.overridden_by(parse_tolerance(tolerance, "tolerance"))
    return GatePolicy(chosen, settings.family_error, settings.policy, settings.outputs)


def check_comparable(key: AcceptanceKey, run: Run, what: str) -> None:
    """Refuse a comparison of unlike things. A missing record is not one: the gate names it, prompt by prompt.

    Raises:
        BaselineError: the acceptance keys differ.
    """
    measured = AcceptanceKey.of(run)
    if measured.source is None:
        measured = msgspec.structs.replace(measured, source=key.source, draft_length=key.draft_length)
    _refuse(acceptance_differences(key, measured), f"This run of {run.pair.name!r} is", what)


def check_will_be_comparable(stored: Baseline, settings: Settings, split: Split) -> None:
    """Refuse at once, before anything is measured, what is known not to be comparable with a baseline.

    Raises:
        BaselineError: settings, prompts or the target's small files differ.
    """
    _refuse(known_differences(stored, settings, split), f"A run of {settings.pair.name!r} is", name_of(stored))


def _refuse(found: Sequence[Difference], which: str, what: str) -> None:
    if found:
        raise BaselineError(
            f"{which} not comparable with {what}: {'; '.join(map(str, found))}.",
            "Measure under the same settings; after an intended change record a new baseline with --speedbench-update.",
        )


def name_of(stored: Baseline) -> str:
    """A baseline in words."""
    return f"the baseline of {stored.pair!r} on {stored.split!r}"
