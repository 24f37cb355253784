"""Typed settings. Options, environment and TOML are read once, in :mod:`pytest_speedbench.settings`, into these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pytest_speedbench.errors import ConfigError

EngineArg = str | int | float | bool | None | Sequence["EngineArg"] | Mapping[str, "EngineArg"]
"""What JSON and TOML can say."""

DEFAULT_DRAFT_LENGTH = 3
DEFAULT_TOLERANCE = 0.01
"""The relative drop of the acceptance length that is accepted unless the user says otherwise."""
DEFAULT_SPEED_TOLERANCE = 0.05
"""The relative loss of a throughput or a time that is accepted unless the user says otherwise."""
DEFAULT_FAMILY_ERROR = 0.01
"""The probability of a false alarm in a whole run unless the user says otherwise."""
DEFAULT_ROUNDS = 6
LEAST_ROUNDS = 3
"""Fewer rounds of a speed comparison give no interval worth the name."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
"""What a target's weights and arithmetic may be in; ``auto`` is the checkpoint's own."""
_DTYPE_ALIASES = {"float": "float32", "fp32": "float32", "half": "float16", "fp16": "float16", "bf16": "bfloat16"}
SHARED_SETTINGS = ("dtype", "tensor_parallel", "context_tokens")
"""What a pair says of every engine alike."""

Mode = Literal["decode", "replay"]
"""``decode``: the engine decodes. ``replay``: the drafter is judged on stored outputs."""

OutputsPolicyName = Literal["equal", "calibrated", "note"]
"""Greedy outputs that are not the baseline's: ``equal`` fails on any, ``calibrated`` on more than rounding or the
baseline's calibration explain, ``note`` on none."""

GatePolicyName = Literal["detect", "prove"]
"""``detect``: fail on a regression. ``prove``: fail unless no regression is shown."""


def user_cache_folder() -> Path:
    """Where what can be made again is kept: below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pytest-speedbench"


def canonical_dtype(name: str) -> str:
    """One name for a dtype that engines call by several, such as ``half`` and ``torch.float16``."""
    plain = name.strip().lower().removeprefix("torch.")
    return _DTYPE_ALIASES.get(plain, plain)


class DrafterMethod(str, Enum):
    """How a drafter makes its draft."""

    DRAFT_MODEL = "draft_model"
    """An independent, smaller language model with the target's tokenizer."""
    EAGLE = "eagle"
    """A head that reads the target's last hidden state."""
    EAGLE3 = "eagle3"
    """A head that reads hidden states of several of the target's layers; full or pruned draft vocabulary."""
    MEDUSA = "medusa"
    """One small head per draft position over the target's last hidden state."""
    NGRAM = "ngram"
    """Prompt lookup: continues the last tokens as they were continued earlier in the text. Needs no model."""
    SUFFIX = "suffix"
    """Suffix matching over the prompt and over earlier outputs. Needs no model."""
    MTP = "mtp"
    """Multi-token-prediction layers that are part of the target's own checkpoint. Needs no model."""
    DFLASH = "dflash"
    """A block-diffusion drafter that reads the target's hidden states."""

    @property
    def needs_model(self) -> bool:
        """Whether this method loads a drafter model of its own."""
        return self not in (DrafterMethod.NGRAM, DrafterMethod.SUFFIX, DrafterMethod.MTP)


@dataclass(frozen=True, slots=True)
class Drafter:
    """A drafter: its method, where its model is (``None`` if the method needs none), and K.

    ``draft_length`` is the number of tokens proposed per verify step, at least 1.
    """

    method: DrafterMethod
    model: str | None = None
    draft_length: int = DEFAULT_DRAFT_LENGTH

    @classmethod
    def parse(cls, text: str, draft_length: int = DEFAULT_DRAFT_LENGTH) -> Drafter:
        """Read ``method`` or ``method:model``, e.g. ``ngram`` or ``eagle3:/models/head``.

        Raises:
            ConfigError: unknown method, a model missing where one is needed, or one given where none is.
        """
        name, _, model = text.partition(":")
        methods = ", ".join(f"{m.value}:MODEL" if m.needs_model else m.value for m in DrafterMethod)
        try:
            method = DrafterMethod(name.strip())
        except ValueError:
            raise ConfigError(f"Unknown drafter {text!r}.", f"Write one of: {methods}.") from None
        if method.needs_model and not model:
            raise ConfigError(
                f"The drafter {text!r} names no model.", f"Write {name}:MODEL, with a folder or a hub id for MODEL."
            )
        if model and not method.needs_model:
            raise ConfigError(f"The drafter {text!r} takes no model.", f"Write just {name}.")
        if draft_length < 1:
            raise ConfigError(
                f"A draft length of {draft_length} drafts nothing.",
                "Give a draft length of at least 1, or leave the drafter out to measure the target alone.",
            )
        return cls(method, model or None, draft_length)

    def __str__(self) -> str:
        return f"{self.method.value}:{self.model}" if self.model else self.method.value


@dataclass(frozen=True, slots=True)
class Pair:
    """A target with its drafter on an engine: what is measured.

    Attributes:
        name: under which its baseline is kept.
        engine: the engine's registered name.
        model: the target: a folder, a hub id or ``bundled:NAME``.
        drafter: ``None`` for the target alone.
        engine_args: handed to the engine as they are, and recorded as resolved.
        python: the interpreter of the environment where the engine is installed, for engines that run in a process of
            their own; ``None`` for this one.
        endpoint: URL of a server that is running already; ``None`` to start one, for engines that are servers.
        command: the command line that starts one, for engines that do not know how: ``{port}``, ``{model}``,
            ``{drafter}`` and ``{draft_length}`` in it are filled in.
        dtype: of weights and arithmetic, one of :data:`DTYPES`; ``None`` for the engine's own choice.
        tensor_parallel: devices that each layer is spread over; ``None`` for the engine's own choice.
        context_tokens: the longest sequence, prompt and output together; ``None`` for the engine's own choice.
        dropped: what was said of it for another engine and does not hold here, in words.
    """

    name: str
    engine: str
    model: str
    drafter: Drafter | None = None
    engine_args: Mapping[str, EngineArg] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    python: str | None = None
    endpoint: str | None = None
    command: str | None = None
    dtype: str | None = None
    tensor_parallel: int | None = None
    context_tokens: int | None = None
    dropped: tuple[str, ...] = field(default=(), compare=False)

    def alone(self) -> Pair:
        """The target alone: without the drafter, and without what engine arguments (``speculative_…``) say of one."""
        args = {name: value for name, value in self.engine_args.items() if not name.startswith("speculative_")}
        return replace(self, name=f"{self.model} alone", drafter=None, engine_args=MappingProxyType(args))

    @property
    def server(self) -> str | None:
        """The server whose drafter is not ours to change, in words; ``None`` where the engine is told what to load."""
        if self.endpoint is not None:
            return f"The server at {self.endpoint}"
        return "The server that the pair's command starts" if self.command is not None else None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the target picks tokens. Temperature 0 is greedy.

    ``seed`` fixes the draws of one request; ``max_output_tokens`` caps every turn; ``ignore_eos`` goes on to the cap.
    """

    max_output_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    ignore_eos: bool = False

    @property
    def greedy(self) -> bool:
        """Whether every token is the target's most likely one."""
        return self.temperature == 0.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an engine may keep us waiting, in seconds.

    Attributes:
        start_s: from its start until it takes requests.
        silence_s: with requests under way, until the next token of any of them.
    """

    start_s: float = 1800.0
    silence_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of ``concurrency`` conversations at a time."""

    concurrency: int = 1
