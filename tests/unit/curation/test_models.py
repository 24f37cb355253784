"""Vectors made here: words counted, and a sentence-transformers model with random weights."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_speedbench.curation import curate, embed, tfidf
from pytest_speedbench.curation.models import words
from pytest_speedbench.curation.vectors import unit_rows
from pytest_speedbench.errors import ConfigError, SplitError
from pytest_speedbench.splits import Prompt, Split, load_split
from tests.unit.curation.vectors import cosines


def asked(*texts: str) -> Split:
    prompts = tuple(Prompt(f"q{n}", "qa", "", (text,)) for n, text in enumerate(texts))
    return Split("candidates", prompts, "0" * 64, len(prompts))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sum the Squares, I said!", ["sum", "the", "squares", "i", "said"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("x_1 = 10", ["x_1", "10"]),
        ("हिन्दी में लिखो", ["हिन्दी", "में", "लिखो"]),
        ("用Python写函数", ["用", "python", "写函", "函数"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("?! …", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_weights_are_one_plus_log_count_times_inverse_document_frequency() -> None:
    split = asked("red red red house", "red garden", "blue garden")
    units = unit_rows(tfidf(split), range(3), ["", "", ""])
    similar = cosines(units)
    idf = {"red": math.log(4 / 3) + 1, "garden": math.log(4 / 3) + 1, "house": math.log(4 / 2) + 1}
    first = np.array([(1 + math.log(3)) * idf["red"], idf["house"]])
    second = np.array([idf["red"], idf["garden"]])
    expected = first[0] * second[0] / (np.linalg.norm(first) * np.linalg.norm(second))
    assert similar[0, 1] == pytest.approx(expected)
    assert similar[0, 2] == 0
    assert np.diag(similar) == pytest.approx(1)


def test_prompts_in_a_script_without_spaces_are_compared() -> None:
    split = asked("请写一个函数计算平均值", "请写一个函数计算总和", "今天天气怎么样", "How is the weather?")
    units = unit_rows(tfidf(split), range(4), [""] * 4)
    similar = cosines(units)
    assert similar[0, 1] > 0.4
    assert similar[0, 2] == similar[2, 3] == 0
    assert set(curate(split, tfidf(split), 3).categories[0].selected) > {"q2", "q3"}


def test_tfidf_does_not_depend_on_the_order_of_the_candidates() -> None:
    mini = load_split("mini")
    turned = Split("turned", mini.prompts[::-1], mini.sha256, mini.total)
    one, other = (curate(split, tfidf(split), 5) for split in (mini, turned))
    assert one.selected == other.selected[::-1]
    assert one.overall.selected == pytest.approx(other.overall.selected, rel=1e-12)


def test_candidates_without_words_are_refused() -> None:
    split = asked("What is it?", "?!", "And that?")
    with pytest.raises(SplitError, match="TF-IDF of words: the vector of candidate 2, 'q1', is zero"):
        curate(split, tfidf(split), 2)
    with pytest.raises(ConfigError, match="No candidate has a word in it"):
        tfidf(asked("?", "!"))


def test_tfidf_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(ConfigError, match=r"needs scikit-learn.*pytest-speedbench\[curate\]"):
        tfidf(asked("one", "two"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of random weights: BERT of two layers, mean pooling."""
    transformers = pytest.importorskip("transformers")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    bert, whole = (tmp_path_factory.mktemp(name) for name in ("bert", "model"))
    letters = "abcdefghijklmnopqrstuvwxyz?"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (bert / "vocab.txt").write_text("\n".join(tokens) + "\n")
    transformers.BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    config = transformers.BertConfig(
        vocab_size=len(tokens),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertModel(config).save_pretrained(bert)
    sentence_transformers.SentenceTransformer(str(bert)).save(str(whole))
    return whole


def test_a_sentence_transformers_model(model: Path) -> None:
    split = asked("What is a cat?", "What is a dog?", "Sing", "Why do birds sing at dawn?")
    embeddings = embed(split, str(model))
    assert (embeddings.dimensions, embeddings.origin) == (16, f"sentence-transformers model {model}")
    assert embeddings.notes == ("The model reads 32 tokens of a prompt; what comes after does not count.",)
    read = embeddings.read(range(4))
    assert isinstance(read, np.ndarray)
    assert read.shape == (4, 16)
    assert np.unique(read, axis=0).shape == (4, 16)
    assert len(curate(split, embeddings, 2).selected) == 2


def test_a_model_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"sentence-transformers cannot load '.*empty'"):
        embed(asked("one", "two"), str(empty))


def test_a_model_without_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"'m' needs sentence-transformers.*pytest-speedbench\[embeddings\]"):
        embed(asked("one", "two"), "m")
