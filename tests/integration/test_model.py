"""``--speedbench-model``"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_speedbench.engines.checkpoints import BUNDLED_FOLDER
from tests.integration.conftest import Bench


def copy_of_the_target(bench: Bench) -> Path:
    folder = bench.path / "target"
    shutil.copytree(BUNDLED_FOLDER / "target", folder)
    return folder


def run(bench: Bench, model: object) -> pytest.RunResult:
    return bench.run(f"--speedbench-model={model}", "--speedbench-drafter=ngram", "--speedbench-engine=scripted")


def test_a_folder(bench: Bench) -> None:
    result = bench.run(
        f"--speedbench-model={copy_of_the_target(bench)}",
        "--speedbench-drafter=ngram",
        "--speedbench-engine=scripted",
        "--speedbench-update",
    )
    result.assert_outcomes(passed=1)
    assert bench.baseline("scripted-target-ngram").exists()


def test_no_such_folder(bench: Bench) -> None:
    result = run(bench, "/no/such/folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*There is no model folder '/no/such/folder'*"])


def test_a_folder_that_is_no_model(bench: Bench) -> None:
    (bench.path / "empty").mkdir()
    result = run(bench, bench.path / "empty")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is no model: *has no config.json*"])


def test_a_tokenizer_without_a_chat_template(bench: Bench) -> None:
    folder = copy_of_the_target(bench)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    path.write_text(json.dumps(config))
    result = run(bench, folder)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no chat template*"])


def test_no_tokenizer(bench: Bench) -> None:
    folder = copy_of_the_target(bench)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    result = run(bench, folder)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*There is no tokenizer in*"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "qwen3_next"}, "layers carry a state that transformers cannot take back"),
        (
            {"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"]},
            "transformers loads no language model by itself",
        ),
        ({"quantization_config": {"quant_method": "modelopt"}}, "whose scales transformers ignores"),
    ],
)
def test_a_model_that_the_engine_does_not_compute_is_refused_at_once(
    bench: Bench, changes: dict[str, object], words: str
) -> None:
    folder = copy_of_the_target(bench)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    result = bench.run(f"--speedbench-model={folder}", "--speedbench-drafter=ngram", "--speedbench-engine=transformers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words}*vllm, sglang*"])
