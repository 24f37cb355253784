"""The files of a dataset on the hub: found by its card, downloaded at a known commit, from the cache when offline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_speedbench.errors import SplitError, closest

_CARD = "README.md"
_SPLIT = "test"
_SUFFIXES = (".parquet", ".jsonl", ".json", ".csv")
_TIMEOUT_S = 10.0
_TOO_MANY = 429
_SHARD = re.compile(r"(?P<stem>.*-)\d{5}-of-(?P<total>\d{5})(?P<suffix>\..*)?")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of one config's test split on this machine.

    Attributes:
        files: in the order of their names; shards are several.
        revision: the commit they are of, in full.
        config: as the dataset calls it; ``None`` where it has no configs.
    """

    files: tuple[Path, ...]
    revision: str
    config: str | None


def fetch(repo_id: str, config: str | None = None, revision: str | None = None) -> Fetched:
    """Download the test split of a dataset, or find it in the hub's cache.

    The cache is used when the hub is offline (``HF_HUB_OFFLINE=1``) or does not answer.

    Args:
        repo_id: such as ``owner/name``.
        config: may be left out where the dataset has but one.
        revision: a branch, tag or commit; ``None`` for the newest.

    Raises:
        SplitError: the hub does not give it, it has no such config, or no split to take.
    """
    snapshot = _open(repo_id, revision)
    config, patterns = _choose(snapshot, config)
    names = _matching(patterns, snapshot.names)
    if not names:
        raise SplitError(
            f"The dataset {snapshot} has no file for {_titled(config)}{' in the cache' if snapshot.offline else ''}; "
            f"its card or layout promises {', '.join(patterns)}.",
            "Download the file yourself and name its path.",
        )
    _check_shards(snapshot, names)
    snapshot.download(names)
    return Fetched(tuple(snapshot.folder / name for name in names), snapshot.revision, config)


def resolve_revision(repo_id: str, revision: str | None = None) -> str:
    """The commit that a branch or tag of a dataset stands for now, or stood for when the hub last answered.

    Raises:
        SplitError: the hub does not know it.
    """
    return _open(repo_id, revision).revision


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One commit of a dataset. ``names`` are its files; only those in the cache if the hub does not say."""

    repo_id: str
    revision: str
    folder: Path
    names: tuple[str, ...]
    offline: bool

    def __str__(self) -> str:
        return f"{self.repo_id} at {self.revision[:12]}"

    def card(self) -> Mapping[str, Any]:
        """The card's header; empty if there is none."""
        path = self.folder / _CARD
        if not path.is_file():
            return {}
        from huggingface_hub import metadata_load

        try:
            return metadata_load(path) or {}
        except Exception as error:
            raise SplitError(
                f"The card of the dataset {self} cannot be read: {_first_line(error)}.",
                "Download the file yourself and name its path.",
            ) from None

    def download(self, names: Sequence[str]) -> None:
        """Bring these files into the cache."""
        missing = [name for name in names if not (self.folder / name).is_file()]
        if not missing:
            return
        if self.offline:
            raise SplitError(
                f"The hub cannot be asked, and its cache has only a part of the dataset {self}: "
                f"{missing[0]} is missing.",
                _go_online(),
            )
        from huggingface_hub import snapshot_download

        with _spoken(self.repo_id, self.revision):
            snapshot_download(
                self.repo_id, repo_type="dataset", revision=self.revision, allow_patterns=[_literal(n) for n in missing]
            )


def _open(repo_id: str, revision: str | None) -> _Snapshot:
    if find_spec("huggingface_hub") is None:
        raise SplitError(
            f"The dataset {repo_id} cannot be fetched without huggingface_hub.",
            'Run: pip install "pytest-speedbench[data]", or name a file on this machine.',
        )
    from huggingface_hub import HfApi, constants, get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    offline = bool(constants.HF_HUB_OFFLINE)
    trouble = "HF_HUB_OFFLINE is set" if offline else ""
    with _spoken(repo_id, revision):
        if not offline:
            try:
                # Asked first since it is not retried: the other calls try for half a minute.
                HfApi().dataset_info(repo_id, revision=revision, timeout=_TIMEOUT_S)
            except Exception as error:
                if not _is_unreachable(error):
                    raise
                offline, trouble = True, _first_line(error)
        try:
            folder = Path(
                snapshot_download(
                    repo_id,
                    repo_type="dataset",
                    revision=revision,
                    allow_patterns=[_CARD],
                    local_files_only=offline,
                    tqdm_class=_no_progress(),
                )
            )
        except FileNotFoundError:
            if not offline:
                raise
            raise SplitError(
                f"The hub cannot be asked for the dataset {repo_id} ({trouble}), and its cache has nothing of "
                f"{revision or 'it'}.",
                _go_online(),
            ) from None
        try:
            names = [file.path for file in get_cached_repo_tree(repo_id, repo_type="dataset", revision=folder.name)]
        except CachedRepoTreeNotFoundError:
            names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return _Snapshot(repo_id, folder.name, folder, tuple(sorted(names)), offline)


@contextmanager
def _spoken(repo_id: str, revision: str | None) -> Iterator[None]:
    """Turn what huggingface_hub raises into words for the user."""
    from huggingface_hub import errors

    login = "If it is private, log in with: hf auth login."
    try:
        yield
    except SplitError:
        raise
    except errors.HFValidationError:
        raise SplitError(f"{repo_id!r} is no id of a dataset.", "Write it as owner/name.") from None
    except errors.GatedRepoError:
        raise SplitError(
            f"The hub gives the dataset {repo_id} only to those who accepted its conditions.",
            "Accept them on its page there, then log in with: hf auth login.",
        ) from None
    except errors.RevisionNotFoundError:
        raise SplitError(
            f"The dataset {repo_id} has no revision {revision!r}.", "Give a branch, a tag, or a commit in full."
        ) from None
    except errors.RepositoryNotFoundError:
        raise SplitError(f"The hub has no dataset {repo_id}.", f"Check its spelling. {login}") from None
    except Exception as error:
        if (status := _status(error)) in (401, 403):
            raise SplitError(
                f"The hub refuses the dataset {repo_id} (HTTP status {status}).",
                f"Check that your token may read it. {login}",
            ) from None
        raise SplitError(
            f"The hub did not give the dataset {repo_id}: {_first_line(error)}.",
            "Check the network and HF_ENDPOINT, and try again.",
        ) from error


def _is_unreachable(error: Exception) -> bool:
    """Whether the hub did not answer, or not as one that works."""
    status = _status(error)
    if status is not None:
        return status == _TOO_MANY or status >= 500
    # Which HTTP library is below depends on huggingface_hub's version.
    return isinstance(error, OSError) or type(error).__module__.startswith("httpx")


def _status(error: Exception) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _no_progress() -> type[Any]:
    """A progress bar that is not shown: each session looks at the card, and a bar for it tells nothing."""
    bar: Any = import_module("huggingface_hub.utils").tqdm

    def start(self: Any, *arguments: Any, **options: Any) -> None:
        bar.__init__(self, *arguments, **{**options, "disable": True})

    return type("Hidden", (bar,), {"__init__": start})


def _go_online() -> str:
    return "Fetch it once with a network and HF_HUB_OFFLINE unset, or name a file on this machine."


def _titled(config: str | None) -> str:
    return f"the config {config!r}" if config is not None else f"its {_SPLIT} split"


def _choose(snapshot: _Snapshot, config: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The config to take and the patterns of its files: by the card, or by the usual layouts if it says nothing."""
    entries = snapshot.card().get("configs")
    configs: dict[str, Any] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            configs[str(entry.get("config_name", "default"))] = entry
    configs = {name: entry for name, entry in configs.items() if "data_files" in entry or "data_dir" in entry}
    if configs:
        name = _named(snapshot, config, tuple(configs))
        return name, _promised(snapshot, name, configs[name])
    return _usual(snapshot, config)


def _named(snapshot: _Snapshot, config: str | None, known: tuple[str, ...]) -> str:
    if config is None:
        if len(known) == 1:
            return known[0]
        raise SplitError(
            f"The dataset {snapshot.repo_id} has several configs: {', '.join(known)}.",
            f"Say which, as in hub:{snapshot.repo_id}/{known[0]}.",
        )
    if config not in known:
        raise SplitError(
            f"The dataset {snapshot.repo_id} has no config {config!r}.",
            f"{closest(config, known)}It has: {', '.join(known)}.",
        )
    return config


def _promised(snapshot: _Snapshot, name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The patterns of the test split, or of the only split, in one entry of the card's ``configs``."""
    folder = str(entry.get("data_dir") or "")
    data_files = entry.get("data_files")
    if data_files is None:
        return (str(PurePosixPath(folder, f"{_SPLIT}*")),)
    splits: dict[str, list[str]] = {}
    for part in data_files if isinstance(data_files, list) else [data_files]:
        split, paths = (part.get("split"), part.get("path")) if isinstance(part, dict) else (None, part)
        for path in paths if isinstance(paths, list) else [paths]:
            if not isinstance(path, str):
                raise SplitError(
                    f"The card of the dataset {snapshot} does not say which files the config {name!r} has.",
                    "Download the file yourself and name its path.",
                )
            splits.setdefault(str(split or ""), []).append(str(PurePosixPath(folder, path)))
    if _SPLIT not in splits and len(splits) != 1:
        raise SplitError(
            f"The config {name!r} of the dataset {snapshot.repo_id} has no split {_SPLIT!r} but "
            f"{', '.join(sorted(splits)) or 'none'}.",
            "Download the file that you want and name its path.",
        )
    return tuple(splits.get(_SPLIT) or next(iter(splits.values())))


def _usual(snapshot: _Snapshot, config: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Where datasets without a card keep a test split."""
    data = [name for name in snapshot.names if name.endswith(_SUFFIXES)]
    prefixes = ("", "data/") if config is None else (f"{config}/", f"data/{config}/")
    patterns = [f"{prefix}{_SPLIT}{end}" for prefix in prefixes for end in ("-*", ".*")]
    if config is not None:
        patterns.append(f"{config}.*")
    for pattern in patterns:
        if _matching((pattern,), data):
            return config, (pattern,)
    if config is None and len(data) == 1:
        return None, (data[0],)
    folders = [re.fullmatch(rf"(?:data/)?([^/]+)/{_SPLIT}[-.].*", name) for name in data]
    known = {match[1] for match in folders if match and match[1] != "data"}
    known |= {name.rpartition(".")[0] for name in data if "/" not in name}
    if known:
        return _usual(snapshot, _named(snapshot, config, tuple(sorted(known))))
    raise SplitError(
        f"The dataset {snapshot} has no {_SPLIT} split that could be found by its card or by the names of its files.",
        "Download the file that you want and name its path.",
    )


def _matching(patterns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The names that fit, sorted; a star does not cross a slash, two do, as in the cards."""
    from fsspec.utils import glob_translate  # type: ignore[import-untyped]

    regexes = [re.compile(glob_translate(pattern)) for pattern in patterns]
    return tuple(
        sorted(name for name in names if name.endswith(_SUFFIXES) and any(regex.match(name) for regex in regexes))
    )


def _literal(name: str) -> str:
    """A name as a pattern that fits nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _check_shards(snapshot: _Snapshot, names: Sequence[str]) -> None:
    """Refuse a part of a sharded split: a cache that does not know the dataset's files may hold but some."""
    shards: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if found := _SHARD.fullmatch(name):
            shards.setdefault((found["stem"], found["total"]), []).append(name)
    for (stem, total), present in shards.items():
        if len(present) != int(total):
            raise SplitError(
                f"The dataset {snapshot} has {len(present)} of the {int(total)} files {stem}*-of-{total}.", _go_online()
            )
