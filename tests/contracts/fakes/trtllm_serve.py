"""A stand-in for the program ``trtllm-serve``: its options, its file, and a scripted server behind them.

What it was told and asked goes, one JSON object a line, into the file that ``FAKE_TRTLLM_SERVE_LOG`` names.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.contracts.contract import load
from tests.contracts.fakes.tensorrt_llm import configs
from tests.contracts.fakes.tensorrt_llm.strict import VARIANT
from tests.mock_server import MockServer

CONTRACT = load("trtllm")
_CLASSES = {
    "DraftTarget": configs.DraftTargetDecodingConfig,
    "Eagle": configs.EagleDecodingConfig,
    "MTP": configs.MTPDecodingConfig,
    "NGram": configs.NGramDecodingConfig,
    "Medusa": configs.MedusaDecodingConfig,
}


class Server(MockServer):
    """A server that refuses fields which the facts do not name."""

    def _refusal(self, body: Mapping[str, Any]) -> str:
        note("asked", body)
        known = set(CONTRACT.fact("POST /v1/completions", VARIANT).names)
        extra = sorted(body.keys() - known)
        return f"Extra inputs are not permitted: {extra[0]}" if extra else ""


def note(what: str, value: Any) -> None:
    """Add a line to the log."""
    with Path(os.environ["FAKE_TRTLLM_SERVE_LOG"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({what: value}) + "\n")


def read_options(words: list[str]) -> dict[str, str]:
    """The options behind the model's folder.

    Raises:
        SystemExit: an option that the program does not have.
    """
    options = dict(zip(words[::2], words[1::2], strict=True))
    for name in options:
        if name not in CONTRACT.fact("trtllm-serve", VARIANT).names:
            sys.exit(f"Error: No such option: {name}")
    return options


def load_model(backend: str, arguments: dict[str, Any]) -> None:
    """Check the file's entries as ``LLM`` does.

    Raises:
        ValueError: with its words.
    """
    speculation = arguments.pop("speculative_config", None)
    names = configs.PYTORCH_NAMES if backend == "pytorch" else configs.TENSORRT_NAMES
    configs.check_arguments("LLM", arguments, names)
    if speculation is None:
        return
    decoding_type = speculation.pop("decoding_type")
    if decoding_type not in _CLASSES:
        raise ValueError(f"Invalid decoding type: {decoding_type}")
    config = _CLASSES[decoding_type](**speculation)
    if backend not in config.BACKENDS:
        raise ValueError(f"Speculation type {decoding_type} does not support backend {backend}")


async def serve(host: str, port: int) -> None:
    """Answer until killed."""
    version = json.dumps({"version": f"{VARIANT.removesuffix('+')}.0"})
    server = Server(manner="trtllm", card={"id": "target"}, pages={"/version": version, "/metrics": "[]"})
    app = web.Application()
    app.router.add_post("/v1/completions", server.complete)
    app.router.add_get("/{path:.*}", server.page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


def main() -> None:
    """``trtllm-serve MODEL --option value …``."""
    model, *words = sys.argv[1:]
    options = read_options(words)
    arguments = json.loads(Path(options["--extra_llm_api_options"]).read_text(encoding="utf-8"))
    note("told", {"model": model, "options": options, "arguments": arguments})
    load_model(options["--backend"], dict(arguments))
    asyncio.run(serve(options["--host"], int(options["--port"])))


if __name__ == "__main__":
    main()
