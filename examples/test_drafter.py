"""The main job: gate a drafter against its stored baseline.

Without options this measures the bundled tiny family. Point it at your own pair:

    pytest examples/test_drafter.py --speedbench-model=/models/target --speedbench-drafter=eagle3:/models/head
"""

from pytest_speedbench import Speedbench


def test_no_regression(speedbench: Speedbench) -> None:
    """No category's acceptance length may have dropped by more than the tolerance."""
    speedbench.assert_no_regression()


def test_lossless(speedbench: Speedbench) -> None:
    """The drafter may change the speed, never the answer."""
    speedbench.measure().assert_lossless(prompts=44)
