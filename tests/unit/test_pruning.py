from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from pytest_speedbench.engines.identity import tokenizer_sha256
from pytest_speedbench.errors import ConfigError, EngineError
from pytest_speedbench.pruning import (
    TokenCounts,
    count_outputs,
    draft_vocabulary,
    load_counts,
    most_frequent,
    outside_by_category,
    prune_head,
    special_ids,
    write_counts,
)
from pytest_speedbench.pruning.text import prompts_in_text
from pytest_speedbench.splits.schema import Prompt, Split
from tests.unit.engines import tiny_models
from tests.unit.engines.tiny_models import HIDDEN, VOCAB
from tests.unit.metrics.runs import conversation, run, turn

TARGET = BUNDLED_FOLDER / "target"


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return tiny_models.write_head(tmp_path / "head")


@pytest.fixture
def pruned_head(tmp_path: Path) -> Path:
    return tiny_models.write_head(tmp_path / "pruned", tiny_models.head_tensors(draft_vocab=20))


def counted(counts: dict[int, int], vocab_size: int = VOCAB) -> TokenCounts:
    return TokenCounts(counts, vocab_size, "a test", "k" * 64)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def test_a_full_head_proposes_every_token_and_a_pruned_one_its_map(head: Path, pruned_head: Path) -> None:
    assert draft_vocabulary(str(head)).tolist() == list(range(VOCAB))
    marks = load_file(pruned_head / "model.safetensors")["t2d"]
    assert draft_vocabulary(str(pruned_head)).tolist() == torch.nonzero(marks).flatten().tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cut_head_is_a_slice_of_its_source(tmp_path: Path, dtype: torch.dtype) -> None:
    source = {name: tensor.to(dtype) for name, tensor in tiny_models.head_tensors().items()}
    folder = tiny_models.write_head(tmp_path / "head", source, max_position_embeddings=77)
    prune_head(str(folder), [40, 3, 7], tmp_path / "cut")
    cut = load_file(tmp_path / "cut" / "model.safetensors")
    assert cut["d2t"].dtype == torch.int64
    assert (cut["d2t"] + torch.arange(3)).tolist() == [3, 7, 40]
    assert cut["t2d"].dtype == torch.bool
    assert torch.nonzero(cut["t2d"]).flatten().tolist() == [3, 7, 40]
    assert cut["lm_head.weight"].dtype == dtype
    assert bits(cut["lm_head.weight"]) == bits(source["lm_head.weight"][[3, 7, 40]])
    same = source.keys() - {"lm_head.weight"}
    assert cut.keys() == same | {"lm_head.weight", "d2t", "t2d"}
    assert all(bits(cut[name]) == bits(source[name]) for name in same)
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    assert config == {**json.loads((folder / "config.json").read_text()), "draft_vocab_size": 3}


def test_a_pruned_head_can_be_cut_further(tmp_path: Path, pruned_head: Path) -> None:
    ids = draft_vocabulary(str(pruned_head))
    prune_head(str(pruned_head), ids[[1, 5, 19]], tmp_path / "cut")
    assert draft_vocabulary(str(tmp_path / "cut")).tolist() == ids[[1, 5, 19]].tolist()
    rows = load_file(pruned_head / "model.safetensors")["lm_head.weight"]
    assert torch.equal(load_file(tmp_path / "cut" / "model.safetensors")["lm_head.weight"], rows[[1, 5, 19]])


def test_keeping_every_token_gives_a_full_head_without_maps(tmp_path: Path, head: Path) -> None:
    prune_head(str(head), range(VOCAB), tmp_path / "cut")
    before, after = (load_file(folder / "model.safetensors") for folder in (head, tmp_path / "cut"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_shipped_pruned_head_is_reproduced_from_its_counts(tmp_path: Path) -> None:
    counts = load_counts(Path(__file__).parents[2] / "examples/vocab_pruning/counts/english.json", TARGET)
    kept = most_frequent(counts, 1024, always=special_ids(TARGET), among=draft_vocabulary("bundled:eagle3"))
    prune_head("bundled:eagle3", kept, tmp_path)
    shipped = BUNDLED_FOLDER / "eagle3-pruned"
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path, shipped))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((shipped / "config.json").read_text())


@pytest.mark.parametrize("kept", [[], [3, VOCAB], [-1]])
def test_tokens_that_the_head_cannot_propose_are_refused(tmp_path: Path, head: Path, kept: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"cannot propose token|without any token"):
        prune_head(str(head), kept, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_a_head_is_not_cut_in_place(head: Path) -> None:
    before = (head / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="holds the head that is to be cut"):
        prune_head(str(head), [1, 2], head)
    assert (head / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["LlamaForCausalLM"], "draft_vocab_size": None}, "the architecture LlamaForCausalLM"),
        ({"vocab_size": None}, "no vocab_size"),
        ({"draft_vocab_size": 30}, "has 48 rows and the config says 30"),
    ],
)
def test_other_configs_are_refused(head: Path, change: dict[str, object], reason: str) -> None:
    config = json.loads((head / "config.json").read_text())
    (head / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(EngineError, match=reason):
        draft_vocabulary(str(head))


def without_output(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["lm_head.weight"]


def with_scale(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight_scale"] = torch.ones(1)


def without_map(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["d2t"]


def with_doubled_target(tensors: dict[str, torch.Tensor]) -> None:
    tensors["d2t"][1] = tensors["d2t"][0] - 1


def with_target_ids(tensors: dict[str, torch.Tensor]) -> None:
    tensors["d2t"] += torch.arange(20) + VOCAB


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_output, "holds no lm_head where lm_head.weight alone is known"),
        (with_scale, "lm_head.weight_scale"),
        (without_map, "20 of 48 rows and no map d2t"),
        (with_doubled_target, "a target id of its own"),
        (with_target_ids, "a target id of its own"),
    ],
)
def test_other_tensors_are_refused(pruned_head: Path, damage: object, reason: str) -> None:
    assert callable(damage)
    tensors = load_file(pruned_head / "model.safetensors")
    damage(tensors)
    save_file(tensors, pruned_head / "model.safetensors")
    with pytest.raises(EngineError, match=reason):
        draft_vocabulary(str(pruned_head))


def test_a_head_in_speculators_layout_is_cut_as_the_flat_one(tmp_path: Path) -> None:
    tensors = tiny_models.head_tensors(draft_vocab=20)
    flat = tiny_models.write_head(tmp_path / "flat", tensors)
    nested = tiny_models.write_speculators_head(tmp_path / "nested", tensors)
    ids = draft_vocabulary(str(flat))
    assert draft_vocabulary(str(nested)).tolist() == ids.tolist()
    for source in (flat, nested):
        prune_head(str(source), ids[:6], tmp_path / f"cut-{source.name}")
        assert draft_vocabulary(str(tmp_path / f"cut-{source.name}")).tolist() == ids[:6].tolist()
    assert json.loads((tmp_path / "cut-nested" / "config.json").read_text())["draft_vocab_size"] == 6


def test_names_with_a_prefix_are_kept(tmp_path: Path) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in tiny_models.head_tensors(draft_vocab=20).items()}
    folder = tmp_path / "prefixed"
    tiny_models.write_head(folder, tiny_models.head_tensors(draft_vocab=20))
    save_file(tensors, folder / "model.safetensors")
    ids = draft_vocabulary(str(folder))
    prune_head(str(folder), ids[:4], tmp_path / "cut")
    cut = load_file(tmp_path / "cut" / "model.safetensors")
    assert cut.keys() == tensors.keys()
    assert cut["model.lm_head.weight"].shape == (4, HIDDEN)
    assert draft_vocabulary(str(tmp_path / "cut")).tolist() == ids[:4].tolist()


def test_the_most_frequent_tokens_are_kept_and_the_special_ones_first() -> None:
    counts = counted({5: 10, 6: 20, 7: 10, 8: 1, 0: 0})
    assert most_frequent(counts, 2).tolist() == [5, 6]
    assert most_frequent(counts, 3).tolist() == [5, 6, 7]
    assert most_frequent(counts, 3, always={0, 40}).tolist() == [0, 6, 40]
    assert most_frequent(counts, 3, always={6, 8}).tolist() == [5, 6, 8]
    assert most_frequent(counts, 2, among=np.array([7, 8, 9])).tolist() == [7, 8]
    assert most_frequent(counts, 2, always={0, 9}, among=np.array([7, 8, 9])).tolist() == [7, 9]


def test_smaller_vocabularies_lie_inside_larger_ones() -> None:
    frequency = np.random.default_rng(0).integers(0, 5, VOCAB)
    counts = counted({token: int(count) for token, count in enumerate(frequency)})
    most = int((frequency[2:] > 0).sum()) + 2
    vocabularies = [set(most_frequent(counts, size, always={0, 1}).tolist()) for size in range(3, most + 1)]
    assert [len(vocabulary) for vocabulary in vocabularies] == list(range(3, most + 1))
    assert all(small < large for small, large in pairwise(vocabularies))


@pytest.mark.parametrize("size", [2, 5])
def test_counts_are_not_stretched_beyond_what_was_counted(size: int) -> None:
    with pytest.raises(ConfigError, match=r"2 are always kept and 2 more occur in a test.* Ask for 3 to 4 tokens"):
        most_frequent(counted({5: 1, 6: 1, 7: 0}), size, always={0, 1})


def test_special_tokens_are_read_from_the_target() -> None:
    assert special_ids(TARGET) == {0, 1, 2, 3}


def test_several_ends_and_added_tokens_are_special(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 9]}')
    (tmp_path / "config.json").write_text('{"eos_token_id": 7}')
    decoder = {"11": {"content": "<s>", "special": True}, "12": {"content": "plain", "special": False}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    assert special_ids(tmp_path) == {7, 9, 11}
    assert special_ids(tmp_path / "nothing") == frozenset()


def test_counts_survive_their_file(tmp_path: Path) -> None:
    counts = TokenCounts({5: 2, 6: 20, 4095: 2}, 4096, "a test", tokenizer_sha256(TARGET), "s" * 64)
    write_counts(counts, tmp_path / "counts.json")
    assert load_counts(tmp_path / "counts.json", TARGET) == counts
    assert json.loads((tmp_path / "counts.json").read_text())["counts"] == [[6, 20], [5, 2], [4095, 2]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "is no file of token counts"),
        ('{"source": "x", "tokenizer_sha256": "x", "vocab_size": 4, "counts": [[4, 1]]}', "ids from 0 to 3"),
        ('{"source": "x", "tokenizer_sha256": "x", "vocab_size": 4, "counts": [[1, 1]]}', "another tokenizer"),
    ],
)
def test_unusable_counts_files_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "counts.json").write_text(content)
    with pytest.raises(ConfigError, match=reason):
        load_counts(tmp_path / "counts.json", TARGET)
    with pytest.raises(ConfigError, match="There is no file"):
        load_counts(tmp_path / "none.json", TARGET)


def test_only_what_the_target_would_say_is_counted(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "zebra zebra"}, {"role": "assistant", "content": "77"}]},
        {"text": "7"},
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "plain.txt").write_text("7\n77\n")
    chat, plain = (load_counts(tmp_path / name, TARGET) for name in ("chat.jsonl", "plain.txt"))
    assert list(chat.counts.values()) == [3]
    (seven,) = chat.counts
    assert plain.counts[seven] == 3
    assert chat.vocab_size == 4096
    assert (chat.source, chat.tokenizer_sha256) == ("chat.jsonl", tokenizer_sha256(TARGET))


@pytest.mark.parametrize("row", ["{", "[1]", '{"prompt": "x"}', '{"messages": ["x"]}'])
def test_rows_without_text_are_refused_by_their_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "chat.jsonl").write_text('{"text": "fine"}\n' + row + "\n")
    with pytest.raises(ConfigError, match=r"chat.jsonl, line 2 holds no text"):
        load_counts(tmp_path / "chat.jsonl", TARGET)


def test_empty_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("\n")
    with pytest.raises(ConfigError, match="holds no token"):
        load_counts(tmp_path / "plain.txt", TARGET)


def test_judged_prompts_are_found_in_counted_text(tmp_path: Path) -> None:
    asked = ["Write a poem about the sea, please.", "Continue.", "Read this.\n  A long line that stands alone.  "]
    split = Split("s", tuple(Prompt(f"q{i}", "qa", "", (text,)) for i, text in enumerate(asked)), "s" * 64, 3)
    rows: Sequence[object] = [
        {"messages": [{"role": "user", "content": asked[0]}, {"role": "assistant", "content": "Continue."}]},
        {"text": "Before.\nA long line that stands alone.\nAfter."},
    ]
    (tmp_path / "leak.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert prompts_in_text(tmp_path / "leak.jsonl", split) == 2
    (tmp_path / "clean.txt").write_text("Write a poem about the sea, please, said he.\nContinue.\n")
    assert prompts_in_text(tmp_path / "clean.txt", split) == 0


def test_tokens_outside_of_the_vocabulary_are_counted_by_category() -> None:
    measured = run(
        [
            conversation("a", "qa", turn([1, 1]), turn([0])),  # ids 0…4 and 0, 1
            conversation("b", "math", turn([3])),  # ids 0…4
        ]
    )
    found = outside_by_category(measured, np.array([0, 2, 99]))
    assert {name: (row.outside_tokens, row.output_tokens) for name, row in found.items()} == {
        "math": (3, 5),
        "qa": (4, 7),
    }
    assert found["math"].share == pytest.approx(0.6)
    assert outside_by_category(measured, np.arange(5))["qa"].share == 0
    silent = replace(turn([]), output_ids=())
    assert outside_by_category(run([conversation("a", "qa", silent)]), np.arange(5))["qa"].share is None


def test_outputs_are_counted_with_where_they_come_from() -> None:
    counts = count_outputs(run([conversation("a", "qa", turn([1]), turn([0]))]))
    assert counts.counts == {0: 2, 1: 2, 2: 1}
    assert (counts.split_sha256, counts.tokenizer_sha256, counts.vocab_size) == ("s" * 64, "k" * 64, 100)
