"""A target's chat template: handed its messages as it wants them, and held to what it was handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.template_date import with_fixed_date

Message = Mapping[str, str]

_PROBE = "zq probe zq"
_PROBED = (("user",), ("system", "user"), ("user", "assistant", "user"))
"""Dialogues; in each of them one role is new."""
_PRINTED_PART = "'type': 'text'"
_SHOWN_NAMES = 10


class ChatTemplate:
    """The chat template of a tokenizer, with a date that stays.

    Content is handed over as a text. Where that does not arrive, as templates of multimodal targets have it, it is
    handed over as a list of parts, ``[{"type": "text", "text": …}]``: role by role, found out by trying.

    Args:
        tokenizer: of Hugging Face; it gets the template whose date stays.
        folder: where it was read, for messages.

    Raises:
        EngineError: there is no template, several without a default, or one with a date that changes.
    """

    def __init__(self, tokenizer: Any, folder: object) -> None:
        templates = getattr(tokenizer, "chat_template", None)
        if not templates:
            raise no_template(folder)
        if isinstance(templates, Mapping) and "default" not in templates:
            names = sorted(map(str, templates))
            shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
            raise EngineError(
                f"The tokenizer in {folder} has several chat templates ({shown}), and none of them is called default.",
                "Put the one that is meant into chat_template.jinja in that folder, or call it default.",
            )
        template = tokenizer.get_chat_template()
        if not isinstance(template, str):
            raise EngineError(
                f"The chat template of the tokenizer in {folder} is no text but of the type {type(template).__name__}.",
                "Write it as a text: in chat_template.jinja, or as chat_template in tokenizer_config.json.",
            )
        tokenizer.chat_template = with_fixed_date(template)
        self._tokenizer = tokenizer
        self._in_parts: frozenset[str] = frozenset()
        for roles in _PROBED:
            self._find_form(roles)

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as text, special tokens written out, so that the assistant speaks next.

        Raises:
            EngineError: the template refuses these messages, or fails at them.
        """
        return self._render(messages, self._in_parts)

    def _find_form(self, roles: Sequence[str]) -> None:
        """Whether the content of the role that is new among these is to be parts."""
        place = 0 if len(roles) < 3 else 1
        messages = [{"role": role, "content": _PROBE if n == place else "Hello"} for n, role in enumerate(roles)]
        for in_parts in (self._in_parts, self._in_parts | {roles[place]}):
            try:
                text = self._render(messages, in_parts).casefold()
            except EngineError:
                continue
            if _PROBE in text and _PRINTED_PART not in text:
                self._in_parts = in_parts
                return

    def _render(self, messages: Sequence[Message], in_parts: frozenset[str]) -> str:
        from jinja2 import TemplateError

        handed = [
            {**message, "content": [{"type": "text", "text": message["content"]}]}
            if message["role"] in in_parts
            else dict(message)
            for message in messages
        ]
        roles = ", ".join(message["role"] for message in messages)
        try:
            return str(self._tokenizer.apply_chat_template(handed, add_generation_prompt=True, tokenize=False))
        except TemplateError as error:
            raise EngineError(
                f"The target's chat template refuses messages of {roles}: {str(error).rstrip('.')}.",
                "Leave such prompts (or their system messages) out, or use a target whose template takes them.",
            ) from error
        except Exception as error:  # a template computes, and whatever goes wrong in that comes out as it is
            raise EngineError(
                f"The target's chat template fails at messages of {roles}: {type(error).__name__}: "
                f"{str(error).rstrip('.')}.",
                "Mend the template, or use a target whose template takes them.",
            ) from error


def left_out(render: Callable[[Sequence[Message]], str], messages: Sequence[Message], text: str) -> Message | None:
    """The first message of which nothing arrives in the rendered text; ``None`` if each leaves a trace.

    A template may strip a message or escape it. What renders as no content does, or as another one does, has not
    arrived.

    Args:
        render: the template.
        messages: what was handed to it; blank ones are not expected to arrive.
        text: what it made of them.
    """
    for place, message in enumerate(messages):
        content = message["content"].strip()
        for other in ("", "y" if content.casefold() == "x" else "x") if content else ():
            try:
                if render([*messages[:place], {**message, "content": other}, *messages[place + 1 :]]) == text:
                    return message
            except EngineError:
                continue
    return None


def no_template(folder: object) -> EngineError:
    """That a folder's tokenizer has no chat template."""
    return EngineError(
        f"The tokenizer in {folder} has no chat template, so prompts cannot be rendered as the model expects.",
        "Add chat_template.jinja to the folder (or chat_template to tokenizer_config.json), "
        "or use the instruction-tuned checkpoint.",
    )
