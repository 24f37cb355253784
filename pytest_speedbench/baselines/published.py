"""Published figures: a table of mean acceptance lengths by category, without the prompts behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from pytest_speedbench.errors import BaselineError
from pytest_speedbench.regular_files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "pytest-speedbench published figures"

EXAMPLE = (
    f'{{"format": "{FORMAT}", "source": "where it was published", "figure": "al_macro", '
    '"categories": {"coding": 3.0, "math": 2.5}, "draft_length": 3}'
)
"""What a file looks like; ``overall`` may stand beside ``categories``."""

_Length = Annotated[float, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]

PublishedFigure = Literal["al_macro", "speedbench_al"]
"""``al_macro``: mean over conversations of 1 + accepted / verify steps, the prefill not counted as a step.
``speedbench_al``: the same with every turn's prefill counted as a step of one token, as in SPEED-Bench's tables."""


class PublishedFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published table.

    Attributes:
        format: always :data:`FORMAT`.
        source: where it was published, in words.
        figure: what its lengths are, in tokens per step.
        categories: the length of each category.
        draft_length: K.
        overall: the mean over all prompts; ``None`` if it was not published.
    """

    format: str
    source: _Name
    figure: PublishedFigure
    categories: Annotated[dict[_Name, _Length], msgspec.Meta(min_length=1)]
    draft_length: Annotated[int, msgspec.Meta(ge=1)]
    overall: _Length | None = None

    def check(self) -> None:
        """Make sure that the figures can be what they are called.

        Raises:
            ValueError: a length that no step can reach on average, or an overall mean beyond all categories'.
        """
        most = self.draft_length + 1
        for name, length in self.categories.items():
            if length > most:
                raise ValueError(f"{name} has {length:g} tokens per step, at a draft length of {self.draft_length}")
        lengths = self.categories.values()
        if self.overall is not None and not min(lengths) <= self.overall <= max(lengths):
            raise ValueError(f"the overall mean {self.overall:g} lies outside of the categories' figures")


def is_published(path: Path) -> bool:
    """Whether a file says that it holds published figures; one that cannot be read does not."""
    try:
        return _has_format(json.loads(read_regular(path)))
    except (OSError, ValueError, RecursionError):
        return False


def read_published(path: Path) -> PublishedFigures:
    """Read and check a file of published figures.

    Raises:
        BaselineError: missing, unreadable, no such file, or figures that cannot be.
    """
    remedy = f"A file looks like this: {EXAMPLE}"
    try:
        data = json.loads(read_regular(path))
    except FileNotFoundError:
        raise BaselineError(f"There is no file {path}.", remedy) from None
    except OSError as error:
        raise BaselineError(
            f"The file {path} cannot be read ({error.strerror or error}).", "Check the file and its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path} is not valid JSON ({error}).", remedy) from error
    if not _has_format(data):
        raise BaselineError(f"{path} holds no published figures: its format is not {FORMAT!r}.", remedy)
    try:
        table = msgspec.convert(data, PublishedFigures)
        table.check()
    except (msgspec.ValidationError, ValueError) as error:
        raise BaselineError(f"The published figures in {path} cannot be used: {error}.", remedy) from error
    return table


def _has_format(data: Any) -> bool:
    return isinstance(data, dict) and data.get("format") == FORMAT
