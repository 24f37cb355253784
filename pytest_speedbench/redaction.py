"""Keeps secrets out of everything that is shown or stored: baselines, messages, reports, recorded commands.

A secret is known by its name (``hf_token``, ``X-Api-Key``), by where it stands (a URL's user and password, behind
``Bearer``), or by its own look (``hf_…``, ``sk-…``, a JSON web token). Names that only sound like one stay readable:
``max_tokens``, ``num_speculative_tokens``, ``tokenizer``, ``eos_token_id``, and ``api_key_env``, which names a
variable. Numbers and truth values are no secrets, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "***"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "credential", "credentials", "apikey", "authorization"}
    | {"bearer", "cookie", "jwt"}
)
_OF_A_KEY = frozenset({"access", "account", "api", "auth", "encryption", "master", "private", "secret", "signing"})
_OF_A_SECRET_TOKEN = frozenset(
    {"access", "api", "auth", "bearer", "csrf", "gh", "github", "gitlab", "hf", "hub", "huggingface", "id", "oauth"}
    | {"personal", "refresh", "secret", "session", "wandb"}
)
_NAMES_ONE = frozenset({"env", "environment", "file", "path", "variable"})
"""At the end of a name: its value says where the secret is, and is none."""

_ADDRESS = re.compile(r"(?<=://)[^\s/?#'\"]+@|\b[^\s/@:='\",]{1,128}:[^\s/@'\",]{1,512}@(?=[\w\[])")
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?=\S*[\d._~+/=-]|\S{16})[\w.~+/=-]+")
_LOOKS = re.compile(
    r"\bhf_(?=[A-Za-z]*[A-Z0-9])[A-Za-z0-9]{12,}|\bsk-[\w-]{12,}|\bnvapi-[\w-]{12,}|\bgh[opsu]_\w{16,}"
    r"|\bgithub_pat_\w{16,}|\bxox[abp]-[\w-]{10,}|\bAKIA[A-Z0-9]{12,}|\beyJ[\w-]{6,}\.[\w-]{6,}\.[\w-]*"
)
_NAMED = re.compile(r"(?<![\w-])(?=[\d_-]*[A-Za-z])([\w-]+)(\\?[\"']?\s*[=:]\s*|(?<=\w)\s+(?=[^\s=:-]))")
_VALUE = re.compile(r"(\\?[\"']?)(?:bearer\s+|basic\s+)?([^\s\"',;&)}\]\\]+)", re.IGNORECASE)
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?|true|false|null|none", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a text of this name is to be kept from readers."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _NAMES_ONE:
        return False
    if _SECRET_WORDS & set(words):
        return True
    before, last = set(words[:-1]), words[-1]
    if last in ("key", "keys"):
        return bool(before & _OF_A_KEY)
    if last == "token":
        return not before or bool(before & _OF_A_SECRET_TOKEN)
    return last == "tokens" and bool(before & _OF_A_SECRET_TOKEN)


def redact_text(text: str) -> str:
    """A text without the secrets in it."""
    text = _ADDRESS.sub(f"{REDACTED}@", text)
    text = _LOOKS.sub(REDACTED, _BEARER.sub(rf"\g<1>{REDACTED}", text))
    parts: list[str] = []
    place = 0
    while found := _NAMED.search(text, place):
        parts.append(text[place : found.end()])
        place = found.end()
        is_flag = found.group(1).startswith("--")
        named = (found.group(2).strip() or is_flag) and is_secret_name(found.group(1))
        value = _VALUE.match(text, place) if named else None
        if value and not _PLAIN.fullmatch(value.group(2)):
            parts.append(value.group(1) + REDACTED)
            place = value.end()
    return "".join([*parts, text[place:]])


def redacted(value: Any, name: str = "") -> Any:
    """Plain data without the secrets in it; ``name`` is what it is called."""
    if isinstance(value, Mapping):
        return {key: redacted(item, name if is_secret_name(name) else str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item, name) for item in value]
    if isinstance(value, str):
        return REDACTED if value and is_secret_name(name) else redact_text(value)
    return value
