"""Whether a drafter got worse: paired statistics per category, verdicts, and the words for them."""

from pytest_speedbench.gate.compare import OVERALL, compare
from pytest_speedbench.gate.message import failure_message
from pytest_speedbench.gate.pairing import Pairing, PromptPair, pair_up
from pytest_speedbench.gate.verdict import GatePolicy, GateResult, GateRow, Mover, Verdict

__all__ = [
    "OVERALL",
    "GatePolicy",
    "GateResult",
    "GateRow",
    "Mover",
    "Pairing",
    "PromptPair",
    "Verdict",
    "compare",
    "failure_message",
    "pair_up",
]
