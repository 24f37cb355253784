"""A pair as ``trtllm-serve`` is told it: a short command line, and a file with everything else."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_speedbench.config import Pair
from pytest_speedbench.engines.trtllm.arguments import engine_arguments
from pytest_speedbench.engines.trtllm.speculation import CONFIGS, backend, decoding_fields
from pytest_speedbench.engines.trtllm.versions import Version
from pytest_speedbench.errors import EngineError

KEY_VARIABLE = "OPENAI_API_KEY"
"""TensorRT-LLM's server asks for no key; what stands before it may."""
_PROGRAM = "trtllm-serve"
_ON_REQUEST = "enable_iter_perf_stats"


def server_program(python: str | None) -> str:
    """The path of ``trtllm-serve``: beside the interpreter ``python`` (``None``: this one), else on the path.

    Raises:
        EngineError: there is none.
    """
    interpreter = shutil.which(python or sys.executable) or ""
    beside = Path(interpreter).parent / _PROGRAM
    found = str(beside) if interpreter and beside.is_file() else shutil.which(_PROGRAM)
    if found is None:
        raise EngineError(
            f"There is no {_PROGRAM} beside the interpreter {python or sys.executable!r}.",
            "Give the python of TensorRT-LLM's environment with --speedbench-python.",
        )
    return found


def server_arguments(pair: Pair, version: Version) -> dict[str, Any]:
    """What the server's file says: the engine's arguments and its decoding config, all but the model.

    Iteration statistics are left off unless asked for: nobody reads them over HTTP.

    Raises:
        EngineError: a model does not exist, or arguments contradict the pair.
    """
    arguments = engine_arguments(pair, version)
    del arguments["model"]
    if _ON_REQUEST not in pair.engine_args:
        arguments.pop(_ON_REQUEST, None)
    if pair.drafter is not None:
        decoding_type = CONFIGS[pair.drafter.method].decoding_type
        arguments["speculative_config"] = {"decoding_type": decoding_type, **decoding_fields(pair, version)}
    return arguments


def server_command(pair: Pair, model: str, file: Path, host: str, port: int) -> list[str]:
    """The command line, an absolute path first.

    Args:
        pair: for its interpreter and its backend.
        model: the target's folder.
        file: where :func:`write_arguments` wrote.
        host: to listen at.
        port: the same.

    Raises:
        EngineError: as from :func:`server_program`.
    """
    where = ["--host", host, "--port", str(port)]
    how = ["--backend", backend(pair), "--extra_llm_api_options", str(file)]
    return [server_program(pair.python), model, *where, *how]


def write_arguments(arguments: Mapping[str, Any], file: Path) -> None:
    """Write the server's file. It is read as YAML, and JSON is YAML."""
    file.write_text(json.dumps(arguments, indent=2, default=_plain), encoding="utf-8")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)
