"""Tokenizers for plain text: ``o200k_base``, in which SPEED-Bench's authors count, and the served model's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_speedbench.errors import SplitError

if TYPE_CHECKING:
    import tiktoken
    from tokenizers import Encoding, Tokenizer

    from pytest_speedbench.splits.schema import TextTokenizer

O200K_BASE = "o200k_base"
TOKENIZER_FILE = "tokenizer.json"

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SAMPLE_CHARS = 4096
_SLACK_CHARS = 1024
_MARGIN_TOKENS = 64


def o200k_base() -> TextTokenizer:
    """The tokenizer in which SPEED-Bench's authors count, by tiktoken.

    Raises:
        SplitError: tiktoken is not installed, or its ranks are neither in its cache nor can be downloaded.
    """
    try:
        import tiktoken
    except ImportError:
        raise SplitError(
            f"Counting in {O200K_BASE} needs tiktoken, which is not installed.",
            "Install pytest-speedbench[lengths], or count in the target's own tokenizer.",
        ) from None
    try:
        encoding = tiktoken.get_encoding(O200K_BASE)
    except (OSError, ValueError, ImportError) as error:
        reason = (str(error) or type(error).__name__).rstrip(".")
        raise SplitError(
            f"The ranks of {O200K_BASE} can be neither found nor downloaded: {reason}.",
            "Let tiktoken download them once, or set TIKTOKEN_CACHE_DIR to a folder that holds them; or count in the "
            "target's own tokenizer.",
        ) from None
    return RankTokenizer(encoding)


def folder_tokenizer(folder: Path) -> TextTokenizer:
    """The tokenizer of the model in this folder, read from its ``tokenizer.json``.

    Raises:
        SplitError: the folder has no such file, it cannot be used, or the tokenizers library is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise SplitError(
            "Counting in the target's tokens needs the tokenizers library, which is not installed.",
            "Install pytest-speedbench[lengths].",
        ) from None
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise SplitError(
            f"{folder} has no {TOKENIZER_FILE}, so that nothing can be counted in its tokens.",
            f"Save the model with its fast tokenizer, or count in {O200K_BASE}.",
        )
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise SplitError(f"{file} cannot be used: {error}.", "Save the model's tokenizer again.") from None
    return FileTokenizer(tokenizer, folder.resolve().name)


class _CuttingTokenizer(ABC):
    """What both kinds share: how a text is cut."""

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def count(self, text: str) -> int: ...

    @abstractmethod
    def pieces(self) -> Sequence[str]: ...

    @abstractmethod
    def _measure(self, text: str) -> tuple[int, Callable[[int], int]]:
        """How many tokens the text has, and in how many of its characters the first k of them end (0 < k < all)."""

    def cut(self, text: str, tokens: int) -> tuple[str, int]:
        """The beginning of the text in at most so many tokens, and how many it has by itself."""
        reach = self._reach(text, tokens)
        total, end = self._measure(text[:reach])
        while reach < len(text) and total < tokens + _MARGIN_TOKENS:
            reach *= 2
            total, end = self._measure(text[:reach])
        if total <= tokens:
            return text, total
        keep = tokens
        while keep > 0:
            # Cut off from what followed them, the first tokens may be read as others, and as more of them.
            beginning = text[: end(keep)]
            count = self.count(beginning)
            if count <= tokens:
                return beginning, count
            keep -= count - tokens
        return "", 0

    def _reach(self, text: str, tokens: int) -> int:
        """Characters that hold somewhat more than these tokens, so that the rest of a long text is never encoded."""
        sample = text[:_SAMPLE_CHARS]
        if len(text) <= _SAMPLE_CHARS:
            return len(text)
        density = len(sample) / max(1, self.count(sample))
        return int(tokens * density * 1.15) + _SLACK_CHARS


class RankTokenizer(_CuttingTokenizer):
    """A byte-level BPE of tiktoken's kind."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    @property
    def name(self) -> str:
        """The encoding's name."""
        return self._encoding.name

    def count(self, text: str) -> int:
        """Tokens of this text by itself."""
        return len(self._encoding.encode_ordinary(text))

    def _measure(self, text: str) -> tuple[int, Callable[[int], int]]:
        ids = self._encoding.encode_ordinary(text)

        def end(keep: int) -> int:
            # The bytes are those of a text, so that all there is to ignore is a last character that is not whole.
            return len(self._encoding.decode_bytes(ids[:keep]).decode("utf-8", errors="ignore"))

        return len(ids), end

    def pieces(self) -> Sequence[str]:
        """Every ordinary token that is text by itself, sorted as text."""
        texts = []
        for token in self._encoding.token_byte_values():
            try:
                texts.append(token.decode("utf-8"))
            except UnicodeDecodeError:
                continue
        return sorted(texts)


class FileTokenizer(_CuttingTokenizer):
    """A tokenizer of the tokenizers library, of any kind. The object given is changed, and its own from then on."""

    def __init__(self, tokenizer: Tokenizer, name: str) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        # It adds special tokens, and trims spaces off the offsets by which texts are cut.
        tokenizer.post_processor = None
        self._tokenizer = tokenizer
        self._name = name

    @property
    def name(self) -> str:
        """The name of the model's folder."""
        return self._name

    def count(self, text: str) -> int:
        """Tokens of this text by itself."""
        # Of a batch, even of one: only these calls let other threads run.
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])

    def _measure(self, text: str) -> tuple[int, Callable[[int], int]]:
        encoding = self._tokenizer.encode_batch([text], add_special_tokens=False)[0]
        return len(encoding), lambda keep: _end(encoding, keep)

    def pieces(self) -> Sequence[str]:
        """Every ordinary token that is text by itself, in the order of ids."""
        special = {token for token, added in self._tokenizer.get_added_tokens_decoder().items() if added.special}
        ids = sorted(set(self._tokenizer.get_vocab().values()) - special)
        # Some decoders strip the space in front of a text's first token, so each token is decoded as a second one.
        first = self._tokenizer.encode(".", add_special_tokens=False).ids[-1]
        start = self._tokenizer.decode([first], skip_special_tokens=False)
        texts = self._tokenizer.decode_batch([[first, token] for token in ids], skip_special_tokens=False)
        pieces = (text[len(start) :] for text in texts if text.startswith(start))
        return [piece for piece in pieces if piece and _REPLACEMENT not in piece]


def _end(encoding: Encoding, keep: int) -> int:
    # A character of several tokens is named by each of them: it is whole only where the next token starts behind it.
    last, following = encoding.token_to_chars(keep - 1), encoding.token_to_chars(keep)
    if last is None or following is None:
        raise RuntimeError(f"token {keep} of a text without special tokens belongs to no text")
    return min(last[1], following[0])
