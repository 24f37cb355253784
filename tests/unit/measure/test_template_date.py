"""Chat templates that write today's date: the same prompts every day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.prompts import TemplateEncoder
from pytest_speedbench.measure.template_date import with_fixed_date
from tests.unit.measure.tokenizer_folders import PLAIN, write_tokenizer


def rendered(template: str) -> str:
    messages = [{"role": "user", "content": "Hi"}]
    texts: Any = render_jinja_template([messages], chat_template=with_fixed_date(template))
    return str(texts[0][0])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ strftime_now('%d %b %Y') }}!", "01 Jan 2026!"),
        ('\nToday {{- " is " + strftime_now( "%Y-%m-%d" ) }}', "\nToday is 2026-01-01"),
        (
            "{% if strftime_now is defined %}{% set date = strftime_now('%d %b %Y') %}{% endif %}"
            "{{ date }}, {{ messages[0]['content'] }}",
            "01 Jan 2026, Hi",
        ),
        ("{% macro head() %}{{ strftime_now('%B') }}{% endmacro %}{{ head() }}", "January"),
        ("{% for m in messages %}{{ strftime_now('%A') }}{% endfor %}", "Thursday"),
    ],
)
def test_the_date_stays(template: str, expected: str) -> None:
    assert rendered(template) == expected


def test_a_template_without_a_date_is_left_alone() -> None:
    assert with_fixed_date(PLAIN) == PLAIN
    assert (
        with_fixed_date("{% if strftime_now is defined %}x{% endif %}")
        == "{% if strftime_now is defined %}x{% endif %}"
    )


def test_a_form_that_is_computed_is_refused() -> None:
    with pytest.raises(EngineError, match="from day to day"):
        with_fixed_date("{{ strftime_now(form) }}")


def test_the_encoder_renders_it(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "{{ strftime_now('%d %b %Y') }}" + PLAIN)
    assert TemplateEncoder.load(tmp_path).render([{"role": "user", "content": "Hi"}]).startswith("01 Jan 2026")
