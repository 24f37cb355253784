"""The facts keep to their format, and a breach of it is noticed."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest

from tests.contracts.contract import FOLDER, ContractError, load, parse

FILES = sorted(path.stem for path in FOLDER.glob("*.toml"))
TABLE: dict[str, Any] = {
    "engine": "some_engine",
    "adapter": "pytest_speedbench.engines.some",
    "versions": ["1", "2"],
    "sources": {"here": {"repository": "a/b", "path": "c.py", "at": "v1"}},
    "facts": [
        {
            "id": "call",
            "kind": "parameters",
            "subject": "f",
            "names": ["x", "y"],
            "used": ["x"],
            "perhaps": ["z"],
            "versions": ["2"],
            "sources": ["here"],
        },
        {"id": "old", "kind": "parameters", "subject": "f", "names": ["x"], "versions": ["1"], "sources": ["here"]},
    ],
}


@pytest.mark.parametrize("name", FILES)
def test_every_file_keeps_to_the_format_and_names_an_adapter(name: str) -> None:
    contract = load(name)
    importlib.import_module(contract.adapter)
    assert contract.facts


def test_a_version_has_its_own_fact_and_perhaps_more_names() -> None:
    contract = parse(TABLE)
    assert contract.variants == ("1", "2", "2+")
    assert contract.fact("f", "1").names == ("x",)
    assert contract.fact("f", "2+").names_in("2+") == {"x", "y", "z"}
    with pytest.raises(ContractError, match="0 facts on g"):
        contract.fact("g", "1")


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ({"f": {"x", "unheard-of"}}, "'unheard-of' is no fact"),
        ({"f": {"x", "y"}}, "'y' is not listed as used"),
        ({"f": {"x"}, "g": {"y"}}, "there is no fact on g"),
    ],
)
def test_what_an_adapter_uses_is_held_against_the_facts(uses: dict[str, set[str]], words: str) -> None:
    contract = parse(TABLE)
    contract.check_uses({"f": {"x"}}, "2")
    with pytest.raises(ContractError, match=words):
        contract.check_uses(uses, "2")


def test_what_no_variant_uses_is_noticed() -> None:
    contract = parse(TABLE)
    contract.check_idle({"f": {"x"}}, "2")
    contract.check_idle({}, "2", elsewhere=["f"])
    with pytest.raises(ContractError, match="call: 'x' is listed as used and was not"):
        contract.check_idle({"f": {"y"}}, "2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "rumour"}, "the kind 'rumour' is none of"),
        ({"names": []}, "it names nothing"),
        ({"names": ["x", "x"]}, "one name twice"),
        ({"used": ["w"]}, "uses what it does not name"),
        ({"perhaps": ["x"]}, "both surely and perhaps"),
        ({"versions": ["3"]}, "in one that the file does not have"),
        ({"sources": []}, "it was read nowhere"),
        ({"sources": ["there"]}, "sources that are not named"),
        ({"id": "old"}, "facts share an id"),
        ({"versions": ["1", "2"]}, "two facts in one version"),
        ({"seen": "yes"}, "a fact has no"),
    ],
)
def test_a_breach_of_the_format_is_refused(change: dict[str, Any], words: str) -> None:
    table = copy.deepcopy(TABLE)
    table["facts"][0].update(change)
    with pytest.raises(ContractError, match=words):
        parse(table)


def test_a_source_says_where_and_when() -> None:
    table = copy.deepcopy(TABLE)
    table["sources"]["here"]["at"] = ""
    with pytest.raises(ContractError, match="source here needs"):
        parse(table)
