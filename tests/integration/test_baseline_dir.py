"""``--speedbench-baseline-dir``"""

from __future__ import annotations

from tests.integration.conftest import Bench


def test_baselines_live_there(bench: Bench) -> None:
    bench.run("--speedbench-baseline-dir=elsewhere/deep", "--speedbench-update").assert_outcomes(passed=1)
    assert bench.baseline(folder="elsewhere/deep").exists()
    bench.run("--speedbench-baseline-dir=elsewhere/deep").assert_outcomes(passed=1)
    bench.run().assert_outcomes(failed=1)


def test_from_the_projects_settings(bench: Bench) -> None:
    path = bench.path / "pyproject.toml"
    path.write_text(path.read_text().replace('pair = "good"', 'pair = "good"\nbaseline_dir = "kept"', 1))
    bench.run("--speedbench-update").assert_outcomes(passed=1)
    assert bench.baseline(folder="kept").exists()
