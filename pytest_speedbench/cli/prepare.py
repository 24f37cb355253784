"""``speedbench prepare``: SPEED-Bench with its text, by its authors' own script."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_speedbench.cli.common import to_stderr
from pytest_speedbench.errors import ConfigError

_ALL = "all"
_LICENCE = (
    "The rows are under the NVIDIA Evaluation Dataset License and the licences of the sources that they come from: "
    "use them to evaluate, and never redistribute them."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "prepare",
        help="prepare SPEED-Bench: fetch it, fill in the text that it only refers to, and verify the result",
        description="Fetch SPEED-Bench from the hub and fill its placeholder rows by its authors' own script, at a "
        "pinned revision whose files are checked before they run, in an environment of their own. The result is "
        f"verified and gets a prepared.json beside it. {_LICENCE}",
        allow_abbrev=False,
    )
    parser.add_argument(
        "configs",
        nargs="+",
        metavar="CONFIG",
        help=f"qualitative, throughput_1k, _2k, _8k, _16k or _32k; or {_ALL}",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data/speed"),
        metavar="DIR",
        help="write CONFIG/test.parquet into DIR (default: data/speed)",
    )
    parser.add_argument("--revision", metavar="REV", help="of the dataset: branch, tag or commit (default: its newest)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument(
        "--expect-sha256", metavar="SHA256", help="fail unless the content has this hash; for one CONFIG"
    )
    script = parser.add_argument_group("the authors' script")
    script.add_argument("--python", metavar="PATH", help="run it with this python, which has what it needs")
    script.add_argument(
        "--source", metavar="URL|DIR", help="where its files lie (default: the authors' repository on GitHub)"
    )
    script.add_argument("--script-revision", metavar="SHA", help="another revision than the pinned one")
    script.add_argument("--script-sha256", metavar="SHA256", help="hash of its files, for another revision")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prepare each config in turn; prints the path of each file.

    Raises:
        SpeedbenchError: one could not be prepared. Those before it are.
    """
    from pytest_speedbench.preparation import PINNED_REVISION, Plan, Script, prepare
    from pytest_speedbench.splits.speed_bench import CONFIGS, check_config

    configs = CONFIGS if _ALL in arguments.configs else tuple(dict.fromkeys(arguments.configs))
    for config in configs:
        check_config(config)
    if arguments.expect_sha256 is not None and len(configs) > 1:
        raise ConfigError("--expect-sha256 is the hash of one config, and several are asked.", "Prepare them singly.")
    script = Script(arguments.script_revision or PINNED_REVISION, arguments.script_sha256, arguments.source)
    to_stderr(f"speedbench: {_LICENCE}\n")
    for config in configs:
        plan = Plan(
            config,
            arguments.out,
            arguments.revision,
            script,
            arguments.python,
            arguments.expect_sha256,
            force=arguments.force,
        )
        prepared = prepare(plan, lambda text: to_stderr(f"speedbench: {text}\n"))
        rows = sum(prepared.record.rows.values())
        state = "prepared and verified" if prepared.fresh else "already prepared; verified again"
        to_stderr(f"speedbench: {config}: {state}, {rows} rows, content sha256 {prepared.record.content_sha256}\n")
        print(prepared.file)  # noqa: T201
    return 0
