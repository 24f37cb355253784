"""Runs where SGLang is: its own n-gram corpus, asked and told as its worker does it without overlapping schedules.

Reads JSON from standard input, a list of ``{"corpus": {…}, "requests": [[prompt, continued, output_tokens], …]}``, and
writes the accepted tokens of every step of every request of every corpus, asked one after another.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def accepted(tokens: list[int], mask: list[list[int]], following: list[int]) -> int:
    """The longest path from the root whose tokens are those that follow."""
    node, count = 0, 0
    while count < len(following):
        path = {ancestor for ancestor, seen in enumerate(mask[node]) if seen}
        longer = (
            child
            for child in range(1, len(tokens))
            if tokens[child] == following[count]
            and {ancestor for ancestor, seen in enumerate(mask[child]) if seen} == path | {child}
            and child not in path
        )
        found = next(longer, None)
        if found is None:
            break
        node, count = found, count + 1
    return count


def steps(corpus: Any, name: str, prompt: list[int], continued: list[int], output_tokens: int) -> list[int]:
    """Decode one request whose tokens are known."""
    size, depth, counts, emitted = corpus.draft_token_num, corpus.depth, [], 1
    while emitted < output_tokens:
        text = prompt + continued[:emitted]
        corpus.synchronize()
        tokens, mask = corpus.batch_get([name], [text[-depth:]], [len(text)])
        counts.append(accepted(tokens.tolist(), mask.reshape(size, size).tolist(), continued[emitted:]))
        corpus.batch_put([text[-depth:]])
        emitted += counts[-1] + 1
    corpus.erase_match_state([name])
    return counts


def main() -> None:
    """Answer one question."""
    from sglang.srt.speculative.cpp_ngram.ngram_corpus import NgramCorpus

    asked = json.load(sys.stdin)
    found = []
    for case in asked:
        corpus = NgramCorpus(**case["corpus"])
        corpus.depth = case["corpus"]["max_trie_depth"]
        found.append([steps(corpus, str(number), *request) for number, request in enumerate(case["requests"])])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
