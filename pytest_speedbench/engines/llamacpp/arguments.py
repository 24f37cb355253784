"""A pair in the words of ``llama-server``'s command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_speedbench.config import DrafterMethod, EngineArg, Pair
from pytest_speedbench.engines.checkpoints import Checkpoint
from pytest_speedbench.engines.llamacpp.binary import PROGRAM
from pytest_speedbench.engines.llamacpp.files import DRAFT_GGUF, GGUF
from pytest_speedbench.errors import EngineError, closest

BINARY = "binary"
_NOT_FLAGS = (BINARY, GGUF, DRAFT_GGUF)
DEFAULT_PROMPT_LOOKUP = 3
"""An n-gram of three tokens is looked up, which is the longest that the other engines look up."""

_TYPES = {
    DrafterMethod.DRAFT_MODEL: "draft-simple",
    DrafterMethod.EAGLE3: "draft-eagle3",
    DrafterMethod.MTP: "draft-mtp",
    DrafterMethod.DFLASH: "draft-dflash",
    DrafterMethod.NGRAM: "ngram-simple",
}
_OURS = {
    "model": "the pair's model, or the engine argument gguf",
    "spec_draft_model": "the pair's drafter, or the engine argument draft_gguf",
    "model_draft": "the pair's drafter, or the engine argument draft_gguf",
    "spec_type": "the pair's drafter",
    "spec_draft_n_max": "the pair's draft length",
    "spec_ngram_simple_size_m": "the pair's draft length",
    "host": "this engine",
    "port": "this engine",
    "alias": "this engine",
    "slot_save_path": "this engine",
    "api_key": "the environment variable LLAMA_API_KEY",
    "api_key_file": "the environment variable LLAMA_API_KEY",
}


def binary_name(pair: Pair) -> str:
    """The program to run: the engine argument ``binary``, else ``llama-server`` as the shell finds it."""
    return str(pair.engine_args.get(BINARY) or PROGRAM)


def check_method(pair: Pair) -> None:
    """Refuse drafters that llama.cpp does not have.

    Raises:
        EngineError: with the way out.
    """
    if pair.drafter is not None and pair.drafter.method not in _TYPES:
        raise EngineError(
            f"llama.cpp has no drafter of the method {pair.drafter.method.value}.",
            f"Use one of: {', '.join(method.value for method in _TYPES)}.",
        )


def check_arguments(pair: Pair, known: frozenset[str]) -> None:
    """Refuse engine arguments that say again what the pair says, and those that the program does not know.

    Args:
        pair: what is to be served.
        known: the program's flags.

    Raises:
        EngineError: with the way out.
    """
    for name in pair.engine_args:
        if name in _OURS:
            raise EngineError(f"The engine argument {name} is set by {_OURS[name]}.", "Leave it out.")
        if name not in _NOT_FLAGS and _flag(name) not in known:
            names = [flag[2:].replace("-", "_") for flag in known if flag.startswith("--")]
            raise EngineError(
                f"llama-server knows no argument {name!r} ({_flag(name)}).",
                f"{closest(name, names)}Its --help lists them; write the long names, with underscores.",
            )


def arguments(pair: Pair, target: Checkpoint) -> dict[str, EngineArg]:
    """The program's flags as a table, without the files: the user's own win, except what the pair itself says.

    Nothing is kept between requests, since a prompt that was asked before would skip its prefill, and one request is
    decoded at a time unless the user says otherwise, so that it has the whole context.
    """
    user = {name: value for name, value in pair.engine_args.items() if name not in _NOT_FLAGS}
    table: dict[str, EngineArg] = {"parallel": 1, "cache_ram": 0, "metrics": True}
    if _is_byte_level(target.folder):
        table["override_kv"] = _whole_characters(user.pop("override_kv", None))
    return {**table, **_speculation(pair), **user}


def flags(table: Mapping[str, EngineArg]) -> list[str]:
    """A table as words of the command line; entries that are ``None`` are left out, lists repeat their flag."""
    words: list[str] = []
    for name, value in table.items():
        if isinstance(value, bool):
            words.append(_flag(name) if value else f"--no-{_flag(name)[2:]}")
        elif isinstance(value, (list, tuple)):
            words += [word for entry in value for word in (_flag(name), str(entry))]
        elif value is not None:
            words += [_flag(name), str(value)]
    return words


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _speculation(pair: Pair) -> dict[str, EngineArg]:
    if pair.drafter is None:
        return {}
    table: dict[str, EngineArg] = {"spec_type": _TYPES[pair.drafter.method]}
    if pair.drafter.method is DrafterMethod.NGRAM:
        return {
            **table,
            "spec_ngram_simple_size_n": DEFAULT_PROMPT_LOOKUP,
            "spec_ngram_simple_size_m": pair.drafter.draft_length,
        }
    return {**table, "spec_draft_n_max": pair.drafter.draft_length}


def _whole_characters(given: EngineArg) -> list[EngineArg]:
    """The server streams no token that ends within a character, nor ever its id. Read as SentencePiece pieces, the
    byte-level tokens are whole characters each; ids go in and ids come out, so that nothing else changes."""
    user = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    return ["tokenizer.ggml.model=str:llama", *user]


def _is_byte_level(folder: Path) -> bool:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return False
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    return tokenizer["model"].get("type") == "BPE" and "ByteLevel" in json.dumps(
        [tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")]
    )
