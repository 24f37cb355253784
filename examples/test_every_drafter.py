"""Several drafters of one target, each gated against its own baseline on a part of the prompts."""

import pytest

from pytest_speedbench import Speedbench


@pytest.mark.parametrize("pair", ["tiny-draft", "tiny-ngram", "tiny-eagle3-pruned"])
@pytest.mark.speedbench(prompts=44)
def test_no_regression(speedbench: Speedbench, pair: str) -> None:
    """44 prompts, four of each category: a quick look, with less power than all of them."""
    speedbench.assert_no_regression(pair=pair)
