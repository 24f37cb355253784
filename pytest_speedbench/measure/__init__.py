"""How prompts are asked and what is recorded: the same for every engine."""

from pytest_speedbench.measure.driver import Progress, StopRule, measure
from pytest_speedbench.measure.order import stratified_order
from pytest_speedbench.measure.run import Conversation, Run, SplitIdentity, Turn

__all__ = [
    "Conversation",
    "Progress",
    "Run",
    "SplitIdentity",
    "StopRule",
    "Turn",
    "measure",
    "stratified_order",
]
