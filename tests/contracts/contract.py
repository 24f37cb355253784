"""What an adapter relies on in an engine that cannot run here: facts in a data file, read and checked once.

A file ``facts/<engine>.toml`` says what was read in the engine's own sources, and where::

    engine = "tensorrt_llm"
    adapter = "pytest_speedbench.engines.trtllm"
    versions = ["1.0", "1.1"]                # exactly those that the adapter claims to support

    [sources.llm]                            # a place that was read
    repository = "NVIDIA/TensorRT-LLM"
    path = "tensorrt_llm/llmapi/llm.py"
    at = "v1.0.0"                            # tag or commit; without one, what dates the copy that was read

    [[facts]]
    id = "generate-async"                    # stable: tests and fakes name it
    kind = "parameters"                      # see KINDS
    subject = "LLM.generate_async"
    names = ["inputs", "sampling_params", "streaming"]
    used = ["inputs", "sampling_params", "streaming"]   # of the names, those that the adapter passes, reads or expects
    perhaps = []                             # optional: names that only one of two copies around the version has
    versions = ["1.0", "1.1"]                # left out: all of the file's
    sources = ["llm"]
    note = "…"                               # optional: what the names alone do not say

An adapter must work with and without what is there perhaps: ``"1.1+"`` names the version with all of it. Where a
subject differs between versions it has one fact for each, told apart by ``versions``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "facts"
KINDS = {
    "parameters": "the keywords that a callable takes; it refuses all others",
    "attributes": "the attributes that an object has",
    "fields": "the fields of a JSON object, sent or received",
    "values": "the values that are accepted for a name",
    "options": "the options of a command line",
}
_FACT = {"id", "kind", "subject", "names", "used", "perhaps", "versions", "sources", "note"}
_SOURCE = {"repository", "path", "at"}


class ContractError(AssertionError):
    """Adapter, fake and facts disagree, or the facts contradict themselves."""


@dataclass(frozen=True)
class Source:
    """A place that was read: a file of a public repository at a tag, a commit, or a time that can be named."""

    repository: str
    path: str
    at: str


@dataclass(frozen=True)
class Fact:
    """One thing that holds in some versions of the engine."""

    id: str
    kind: str
    subject: str
    names: tuple[str, ...]
    used: frozenset[str]
    perhaps: frozenset[str]
    versions: tuple[str, ...]
    sources: tuple[str, ...]
    note: str

    def names_in(self, variant: str) -> frozenset[str]:
        """The names in a version, or with all that is there perhaps in a version followed by ``+``."""
        return frozenset(self.names) | (self.perhaps if variant.endswith("+") else frozenset())


@dataclass(frozen=True)
class Contract:
    """All facts on one engine."""

    engine: str
    adapter: str
    versions: tuple[str, ...]
    sources: Mapping[str, Source]
    facts: tuple[Fact, ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """All versions, and those with names that are there perhaps once more, followed by ``+``."""
        unsure = {version for fact in self.facts if fact.perhaps for version in fact.versions}
        return tuple(name for v in self.versions for name in ((v, f"{v}+") if v in unsure else (v,)))

    def fact(self, subject: str, variant: str) -> Fact:
        """The fact on ``subject`` in a version or variant.

        Raises:
            ContractError: there is none.
        """
        found = [fact for fact in self.of(variant) if fact.subject == subject]
        if len(found) != 1:
            raise ContractError(f"{len(found)} facts on {subject} in {self.engine} {variant}")
        return found[0]

    def of(self, variant: str) -> tuple[Fact, ...]:
        """All facts that hold in a version or variant."""
        return tuple(fact for fact in self.facts if variant.removesuffix("+") in fact.versions)

    def check_uses(self, uses: Mapping[str, set[str]], variant: str) -> None:
        """Hold what an adapter was seen to use, by subject, against the facts: all of it is listed as used there.

        Raises:
            ContractError: with every difference.
        """
        facts = {fact.subject: fact for fact in self.of(variant)}
        wrong = [f"there is no fact on {subject}" for subject in sorted(uses.keys() - facts.keys())]
        for subject, fact in facts.items():
            known, seen = fact.names_in(variant), uses.get(subject, set())
            wrong += [f"{fact.id}: {name!r} is no fact" for name in sorted(seen - known)]
            wrong += [f"{fact.id}: {name!r} is not listed as used" for name in sorted(seen & known - fact.used)]
        _raise(wrong, f"{self.engine} {variant}")

    def check_idle(self, uses: Mapping[str, set[str]], version: str, *, elsewhere: Collection[str] = ()) -> None:
        """See that nothing is listed as used that was not, in any variant of a version.

        Args:
            uses: of all variants together.
            version: which.
            elsewhere: subjects that another test looks at.

        Raises:
            ContractError: with every name that was not.
        """
        idle = [
            f"{fact.id}: {name!r} is listed as used and was not"
            for fact in self.of(version)
            if fact.subject not in elsewhere
            for name in sorted(fact.used - uses.get(fact.subject, set()))
        ]
        _raise(idle, f"{self.engine} {version}")


def load(name: str) -> Contract:
    """Read ``facts/<name>.toml``.

    Raises:
        ContractError: it does not keep to the format.
    """
    return parse(tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")))


def parse(table: Mapping[str, Any]) -> Contract:
    """A contract from its TOML table.

    Raises:
        ContractError: it does not keep to the format.
    """
    versions = tuple(table["versions"])
    sources: dict[str, Source] = {}
    for key, row in table["sources"].items():
        if row.keys() != _SOURCE or not all(row.values()):
            raise ContractError(f"source {key} needs {sorted(_SOURCE)}")
        sources[key] = Source(**row)
    facts = tuple(_fact(row, versions) for row in table["facts"])
    _check(facts, sources)
    return Contract(table["engine"], table["adapter"], versions, sources, facts)


def _fact(row: Mapping[str, Any], versions: tuple[str, ...]) -> Fact:
    if unknown := row.keys() - _FACT:
        raise ContractError(f"a fact has no {sorted(unknown)}")
    fact = Fact(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        names=tuple(row["names"]),
        used=frozenset(row.get("used", ())),
        perhaps=frozenset(row.get("perhaps", ())),
        versions=tuple(row.get("versions", versions)),
        sources=tuple(row["sources"]),
        note=row.get("note", ""),
    )
    wrong = {
        f"the kind {fact.kind!r} is none of {sorted(KINDS)}": fact.kind not in KINDS,
        "it names nothing, or one name twice": not fact.names or len(set(fact.names)) < len(fact.names),
        "it uses what it does not name": bool(fact.used - set(fact.names) - fact.perhaps),
        "a name is there both surely and perhaps": bool(fact.perhaps & set(fact.names)),
        "it holds in no version, or in one that the file does not have": not set(fact.versions)
        or bool(set(fact.versions) - set(versions)),
        "it was read nowhere": not fact.sources,
    }
    for words, holds in wrong.items():
        if holds:
            raise ContractError(f"fact {fact.id}: {words}")
    return fact


def _raise(wrong: list[str], where: str) -> None:
    if wrong:
        raise ContractError(f"{where}: " + "; ".join(wrong))


def _check(facts: tuple[Fact, ...], sources: Mapping[str, Source]) -> None:
    ids = [fact.id for fact in facts]
    if twice := {each for each in ids if ids.count(each) > 1}:
        raise ContractError(f"facts share an id: {sorted(twice)}")
    held = [(fact.subject, version) for fact in facts for version in fact.versions]
    if again := {each for each in held if held.count(each) > 1}:
        raise ContractError(f"subjects have two facts in one version: {sorted(again)}")
    read = {source for fact in facts for source in fact.sources}
    if read != sources.keys():
        raise ContractError(f"sources that are not named, or named and not there: {sorted(read ^ sources.keys())}")
