"""``@pytest.mark.speedbench``"""

from __future__ import annotations

import pytest

from tests.integration.conftest import Bench


def write(bench: Bench, marker: str) -> None:
    bench.write_test(
        f"""
        import pytest

        @pytest.mark.speedbench({marker})
        def test_marked(speedbench):
            run = speedbench.measure().run
            print("asked", run.pair.name, len(run.conversations), run.sampling.max_output_tokens)
        """
    )


def test_it_sets_what_the_fixture_measures(bench: Bench) -> None:
    write(bench, "pair='weak', prompts=6, max_tokens=8")
    bench.run("-s").stdout.fnmatch_lines(["*asked weak 6 8"])


def test_the_command_line_wins(bench: Bench) -> None:
    write(bench, "prompts=6")
    bench.run("-s", "--speedbench-prompts=3").stdout.fnmatch_lines(["*asked good 3 40"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("'mini'", "*has positional arguments*"),
        ("splt='mini'", "*takes no 'splt'*"),
        ("prompts=0", "*prompts in the speedbench marker is 0*"),
        ("split='minni'", "*There is no split 'minni'*"),
    ],
)
def test_mistakes_are_known_before_anything_runs(bench: Bench, marker: str, message: str) -> None:
    write(bench, marker)
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
