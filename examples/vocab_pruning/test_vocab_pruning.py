"""What a pruned draft vocabulary costs, tested by category.

Copy this beside your own tests, name your two heads' pairs, and give your own counts or text to count in.
"""

from pathlib import Path

import pytest

from pytest_speedbench import Pair, RegressionError, Run, Speedbench
from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.gate import GatePolicy, Verdict
from pytest_speedbench.pruning import draft_vocabulary, load_counts, outside_by_category
from pytest_speedbench.sweeps.vocabulary import sweep_vocabulary
from pytest_speedbench.tolerance import parse_tolerance

FULL, PRUNED, PRUNED_HEAD = "tiny-eagle3", "tiny-eagle3-pruned", "bundled:eagle3-pruned"
TARGET = "bundled:target"
COUNTS = Path(__file__).parent / "counts" / "english.json"

pytestmark = pytest.mark.speedbench(split="mini", categories=["coding", "math", "multilingual"], prompts=36)


def test_multilingual_pays_for_the_pruned_vocabulary(speedbench: Speedbench) -> None:
    comparison = speedbench.compare(FULL, PRUNED)
    regressed = {row.name for row in comparison.gate().rows if row.verdict is Verdict.REGRESSION}
    assert regressed == {"multilingual"}
    with pytest.raises(RegressionError, match="multilingual"):
        comparison.assert_no_regression()


def test_coding_and_math_pass(speedbench: Speedbench) -> None:
    speedbench.compare(FULL, PRUNED, categories=["coding", "math"], prompts=24).assert_no_regression()


def test_the_loss_lies_where_the_vocabulary_lacks_tokens(speedbench: Speedbench) -> None:
    outside = outside_by_category(speedbench.measure(pair=FULL).run, draft_vocabulary(PRUNED_HEAD))
    shares = {name: row.share or 0.0 for name, row in outside.items()}
    assert shares["multilingual"] > 0.5
    assert max(shares["coding"], shares["math"]) < 0.03


def test_which_vocabulary_is_enough_for_whom(speedbench: Speedbench, tmp_path: Path) -> None:
    """Cuts the full head to two sizes, by the frequencies of English answers, and judges both."""

    def measure(pair: Pair) -> Run:
        return speedbench.measure(pair=pair).run

    counts = load_counts(COUNTS, open_checkpoint(TARGET, download=True).folder)
    policy = GatePolicy(parse_tolerance(0.05, "tolerance"))
    sweep = sweep_vocabulary(measure, speedbench.pairs[FULL], [512, 1280], counts, tmp_path, policy)
    shown = {row.name: row.smallest_shown for row in sweep.rows}
    assert shown["coding"] == 1280
    assert shown["math"] in (512, 1280)
    assert shown["multilingual"] is None, "English counts never give a vocabulary for other languages"
    assert sweep.smallest_not_found is None
