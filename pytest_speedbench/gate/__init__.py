"""Whether a drafter got worse: paired statistics per category, verdicts, and the words for them."""

from pytest_speedbench.gate.compare import Look, compare, looks_of
from pytest_speedbench.gate.counts import StepCounts
from pytest_speedbench.gate.message import failure_message
from pytest_speedbench.gate.noise import OVERALL
from pytest_speedbench.gate.pairing import Pairing, PromptPair, pair_up
from pytest_speedbench.gate.sequential import SequentialGate
from pytest_speedbench.gate.verdict import Change, GatePolicy, GateResult, GateRow, Verdict

__all__ = [
    "OVERALL",
    "Change",
    "GatePolicy",
    "GateResult",
    "GateRow",
    "Look",
    "Pairing",
    "PromptPair",
    "SequentialGate",
    "StepCounts",
    "Verdict",
    "compare",
    "failure_message",
    "looks_of",
    "pair_up",
]
