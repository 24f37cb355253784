"""The families of models that transformers has, each with random tiny weights used every way: docs/families.md's table.

Two minutes on one core. With `--write` the table in the page is replaced, otherwise it is printed.

    python -m benchmarks.families --write
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers.utils import logging as transformers_logging

from pytest_speedbench.engines.transformers.routing import expert_count, routed_experts
from pytest_speedbench.errors import EngineError
from tests.families import FAMILIES
from tests.family_uses import uses_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "families.md"
BEGIN, END = "<!-- written by benchmarks/families.py -->", "<!-- end -->"
NO_EXPERTS = "has no routers"


def rows() -> Iterator[tuple[str, ...]]:
    """Name, model type, the uses and the routing of every family."""
    for name, make in FAMILIES.items():
        with TemporaryDirectory() as folder:
            found = uses_of(name, Path(folder))
        model = make().eval()
        yield (
            name,
            f"`{model.config.model_type}`",
            found.alone,
            found.ngram,
            found.draft_model,
            found.replayed,
            routing_of(model),
        )
        sys.stderr.write(f"{name}\n")


def routing_of(model: torch.nn.Module) -> str:
    """How many layers' routing is read, or that it is not known; a dash for a model without experts."""
    try:
        layers = routed_experts(model, (1, 2, 3), (4,)).shape[1]
        return f"{layers} {'layer' if layers == 1 else 'layers'} of {expert_count(model)}"
    except EngineError as error:
        return "–" if NO_EXPERTS in error.problem else "not known"


def table() -> str:
    """The table in Markdown."""
    head = ("family", "model type", "alone", "n-gram", "draft model", "replayed", "routing")
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows())]
    return "\n".join([f"transformers {version('transformers')}, torch {version('torch').split('+')[0]}:", "", *lines])


def main() -> None:
    """Print the table, or write it into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/families.md")
    write = parser.parse_args().write
    torch.set_num_threads(1)
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    found = table()
    if not write:
        print(found)
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
