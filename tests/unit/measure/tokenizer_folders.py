"""Tokenizer folders for tests: the bundled family's, with another chat template or other habits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER

BOS, BOS_ID = "<|pad|>", 0
PLAIN = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
WITH_BOS = "{{ bos_token }}" + PLAIN
REFUSES_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role.') }}{% endif %}" + PLAIN
DROPS_SYSTEM = PLAIN.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")


def write_tokenizer(folder: Path, template: str = PLAIN, *, adds_bos: bool = False, cuts_at: int | None = None) -> Path:
    """Write a tokenizer folder.

    Args:
        folder: made if need be.
        template: its chat template.
        adds_bos: whether the tokenizer puts a BOS before every text by itself.
        cuts_at: truncate every text to so many tokens unless told otherwise; ``None`` not to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = json.loads((BUNDLED_FOLDER / "target" / "tokenizer.json").read_text())
    if adds_bos:
        content["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {BOS: {"id": BOS, "ids": [BOS_ID], "tokens": [BOS]}},
        }
    if cuts_at is not None:
        content["truncation"] = {
            "direction": "Right",
            "max_length": cuts_at,
            "strategy": "LongestFirst",
            "stride": 0,
        }
    (folder / "tokenizer.json").write_text(json.dumps(content))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(template)
    return folder
