"""Where prompts come from, and what is made of them before they are asked: the settings of a split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pytest_speedbench.errors import ConfigError
from pytest_speedbench.splits.lengths import parse_tokens

HUB_PREFIX = "hub:"
RANDOM_PREFIX = "random:"
DEFAULT_RANDOM_PROMPTS = 80

_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(/(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?")
_RANDOM = re.compile(r"(?P<tokens>\d+k?)(x(?P<prompts>\d{1,9}))?")
_MAX_RANDOM_TOKENS = 500_000_000
"""Of all prompts together: some two gigabytes of text, as much as is read of files."""


@dataclass(frozen=True, slots=True)
class InputLength:
    """The length to which first turns are cut or filled: so many tokens of the ``target``, or of ``o200k_base``."""

    tokens: int
    tokenizer: Literal["target", "o200k_base"] = "target"

    def __str__(self) -> str:
        return f"{self.tokens}" if self.tokenizer == "target" else f"{self.tokens}:{self.tokenizer}"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A dataset on the hub. ``config`` is ``None`` where it has but one, ``revision`` for its newest."""

    repo: str
    config: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class RandomSource:
    """Random tokens, the negative control: ``prompts`` of ``tokens`` tokens each."""

    tokens: int
    prompts: int = DEFAULT_RANDOM_PROMPTS


@dataclass(frozen=True, slots=True)
class SplitSource:
    """Which split.

    Attributes:
        source: a bundled split's name, a file, a folder, a SPEED-Bench config, ``hub:OWNER/NAME[/CONFIG][@REVISION]``
            or ``random:TOKENS[xPROMPTS]``.
        name: under which its baselines are kept; ``None`` to take it from the source.
        columns: what a file calls our columns: pairs of our name and its.
        skip_placeholders: whether rows without their text are left out; they are refused otherwise.
        isl: the input length to which prompts are brought; ``None`` to leave them as they are.
        sha256: the content that is expected; ``None`` for any.
    """

    source: str
    name: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    skip_placeholders: bool = False
    isl: InputLength | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        return self.name or self.source

    def check(self) -> None:
        """Refuse a source that is written wrongly, before anything is read.

        Raises:
            ConfigError: it is.
        """
        if self.hub is None and self.random is not None and self.isl is not None:
            raise ConfigError(
                f"The random tokens of {self.source!r} have a length of their own, and an input length is asked too.",
                f"Leave the input length out, or write random:{self.isl.tokens}.",
            )

    @property
    def hub(self) -> HubSource | None:
        """The dataset on the hub, if it is one.

        Raises:
            ConfigError: it begins like one and does not go on so.
        """
        if not self.source.startswith(HUB_PREFIX):
            return None
        found = _HUB.fullmatch(self.source.removeprefix(HUB_PREFIX))
        if found is None:
            raise ConfigError(
                f"The split {self.source!r} is no dataset on the hub.", "Write hub:OWNER/NAME[/CONFIG][@REVISION]."
            )
        return HubSource(found["repo"], found["config"], found["revision"])

    @property
    def random(self) -> RandomSource | None:
        """The random tokens, if they are asked.

        Raises:
            ConfigError: it begins like them and does not go on so.
        """
        if not self.source.startswith(RANDOM_PREFIX):
            return None
        found = _RANDOM.fullmatch(self.source.removeprefix(RANDOM_PREFIX))
        if found is None or int(found["prompts"] or 1) < 1:
            raise ConfigError(
                f"The split {self.source!r} does not say how many random tokens.",
                "Write random:TOKENS or random:TOKENSxPROMPTS, e.g. random:1kx80.",
            )
        source = RandomSource(parse_tokens(found["tokens"]), int(found["prompts"] or DEFAULT_RANDOM_PROMPTS))
        if source.tokens * source.prompts > _MAX_RANDOM_TOKENS:
            raise ConfigError(
                f"The split {self.source!r} has {source.tokens * source.prompts:,} tokens.",
                f"Ask for at most {_MAX_RANDOM_TOKENS:,} in all.",
            )
        return source

    @property
    def needs_tokenizer(self) -> bool:
        """Whether its prompts depend on the target's tokenizer."""
        return self.random is not None or (self.isl is not None and self.isl.tokenizer == "target")


def parse_input_length(text: str, name: str) -> InputLength:
    """Read ``TOKENS[:TOKENIZER]``, e.g. ``2k`` or ``8k:o200k_base``.

    Args:
        text: what the user wrote.
        name: how the user calls the setting, for messages.

    Raises:
        ConfigError: it is neither.
    """
    tokens, _, tokenizer = text.partition(":")
    if tokenizer not in ("", "target", "o200k_base"):
        raise ConfigError(
            f"{name} names the tokenizer {tokenizer!r}.", "Count in the target's own tokens, or write :o200k_base."
        )
    length = parse_tokens(tokens)
    return InputLength(length, "o200k_base") if tokenizer == "o200k_base" else InputLength(length)
