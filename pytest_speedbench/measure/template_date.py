"""Chat templates that write today's date get one that stays: else every day would have other prompts."""

from __future__ import annotations

import json
import re
from datetime import datetime

from pytest_speedbench.errors import EngineError

DATE = datetime(2026, 1, 1)
"""What ``strftime_now`` tells a chat template."""

_CALL = re.compile(r"\bstrftime_now\s*\(")
_FORMATTED_CALL = re.compile(r"""\bstrftime_now\s*\(\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\)""")


def with_fixed_date(template: str) -> str:
    """The chat template with :data:`DATE` for every ``strftime_now("FORMAT")``; the same one if it asks for none.

    Raises:
        EngineError: it computes the format, so that what it would write is not known.
    """
    calls = len(_CALL.findall(template))
    formats = {double or single for double, single in _FORMATTED_CALL.findall(template)}
    if not calls:
        return template
    if len(_FORMATTED_CALL.findall(template)) < calls:
        raise EngineError(
            "The target's chat template writes today's date in a form that it computes, so its prompts would change "
            "from day to day.",
            'Write the date into the template, or strftime_now("FORMAT") with the format itself.',
        )
    dates = json.dumps({form: DATE.strftime(form) for form in sorted(formats)}, ensure_ascii=True)
    # A macro hides the function of the same name; the last, empty expression keeps a line break after it.
    return f'{{%- macro strftime_now(format) -%}}{{{{ {dates}[format] }}}}{{%- endmacro %}}{{{{ "" }}}}{template}'
