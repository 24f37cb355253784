"""Find a split by name, path or address, read it, and bring it to the asked input length."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

from pytest_speedbench.errors import SplitError, closest
from pytest_speedbench.paths import lies_at
from pytest_speedbench.splits.reading import files_of, read_files
from pytest_speedbench.splits.rows import Reading
from pytest_speedbench.splits.schema import Split, TextTokenizer
from pytest_speedbench.splits.source import HubSource, SplitSource
from pytest_speedbench.splits.speed_bench import CONFIGS, REPOSITORY, check_counts, locate

_PART = re.compile(r"test(-\d+-of-\d+)?")
_BUNDLED = resources.files("pytest_speedbench.splits") / "bundled"


def bundled_splits() -> tuple[str, ...]:
    """Names of the splits that come with the package."""
    return tuple(sorted(Path(entry.name).stem for entry in _BUNDLED.iterdir() if entry.name.endswith(".jsonl")))


def load_split(
    source: str | SplitSource, *, root: Path | None = None, tokenizer: Callable[[], TextTokenizer] | None = None
) -> Split:
    """Load a split.

    Args:
        source: which one; a text is a source with nothing else said of it.
        root: what relative paths are relative to; the current folder if left out.
        tokenizer: gives the target's tokenizer, for random tokens and for input lengths counted in it.

    Raises:
        SplitError: there is no such split or file, its rows cannot be used (file and row are named), it is not the
            expected content, or its prompts depend on a tokenizer and there is none.
        ConfigError: the source is written wrongly.
    """
    wanted = SplitSource(source) if isinstance(source, str) else source
    split = _random(wanted, tokenizer) or _read(wanted, root or Path())
    if wanted.isl is not None:
        split = _fitted(split, wanted, tokenizer)
    if wanted.name is not None:
        split = replace(split, name=wanted.name)
    if wanted.sha256 not in (None, split.sha256):
        raise SplitError(
            f"The split {str(wanted)!r} has the content {split.sha256[:12]}…, "
            f"but {str(wanted.sha256)[:12]}… is expected.",
            "Use the same file and revision as whoever wrote the hash down, or write down the new one.",
        )
    return split


def _read(wanted: SplitSource, root: Path) -> Split:
    """A split that is stored somewhere: bundled, in files, prepared, or on the hub; looked for in this order."""
    name = wanted.source
    path = root / name
    if wanted.hub is not None:
        return _from_hub(wanted, wanted.hub, None)
    if name in bundled_splits():
        with resources.as_file(_BUNDLED / f"{name}.jsonl") as file:
            return _split(name, _reading(wanted, (file,), f"the bundled split {name!r}"), f"bundled {name}")
    if lies_at(path, "The split", SplitError) != "nothing":
        return _split(_name_of(path), _reading(wanted, files_of(path)), name)
    config, _, revision = name.partition("@")
    if config in CONFIGS:
        prepared = None if revision else locate(config, root)
        if prepared is None:
            return _from_hub(wanted, HubSource(REPOSITORY, config, revision or None), config)
        reading = _reading(wanted, (prepared,))
        return _whole_config(_split(config, reading, str(prepared.relative_to(root))), wanted, config)
    raise _unknown(name)


def _name_of(path: Path) -> str:
    """The name of a file or folder; of one that says only which part of a dataset it is, that of its folder."""
    full = Path(os.path.abspath(path))  # noqa: PTH100 - keeps the name of a link, and knows ".."
    name = full.name if full.is_dir() else full.stem
    return full.parent.name if _PART.fullmatch(name) and full.parent.name else name


def _from_hub(wanted: SplitSource, hub: HubSource, config: str | None) -> Split:
    from pytest_speedbench.splits.hub import fetch

    fetched = fetch(hub.repo, hub.config, hub.revision)
    chosen = f"/{fetched.config}" if fetched.config else ""
    name = config or fetched.config or hub.repo.rpartition("/")[2]
    if name == "default":
        name = hub.repo.rpartition("/")[2]
    origin = f"hub:{hub.repo}{chosen}@{fetched.revision}"
    split = _split(name, _reading(wanted, fetched.files, origin if len(fetched.files) == 1 else None), origin)
    known = config or (fetched.config if hub.repo == REPOSITORY else None)
    return split if known is None else _whole_config(split, wanted, known)


def _whole_config(split: Split, wanted: SplitSource, config: str) -> Split:
    if not wanted.skip_placeholders:  # else rows may be missing on purpose
        check_counts(config, split)
    return split


def _reading(wanted: SplitSource, files: tuple[Path, ...], name: str | None = None) -> Reading:
    return read_files(files, columns=dict(wanted.columns), skip_placeholders=wanted.skip_placeholders, name=name)


def _split(name: str, reading: Reading, origin: str) -> Split:
    return Split(name, reading.prompts, reading.sha256, len(reading.prompts), origin, reading.notes)


def _random(wanted: SplitSource, tokenizer: Callable[[], TextTokenizer] | None) -> Split | None:
    asked = wanted.random
    if asked is None:
        return None
    from pytest_speedbench.splits.random_tokens import SEED, random_split

    return random_split(asked.tokens, asked.prompts, _given(tokenizer, wanted), SEED)


def _fitted(split: Split, wanted: SplitSource, tokenizer: Callable[[], TextTokenizer] | None) -> Split:
    from pytest_speedbench.splits.lengths import fit
    from pytest_speedbench.splits.tokenizers import o200k_base

    assert wanted.isl is not None  # noqa: S101 - only then it is called
    served = wanted.isl.tokenizer == "target"
    return fit(split, wanted.isl.tokens, _given(tokenizer, wanted) if served else o200k_base(), served=served)


def _given(tokenizer: Callable[[], TextTokenizer] | None, wanted: SplitSource) -> TextTokenizer:
    if tokenizer is None:
        raise SplitError(
            f"The prompts of {str(wanted)!r} depend on the target's tokenizer, and there is none here.",
            "Load it through the speedbench fixture, or hand over a tokenizer.",
        )
    return tokenizer()


def _unknown(name: str) -> SplitError:
    bundled = bundled_splits()
    return SplitError(
        f"There is no split {name!r}: it is neither bundled nor a file.",
        f"{closest(name, (*bundled, *CONFIGS))}Bundled are: {', '.join(bundled)}; SPEED-Bench has: "
        f"{', '.join(CONFIGS)}; a split of your own is a parquet, JSONL or CSV file with question_id, category and "
        "turns in each row, or hub:OWNER/NAME.",
    )
