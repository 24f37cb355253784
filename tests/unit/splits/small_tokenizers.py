"""Small tokenizers of every kind that models have, made on the spot."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import pytest_speedbench
from pytest_speedbench.splits.schema import TextTokenizer
from pytest_speedbench.splits.tokenizers import FileTokenizer, RankTokenizer, folder_tokenizer

SPECIAL = "<|end|>"
SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "Les élèves préfèrent les œufs à la coque, déjà.",
    "日本語の文章は短い。中文句子也很短。",
    "Vie\u0302\u0323t Nam, e\u0301te\u0301 and n\u0303 in two code points each.",
    "Smile 😀, wave 👋🏽, family 👩‍👩‍👧, flags 🇫🇷🇯🇵.",
    "def add(a, b):\n    return a + b  # 12345\n\n\nprint(add(1, 2))\n",
    "Yes.\n\nNo.\n\nYes.\n\nNo.\n\n",
    "नमस्ते दुनिया। مرحبا بالعالم. Привет, мир!",
)
_PATTERN = r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_MERGED = (
    b"th",
    b"the",
    b" t",
    b" the",
    b"do",
    b"dog",
    b"\n\n",
    b".\n",
    b"  ",
    "é".encode(),
    "日".encode()[:2],
    b"\xf0\x9f",
)


@cache
def small_encoding() -> tiktoken.Encoding:
    """Of tiktoken: 256 bytes, and merges of which two end within a character."""
    tokens = [bytes([byte]) for byte in range(256)] + list(_MERGED)
    return tiktoken.Encoding(
        "small_base",
        pat_str=_PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={SPECIAL: len(tokens)},
    )


@cache
def ranks() -> TextTokenizer:
    """That encoding."""
    return RankTokenizer(small_encoding())


@cache
def byte_level() -> TextTokenizer:
    """Byte-level BPE as Llama 3, Qwen and GPT have it, with a processor that adds a token and trims offsets."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", SPECIAL], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)]),
        ]
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    return FileTokenizer(tokenizer, "byte-level")


@cache
def byte_fallback() -> TextTokenizer:
    """A BPE over whole characters with bytes for the others, as SentencePiece makes it for Llama 2."""
    single = sorted({character for sentence in SENTENCES[:2] for character in sentence.replace(" ", "▁")})
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *single, "▁t", "he", "▁the"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: place for place, token in enumerate(tokens)},
            merges=[("▁", "t"), ("h", "e"), ("▁t", "he")],
            unk_token="<unk>",  # noqa: S106 - the unknown token
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", SPECIAL)])
    return FileTokenizer(tokenizer, "byte-fallback")


@cache
def unigram() -> TextTokenizer:
    """A Unigram model as SentencePiece makes it for T5 and Gemma's kin; normalizes, and knows not every character."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<unk>", SPECIAL],
        unk_token="<unk>",  # noqa: S106 - the unknown token
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return FileTokenizer(tokenizer, "unigram")


@cache
def bundled() -> TextTokenizer:
    """That of the bundled tiny target."""
    return folder_tokenizer(Path(pytest_speedbench.__file__).parent / "tiny" / "target")


ALL = {"ranks": ranks, "byte-level": byte_level, "byte-fallback": byte_fallback, "unigram": unigram, "bundled": bundled}
