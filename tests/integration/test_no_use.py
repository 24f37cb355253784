"""A project that does not use speedbench sees nothing of it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_nothing_is_printed_and_nothing_heavy_is_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_unrelated():
            heavy = {"numpy", "scipy", "torch", "transformers", "rich.table", "msgspec"}
            assert not heavy & set(sys.modules)
            ours = sorted(name for name in sys.modules if name.startswith("pytest_speedbench"))
            assert ours == ["pytest_speedbench", "pytest_speedbench.options", "pytest_speedbench.plugin"]
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*speedbench:*")
    result.stdout.no_fnmatch_line("*= speedbench =*")


def test_importing_the_plugin_brings_in_only_the_table_of_options() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_speedbench.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(["pytest_speedbench", "pytest_speedbench.options", "pytest_speedbench.plugin"])
