"""``speedbench curate``: a diverse selection of one's own candidate prompts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.cli.common import add_json_option, check_writable, say, terminal_width
from pytest_speedbench.errors import ConfigError

if TYPE_CHECKING:
    from pytest_speedbench.curation import Embeddings
    from pytest_speedbench.splits import Split


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "curate",
        help="select from candidate prompts, category by category, those that are least like each other",
        description="Select so many prompts of each category that their average pairwise cosine similarity is as low "
        "as can be found: greedily, then by swaps. The selection depends on the vectors and ids only; a smaller one "
        "need not lie inside a larger one.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "candidates", metavar="CANDIDATES", help="a split: a file or folder of prompts, or a bundled split"
    )
    parser.add_argument(
        "--columns",
        metavar="OURS=THEIRS,...",
        help="what the file calls our columns, e.g. turns=prompt,category=topic",
    )
    parser.add_argument(
        "--per-category", type=_prompts, required=True, metavar="N", help="prompts to select of each category"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.jsonl", help="write the selected prompts to FILE.jsonl")
    compared = parser.add_argument_group(
        "by what prompts are compared", "Without either: by their words (TF-IDF), which needs no model."
    ).add_mutually_exclusive_group()
    compared.add_argument(
        "--embeddings",
        type=Path,
        metavar="FILE",
        help="vectors of the candidates: .npy, one row for each in their order, or .parquet with the columns "
        "question_id and embedding",
    )
    compared.add_argument(
        "--model", metavar="MODEL", help="a sentence-transformers model: a folder or a name on the hub"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the random draws to compare with (default: 0)"
    )
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Select, write what was selected, and print what it gained.

    Raises:
        SpeedbenchError: candidates, embeddings or files cannot be used.
    """
    check_writable(arguments.out)
    check_writable(arguments.json)
    _check_out(arguments)

    from pytest_speedbench.curation import curate
    from pytest_speedbench.curation.curate import jsonl
    from pytest_speedbench.readers import read_value
    from pytest_speedbench.report.curation import curation_json, curation_lines
    from pytest_speedbench.splits import load_split
    from pytest_speedbench.splits.source import SplitSource

    columns = read_value("columns", arguments.columns, "--columns") if arguments.columns else ()
    split = load_split(SplitSource(arguments.candidates, columns=columns))
    result = curate(split, _embeddings(arguments, split), arguments.per_category, arguments.seed)
    if arguments.out is not None:
        arguments.out.write_bytes(jsonl(result.selected))
    if arguments.json is not None:
        arguments.json.write_bytes(curation_json(result))
    for line in curation_lines(result, width=terminal_width(), colour=sys.stdout.isatty()):
        say(line)
    return 0


def _embeddings(arguments: argparse.Namespace, split: Split) -> Embeddings:
    from pytest_speedbench.curation import embed, open_embeddings, tfidf

    if arguments.embeddings is not None:
        return open_embeddings(arguments.embeddings, split)
    return tfidf(split) if arguments.model is None else embed(split, arguments.model)


def _check_out(arguments: argparse.Namespace) -> None:
    out: Path | None = arguments.out
    if out is None:
        return
    if out.suffix != ".jsonl":
        raise ConfigError(f"The selection is written as JSONL, which {out} does not say.", "Name a file FILE.jsonl.")
    given = Path(arguments.candidates)
    if out.exists() and given.exists() and out.samefile(given):
        raise ConfigError(f"{out} holds the candidates themselves.", "Name another file for the selection.")


def _prompts(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of prompts") from None
    if number < 2:
        raise argparse.ArgumentTypeError(f"{number} is too few: prompts are compared in pairs, so at least 2")
    return number
