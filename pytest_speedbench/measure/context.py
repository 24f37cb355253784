"""Whether turns fit the target's context; refused before anything is asked where that is known by then."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_speedbench.config import Sampling
from pytest_speedbench.engines.base import EngineInfo
from pytest_speedbench.errors import EngineError
from pytest_speedbench.measure.prompts import ChatEncoder, dialogue
from pytest_speedbench.splits.schema import Prompt

_MERGED_TOKENS = 4
"""By so many tokens a reply can shorten what stands around it, its first and last ones joined with their neighbours."""
_KEPT_OF_A_REPLY = 0.9
"""Of a reply's tokens, when its text is tokenized again."""


def check_length(prompt: Prompt, number: int, tokens: int, sampling: Sampling, info: EngineInfo) -> None:
    """Refuse a turn that with its longest output is longer than the context.

    Args:
        prompt: whose turn it is.
        number: of the turn, the first being 0.
        tokens: of the rendered prompt.
        sampling: with the output limit.
        info: with the context's length.

    Raises:
        EngineError: it names the turn and the tokens.
    """
    needed = tokens + sampling.max_output_tokens
    if needed > info.context_tokens:
        raise EngineError(
            f"Turn {number + 1} of {prompt.question_id!r} needs {needed} tokens ({tokens} of prompt and "
            f"{sampling.max_output_tokens} of output), but the target's context is {info.context_tokens}.",
            "Lower the output limit, leave the prompt out, or use a target with a longer context.",
        )


def check_later_turns(
    encoder: ChatEncoder,
    prompts: Sequence[Prompt],
    first_tokens: Sequence[int],
    sampling: Sampling,
    info: EngineInfo,
) -> None:
    """Refuse later turns that cannot fit, however short the replies before them are.

    What a turn needs at the least are the users' texts up to it, with empty replies. Replies that do not end by
    themselves (``ignore_eos``) have a known length; it counts where the template keeps all of a reply.

    Args:
        encoder: of the target.
        prompts: what is to be asked.
        first_tokens: of the rendered first turn of each.
        sampling: with the output limit.
        info: with the context's length.

    Raises:
        EngineError: a turn does not fit; it names the first one of its prompt.
    """
    known = 0
    if sampling.ignore_eos and _keeps_replies(encoder):
        known = int(sampling.max_output_tokens * _KEPT_OF_A_REPLY)
    for prompt, first in zip(prompts, first_tokens, strict=True):
        last = len(prompt.turns) - 1
        # A byte is a token at most, and the template writes no more around a later turn than around the first.
        most = first * (last + 1) + sum(len(text.encode("utf-8", "surrogatepass")) for text in prompt.turns[1:])
        if last == 0 or most + last * known + sampling.max_output_tokens <= info.context_tokens:
            continue
        if _overflow(encoder, prompt, last, known, sampling, info) is None:
            continue
        for number in range(1, last + 1):
            if (tokens := _overflow(encoder, prompt, number, known, sampling, info)) is not None:
                output = sampling.max_output_tokens
                raise EngineError(
                    f"Turn {number + 1} of {prompt.question_id!r} needs {tokens + output} tokens or more ({tokens} of "
                    f"prompt and {output} of output{'' if known else ', with nothing in the replies before it'}), but "
                    f"the target's context is {info.context_tokens}.",
                    "Lower the output limit, leave the prompt out, or use a target with a longer context.",
                )


def _overflow(
    encoder: ChatEncoder, prompt: Prompt, number: int, known: int, sampling: Sampling, info: EngineInfo
) -> int | None:
    """The tokens that a turn's prompt has at the least if they are too many; ``None`` if not, or if nobody knows."""
    try:
        ids = encoder.encode(dialogue(prompt.turns[: number + 1], [""] * number, prompt.system))
    except EngineError:
        return None  # a template may refuse empty replies
    tokens = len(ids) + number * (known - _MERGED_TOKENS)
    return tokens if tokens + sampling.max_output_tokens > info.context_tokens else None


def _keeps_replies(encoder: ChatEncoder) -> bool:
    """Whether a past reply stands in the prompt with its thought."""
    try:
        return "thought" in encoder.render(dialogue(("a", "b"), ("<think>thought</think>c",)))
    except EngineError:
        return False
