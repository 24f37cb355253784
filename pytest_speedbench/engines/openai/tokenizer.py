"""Text back to token ids, with the target's own tokenizer: for servers that give no ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_speedbench.errors import EngineError

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Retokenized:
    """A text's tokens: their ids, and where each ends in the text, in characters."""

    ids: tuple[int, ...]
    ends: tuple[int, ...]


class TargetTokenizer:
    """The tokenizer in a target's folder.

    Args:
        folder: the target's.

    Raises:
        EngineError: the package tokenizers is missing, or the folder has no ``tokenizer.json`` that can be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise EngineError(
                "The server gives no token ids, and the package tokenizers is not installed to find them.",
                'Run: pip install "pytest-speedbench[transformers]".',
            ) from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # tokenizers raises plain exceptions
            raise EngineError(
                f"The server gives no token ids, and {folder / TOKENIZER_FILE} cannot be read to find them: {error}.",
                f"Put the target's {TOKENIZER_FILE} there, or use a server that returns token ids.",
            ) from error

    def encode(self, text: str) -> Retokenized:
        """Tokenize an output; no special tokens are added."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return Retokenized(tuple(encoding.ids), tuple(end for _, end in encoding.offsets))

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """A prompt as text, its special tokens written out."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))
