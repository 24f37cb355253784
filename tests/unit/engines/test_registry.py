from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from pytest_speedbench.engines import registry
from pytest_speedbench.errors import EngineError

BUILT_IN = (
    "llamacpp",
    "openai",
    "replay",
    "sglang",
    "sglang-serve",
    "transformers",
    "trtllm",
    "trtllm-serve",
    "vllm",
    "vllm-serve",
)


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, value, registry.ENTRY_POINT_GROUP) for name, value in values.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINT_GROUP else [])


@pytest.fixture
def fake_module(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = SimpleNamespace(check=lambda pair: None, create=lambda pair: None)
    monkeypatch.setitem(__import__("sys").modules, "fake_engine", module)
    return module


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_engine_is_built_in(name: str) -> None:
    assert name in registry.known_engines()
    factory = registry.engine_factory(name)
    assert callable(factory.check)
    assert callable(factory.create)


def test_an_installed_engine_is_found(monkeypatch: pytest.MonkeyPatch, fake_module: SimpleNamespace) -> None:
    install(monkeypatch, mine="fake_engine")
    assert registry.known_engines() == tuple(sorted(("mine", *BUILT_IN)))
    assert registry.engine_factory("mine") is fake_module


def test_an_installed_engine_does_not_replace_a_built_in_one(
    monkeypatch: pytest.MonkeyPatch, fake_module: SimpleNamespace
) -> None:
    install(monkeypatch, transformers="fake_engine")
    assert registry.engine_factory("transformers") is not fake_module


def test_an_unknown_engine_is_refused_with_a_hint() -> None:
    with pytest.raises(EngineError, match=r"no engine 'transfomers'\. Did you mean 'transformers'\? Choose one of: "):
        registry.engine_factory("transfomers")
    with pytest.raises(EngineError) as caught:
        registry.engine_factory("zzz")
    assert "Did you mean" not in str(caught.value)


def test_an_engine_that_does_not_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken="no_such_module_at_all")
    with pytest.raises(EngineError, match=r"'broken' \(no_such_module_at_all\) does not import"):
        registry.engine_factory("broken")


def test_an_object_that_is_no_factory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, odd="json")
    with pytest.raises(EngineError, match="has no check and create functions"):
        registry.engine_factory("odd")
