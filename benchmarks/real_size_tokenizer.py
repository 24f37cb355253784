"""Makes a tokenizer folder of a real size from byte-pair ranks, for the benchmark of tokenization.

    python benchmarks/real_size_tokenizer.py RANKS FOLDER

RANKS is a file of ranks as tiktoken keeps them (a line for each token: base64, rank) with the pattern of cl100k_base,
or the module that the npm package js-tiktoken has for an encoding (e.g. dist/ranks/o200k_base.js), which brings its own
pattern. The folder gets tokenizer.json, tokenizer_config.json and a ChatML template.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_folder(ranks: Path, folder: Path) -> None:
    """Write a tokenizer folder that transformers loads."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    with TemporaryDirectory() as scratch:
        file, settings = _tiktoken_file(ranks, Path(scratch))
        backend = TikTokenConverter(str(file), extra_special_tokens=list(_SPECIAL), **settings).converted()  # type: ignore[no-untyped-call]
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, eos_token=_SPECIAL[-1], clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    print(f"{folder}: {len(tokenizer)} tokens")


def _tiktoken_file(ranks: Path, scratch: Path) -> tuple[Path, dict[str, Any]]:
    """A file of ranks and what else the converter must know of it."""
    text = ranks.read_text(encoding="utf-8")
    if not text.startswith("export default "):
        return ranks, {}
    encoding = json.loads(text.removeprefix("export default ").rstrip().rstrip(";"))
    lines: list[str] = []
    for block in encoding["bpe_ranks"].split("! ")[1:]:  # "! <first rank> <token> <token> …"
        first, *tokens = block.split()
        lines += (f"{token} {int(first) + place}" for place, token in enumerate(tokens))
    file = scratch / "ranks.tiktoken"
    file.write_text("\n".join(lines), encoding="ascii")
    return file, {"pattern": encoding["pat_str"]}


def main() -> None:
    """Read the arguments and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ranks", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    write_folder(given.ranks, given.folder)


if __name__ == "__main__":
    main()
