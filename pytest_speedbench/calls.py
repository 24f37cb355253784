"""What a test's source says that it measures: which settings its calls of the fixture name themselves.

What is asked outside of tests, such as a number of prompts, is judged against the default split only where a test asks
that one. A marker is read as it is; a split named in the call is read from the source.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_speedbench.options import FIXTURE

_POSITIONAL: Mapping[str, tuple[str, ...]] = {
    "measure": ("split",),
    "gate": ("split",),
    "assert_no_regression": ("split",),
    "compare": ("pair", "pair", "split"),
}
"""The calls that measure, with the settings that their positional arguments are."""


def calls_of(test: Callable[..., Any] | None) -> tuple[Mapping[str, object], ...]:
    """The calls of the fixture that measure, each by the settings it names, in order.

    A value is ``...`` where it is no literal. What is measured by a helper or by another fixture is not seen.
    """
    if test is None:
        return ()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(test)))
    except (OSError, TypeError, SyntaxError):
        return ()
    return tuple(_calls(tree))


def _calls(tree: ast.AST) -> Iterator[Mapping[str, object]]:
    for node in ast.walk(tree):
        function = node.func if isinstance(node, ast.Call) else None
        if not isinstance(node, ast.Call) or not isinstance(function, ast.Attribute):
            continue
        if not isinstance(function.value, ast.Name) or function.value.id != FIXTURE or function.attr not in _POSITIONAL:
            continue
        named: dict[str, object] = {}
        for name, argument in zip(_POSITIONAL[function.attr], node.args, strict=False):
            named[name] = _literal(argument)
        for keyword in node.keywords:
            if keyword.arg is None:  # **settings may name anything
                named |= dict.fromkeys(("split", "pair", "prompts"), ...)
            else:
                named[keyword.arg] = _literal(keyword.value)
        yield named


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...
