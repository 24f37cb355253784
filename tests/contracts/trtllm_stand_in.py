"""Runs the trtllm adapter in this process, over the stand-in for TensorRT-LLM."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

from pytest_speedbench.config import Drafter, EngineArg, Pair, Sampling
from pytest_speedbench.engines import installed as packages
from pytest_speedbench.engines.base import Emission, EngineInfo, Finish, Request
from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

FAKES = Path(__file__).parent / "fakes"
MEDUSA = Path(__file__).resolve().parents[1] / "data" / "medusa"
HEAD = BUNDLED_FOLDER / "eagle3"
"""A head that is not bundled, as far as its reference tells."""
PROMPT = (5, 6, 7, 8)

_Answer = TypeVar("_Answer")


class StandIn:
    """The stand-in in one variant, as long as it is imported.

    Attributes:
        variant: such as 1.2 or 1.2+.
        engine: the adapter's module, imported over it.
        package: the stand-in itself.
    """

    def __init__(self, variant: str, engine: ModuleType, package: ModuleType) -> None:
        self.variant, self.engine, self.package = variant, engine, package

    @property
    def uses(self) -> dict[str, set[str]]:
        """What was used of it so far, by subject."""
        found: dict[str, set[str]] = importlib.import_module("tensorrt_llm.strict").USES
        return found

    @property
    def started(self) -> list[Any]:
        """The engines started so far."""
        found: list[Any] = importlib.import_module("tensorrt_llm.engine").STARTED
        return found

    def part(self, name: str) -> ModuleType:
        """One of its modules."""
        return importlib.import_module(f"tensorrt_llm.{name}")

    def play(self, **script: Any) -> None:
        """Have its model do as told from now on."""
        module = self.part("script")
        module.CURRENT.script = module.Script(**script)


@contextmanager
def stand_in(monkeypatch: pytest.MonkeyPatch, variant: str) -> Iterator[StandIn]:
    """The stand-in imported in one variant, with a GPU to go with it."""
    version = variant.removesuffix("+")
    monkeypatch.setenv("FAKE_TENSORRT_LLM", variant)
    monkeypatch.syspath_prepend(str(FAKES))
    found = {"tensorrt_llm": f"{version}.0", "pytest-speedbench": "1"}
    monkeypatch.setattr(packages, "installed", lambda *_: found)
    _forget()
    try:
        package = importlib.import_module("tensorrt_llm")
        engine = importlib.import_module("pytest_speedbench.engines.trtllm.engine")
        monkeypatch.setattr(engine, "accelerator", lambda: ("A GPU", "CUDA 13.0"))
        yield StandIn(variant, engine, package)
    finally:
        _forget()


def pair(drafter: str | None = f"eagle3:{HEAD}", draft_length: int = 3, **args: EngineArg) -> Pair:
    return Pair("p", "trtllm", "bundled:target", Drafter.parse(drafter, draft_length) if drafter else None, args)


def greedy(max_tokens: int = 24, *, ignore_eos: bool = True) -> Sampling:
    return Sampling(max_output_tokens=max_tokens, ignore_eos=ignore_eos)


def run(there: StandIn, measured: Pair, work: Callable[[Any, EngineInfo], Awaitable[_Answer]]) -> _Answer:
    """Start an engine, do the work with it, and stop it."""

    async def session() -> _Answer:
        engine = there.engine.TrtllmEngine(measured)
        try:
            return await work(engine, await engine.start())
        finally:
            await engine.stop()

    return asyncio.run(session())


async def ask(engine: Any, sampling: Sampling, prompt: tuple[int, ...] = PROMPT) -> tuple[list[Emission], Finish]:
    """One request's emissions and its end."""
    *emissions, finish = [item async for item in engine.generate(Request("r", prompt, sampling))]
    assert isinstance(finish, Finish)
    return emissions, finish


def ids(emissions: list[Emission]) -> tuple[int, ...]:
    return tuple(token for emission in emissions for token in emission.token_ids)


def _forget() -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "tensorrt_llm" or name == "pytest_speedbench.engines.trtllm.engine":
            del sys.modules[name]
