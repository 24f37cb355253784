"""Files of results, and what produced them."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def provenance(script: str, engines: Iterable[str], wall_s: float) -> dict[str, Any]:
    """The command without anybody's folders, versions, and how long the engines ran."""
    arguments = [Path(argument).name if "/" in argument else argument for argument in sys.argv[1:]]
    return {
        "command": " ".join(["python", f"benchmarks/{script}", *arguments]),
        "engines": sorted(set(engines)),
        "python": platform.python_version(),
        "pytest-speedbench": metadata.version("pytest-speedbench"),
        "machine": f"{os.cpu_count()} cores",
        "engine_wall_s": round(wall_s),
    }


def write_results(file: Path, results: Mapping[str, Any]) -> None:
    """One line of JSON: the counts are many, and nobody reads them."""
    file.write_text(json.dumps(results, separators=(",", ":"), ensure_ascii=False) + "\n")
