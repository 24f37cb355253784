"""Runs the authors' script with the dataset's revision pinned. It is itself run by its path, in their environment.

Usage: ``driver.py FOLDER CONFIG OUT REPOSITORY REVISION REPORT``. It imports the standard library and the script only.
What it learns (versions, the sources that were loaded, why it failed) goes to REPORT as JSON.
"""

from __future__ import annotations

import importlib
import json
import platform
import runpy
import signal
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

ENTRY = "prepare_data.py"
MODULE = "specdec_bench.datasets.speed"
PACKAGES = ("datasets", "huggingface-hub", "numpy", "pandas", "pyarrow", "tiktoken")


def main(folder: str, config: str, out: str, repository: str, revision: str, report: str) -> int:
    """Run the script; returns the exit code."""
    sys.path.insert(0, folder)
    facts: dict[str, Any] = {"python": platform.python_version(), "versions": _versions(), "sources": [], "error": None}
    loading = ""

    def load_dataset(path: str, *arguments: Any, **options: Any) -> Any:
        nonlocal loading
        if path == repository:
            options["revision"] = revision
        loading = _label(path, arguments, options)
        loaded = original(path, *arguments, **options)
        if loading not in facts["sources"]:
            facts["sources"].append(loading)
        loading = ""
        return loaded

    try:
        module: Any = importlib.import_module(MODULE)
        if getattr(module, "not_installed", False):
            raise ModuleNotFoundError(f"one of {', '.join(PACKAGES)} is not installed here")  # noqa: TRY301
        original = module.load_dataset
        module.load_dataset = load_dataset
        _forbid_stale_rows()
        sys.argv = [ENTRY, "--dataset", "speed", "--config", config, "--output_dir", out]
        runpy.run_path(str(Path(folder, ENTRY)), run_name="__main__")
    except (Exception, SystemExit) as error:
        causes = _causes(error)
        facts["error"] = {
            "kinds": [type(cause).__name__ for cause in causes],
            "message": str(error),
            "loading": loading,
            "traceback": traceback.format_exc(),
        }
    Path(report).write_text(json.dumps(facts), encoding="utf-8")
    return 0 if facts["error"] is None else 1


def _forbid_stale_rows() -> None:
    """Rows are filled anew each time: ``datasets`` would otherwise give those of an earlier run. Downloads are kept."""
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError:
        return
    datasets.disable_caching()


def _label(path: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    name = next((str(value) for value in (*arguments, options.get("name")) if value is not None), "")
    files = options.get("data_files")
    if files is not None:
        return json.dumps(files, sort_keys=True)
    return "".join((path, f"/{name}" if name else "", f"@{options['revision']}" if options.get("revision") else ""))


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__ or current.__context__
    return causes


if __name__ == "__main__":
    # Die at once when interrupted: whoever started us clears up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(main(*sys.argv[1:]))
