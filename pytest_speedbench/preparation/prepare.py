"""Prepare one config: run the script in a draft folder, verify what it wrote, and only then move it to its place."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_speedbench.config import user_cache_folder
from pytest_speedbench.errors import SplitError
from pytest_speedbench.preparation import driver
from pytest_speedbench.preparation.environment import interpreter, stream
from pytest_speedbench.preparation.protection import keep_from_git
from pytest_speedbench.preparation.record import NAME, Record, read_record
from pytest_speedbench.preparation.script import REPOSITORY as SCRIPT_REPOSITORY
from pytest_speedbench.preparation.script import Script
from pytest_speedbench.preparation.verify import read_verified
from pytest_speedbench.splits.hub import resolve_revision
from pytest_speedbench.splits.schema import Split
from pytest_speedbench.splits.speed_bench import REPOSITORY, check_config

FILE = "test.parquet"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be prepared, from what, and where to.

    Attributes:
        config: of SPEED-Bench.
        out: the folder that gets ``CONFIG/test.parquet``.
        dataset_revision: branch, tag or commit of the dataset; ``None`` for its newest.
        script: the authors' script.
        python: an interpreter with the script's requirements; ``None`` for an environment of our own.
        expect_sha256: what the content's hash must be; ``None`` for any.
        force: whether a file that is there is replaced.
    """

    config: str
    out: Path
    dataset_revision: str | None = None
    script: Script = field(default_factory=Script)
    python: str | None = None
    expect_sha256: str | None = None
    force: bool = False

    @property
    def target(self) -> Path:
        """The folder of the prepared file."""
        return self.out / self.config


@dataclass(frozen=True, slots=True)
class Prepared:
    """A verified file. ``fresh`` is whether this call made it."""

    file: Path
    record: Record
    fresh: bool


def prepare(plan: Plan, report: Report) -> Prepared:
    """Prepare a config, or verify that it has been prepared so.

    Whatever happens, the target folder holds the earlier file or the new one, whole.

    Args:
        plan: what, from what and where to.
        report: told of each stage.

    Raises:
        SplitError: the dataset, the script or its environment cannot be had; the script failed; what it wrote is not
            the whole config; or a file that is there is of another origin.
    """
    check_config(plan.config)
    if not plan.force and (plan.target / FILE).exists():
        return _already(plan)
    commit = resolve_revision(REPOSITORY, plan.dataset_revision)
    cache = user_cache_folder() / "preparation"
    folder, script_sha256 = plan.script.open(cache)
    python = interpreter(plan.python, cache, report)
    draft = _draft(plan)
    try:
        keep_from_git(draft)
        report(f"preparing {plan.config} of {REPOSITORY} at {commit} with the authors' script")
        facts = _run(plan, (str(python), str(folder), commit), draft, cache)
        report("verifying")
        split = _verified(plan, draft, commit)
        _expect(plan, split.sha256)
        record = Record(
            config=plan.config,
            rows=split.counts(),
            content_sha256=split.sha256,
            dataset=REPOSITORY,
            dataset_revision=commit,
            script=SCRIPT_REPOSITORY,
            script_revision=plan.script.revision,
            script_sha256=script_sha256,
            sources=facts["sources"],
            python=facts["python"],
            requirements=facts["versions"],
            prepared_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        record.write(draft)
        _move(draft, plan.target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Prepared(plan.target / FILE, record, fresh=True)


def _already(plan: Plan) -> Prepared:
    """Verify the file that is there."""
    file = plan.target / FILE
    record = read_record(plan.target)
    if record is None:
        raise SplitError(
            f"{file} is there, and no {NAME} beside it says what it was made from.",
            "Give --force to replace it, or another --out.",
        )
    split = read_verified(file, plan.config)
    found = {"content": split.sha256, "script's revision": plan.script.revision}
    recorded = {"content": record.content_sha256, "script's revision": record.script_revision}
    if plan.dataset_revision not in (None, record.dataset_revision):
        found["dataset's revision"] = resolve_revision(REPOSITORY, plan.dataset_revision)
        recorded["dataset's revision"] = record.dataset_revision
    for what, value in found.items():
        if value != recorded[what]:
            raise SplitError(
                f"{file} was prepared with another {what}: {recorded[what]} by its {NAME}, now {value}.",
                "Give --force to prepare it anew, or another --out.",
            )
    _expect(plan, split.sha256)
    return Prepared(file, record, fresh=False)


def _draft(plan: Plan) -> Path:
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{plan.config}-", dir=plan.out))
    except OSError as error:
        raise SplitError(f"{plan.out} cannot be written: {error.strerror}.", "Name another folder: --out.") from None


def _run(plan: Plan, using: tuple[str, str, str], draft: Path, cache: Path) -> Mapping[str, Any]:
    """Run the script; what it wrote is then in the draft. Returns what the driver learnt.

    Args:
        plan: whose config is prepared.
        using: the interpreter, the folder of the script, the dataset's commit.
        draft: to write into.
        cache: gets the traceback if it fails.
    """
    python, folder, commit = using
    work, learnt = draft / "work", draft / "report.json"
    arguments = (folder, plan.config, str(work.absolute()), REPOSITORY, commit, str(learnt.absolute()))
    code = stream((python, "-I", "-u", driver.__file__, *arguments))
    if not learnt.exists():
        raise SplitError(
            f"The authors' script ended with exit code {code} and without a word.",
            "Read its output above; it may have run out of memory or disk.",
        )
    facts: dict[str, Any] = json.loads(learnt.read_text(encoding="utf-8"))
    if facts["error"] is not None:
        raise _failure(plan, facts["error"], cache / f"failure-{plan.config}.txt")
    written = work / "speed" / plan.config / FILE
    if not written.is_file():
        raise SplitError(
            f"The authors' script at revision {plan.script.revision} wrote no speed/{plan.config}/{FILE}.",
            "This revision works in another way than the pinned one: leave --script-revision out.",
        )
    if f"{REPOSITORY}/{plan.config}@{commit}" not in facts["sources"]:
        raise SplitError(
            f"The authors' script did not load {REPOSITORY} at the pinned revision: nobody knows what its rows are.",
            "This revision works in another way than the pinned one: leave --script-revision out.",
        )
    written.rename(draft / FILE)
    return facts


def _verified(plan: Plan, draft: Path, commit: str) -> Split:
    try:
        return read_verified(draft / FILE, plan.config)
    except SplitError as error:
        raise SplitError(
            f"What the authors' script wrote was not kept. {error.problem}".replace(str(draft / FILE), plan.config),
            f"The dataset at {commit[:12]} and the script at {plan.script.revision[:12]} may not belong together: name "
            "another --revision or --script-revision.",
        ) from None


def _failure(plan: Plan, error: Mapping[str, Any], log: Path) -> SplitError:
    """What the user should know of an exception in the script."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(error["traceback"], encoding="utf-8")
    kind, loading = error["kinds"][0], error["loading"]
    message = next(iter(str(error["message"]).strip().splitlines()), "").rstrip(".")
    where = f"loading {loading}" if loading else f"filling the rows of {plan.config}"
    if "GatedRepoError" in error["kinds"] or "gated" in message:
        remedy = "Accept that dataset's conditions on its page at the hub, log in with: hf auth login, and try again."
    elif "ModuleNotFoundError" in error["kinds"] and plan.python is not None:
        remedy = f"Install what the script needs for {plan.python}, or leave --python out."
    else:
        remedy = f"Its traceback is in {log}. If it is the network, try again: what was downloaded is kept."
    return SplitError(f"The authors' script failed while {where}: {kind}: {message}.", remedy)


def _expect(plan: Plan, sha256: str) -> None:
    if plan.expect_sha256 is not None and plan.expect_sha256.lower() != sha256:
        raise SplitError(
            f"The content of {plan.config} has the sha256 {sha256}, expected {plan.expect_sha256}.",
            "Compare the revisions and requirements in both copies' prepared.json.",
        )


def _move(draft: Path, target: Path) -> None:
    """Move file and record to their place. A file without its record is never taken for a verified one."""
    target.mkdir(parents=True, exist_ok=True)
    (target / NAME).unlink(missing_ok=True)
    for name in (".gitignore", FILE, NAME):
        if (draft / name).exists():
            os.replace(draft / name, target / name)  # noqa: PTH105 - replaces where rename would not
