"""Vectors made here: by a sentence-transformers model, or by counting words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_speedbench.curation.embeddings import ArrayEmbeddings, Embeddings
from pytest_speedbench.curation.vectors import Matrix
from pytest_speedbench.errors import ConfigError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from pytest_speedbench.splits import Prompt, Split

TFIDF = "TF-IDF of words"

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005\u3040-\u30ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Scripts that put no space between words, as ranges of a regular expression."""


class TfidfEmbeddings:
    """Sparse vectors in memory, one dimension for each word."""

    origin = TFIDF
    sparse = True
    notes: tuple[str, ...] = ()

    def __init__(self, vectors: csr_array) -> None:
        self.dimensions = int(vectors.shape[1])
        self._vectors = vectors

    def read(self, rows: Sequence[int]) -> Matrix:
        """As :class:`Embeddings` says."""
        picked: csr_array = self._vectors[np.asarray(rows)]
        return picked


def tfidf(split: Split) -> Embeddings:
    """The candidates' words, weighted: 1 + log of their count in a prompt, times the inverse document frequency.

    Words say what a prompt is about and need no model. Runs of a script that puts no space between words count as the
    pairs of neighbouring characters in them, the usual substitute for words there; taken whole, every sentence would
    be a word of its own, and all prompts would look entirely different.

    Raises:
        ConfigError: scikit-learn is not installed, or no candidate has a word.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise ConfigError(
            "TF-IDF needs scikit-learn, which is not installed.",
            'Install it with pip install "pytest-speedbench[curate]", or give embeddings.',
        ) from None
    from scipy.sparse import csr_array

    vectorizer = TfidfVectorizer(analyzer=words, sublinear_tf=True, dtype=np.float64)
    try:
        vectors = vectorizer.fit_transform([text_of(prompt) for prompt in split.prompts])
    except ValueError:
        raise ConfigError("No candidate has a word in it.", "Give embeddings of the candidates.") from None
    return TfidfEmbeddings(csr_array(vectors))


def words(text: str) -> list[str]:
    """The words of a text without regard to case; of a script without spaces, pairs of neighbouring characters."""
    pattern = _word_pattern()
    found: list[str] = []
    for match in pattern.finditer(text.casefold()):
        run = match["unspaced"]
        if run is None or len(run) == 1:
            found.append(match[0])
        else:
            found.extend(run[place : place + 2] for place in range(len(run) - 1))
    return found


@cache
def _word_pattern() -> re.Pattern[str]:
    # ``\w`` leaves out the combining signs, without which words of Indic and other scripts fall to pieces.
    points = range(0x300, 0x20000)
    signs = "".join(char for point in points if unicodedata.category(char := chr(point)) in ("Mn", "Mc"))
    return re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[\w{signs}])+")


def embed(split: Split, model: str) -> Embeddings:
    """The candidates' vectors by a sentence-transformers model.

    Args:
        split: the candidates.
        model: a folder, or a name on the hub.

    Raises:
        ConfigError: sentence-transformers is not installed, or cannot load the model.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ConfigError(
            f"The model {model!r} needs sentence-transformers, which is not installed.",
            'Install it with pip install "pytest-speedbench[embeddings]", or leave the model out to compare by TF-IDF.',
        ) from None
    try:
        encoder: Any = SentenceTransformer(model)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ConfigError(
            f"sentence-transformers cannot load {model!r}: {str(error).strip().partition(chr(10))[0]}",
            "Name a folder or a model on the hub that sentence-transformers can load.",
        ) from None
    vectors = encoder.encode([text_of(prompt) for prompt in split.prompts], show_progress_bar=False)
    return ArrayEmbeddings(np.asarray(vectors), f"sentence-transformers model {model}", _limits(encoder))


def _limits(encoder: Any) -> tuple[str, ...]:
    most = encoder.max_seq_length
    return () if most is None else (f"The model reads {most} tokens of a prompt; what comes after does not count.",)


def text_of(prompt: Prompt) -> str:
    """What of a prompt is compared: the user's turns. A system message is often the same for all."""
    return "\n".join(prompt.turns)
