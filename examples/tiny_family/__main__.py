"""``python -m examples.tiny_family --out DIR --seed 0`` retrains the whole family; run again, it continues."""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.tiny_family.export import install
from examples.tiny_family.pipeline import Pipeline, use_threads
from examples.tiny_family.recipe import FULL, QUICK


def main() -> None:
    """Parse the command line and run the pipeline."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_family", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for every stage's result")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a weak family in minutes, to try the code")
    parser.add_argument("--install", type=Path, help="copy the finished checkpoints into this folder")
    arguments = parser.parse_args()
    use_threads()
    pipeline = Pipeline(arguments.out, QUICK if arguments.quick else FULL, arguments.seed)
    pipeline.run()
    if arguments.install is not None:
        install(pipeline.built, arguments.install)


if __name__ == "__main__":
    main()
