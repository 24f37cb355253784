"""The places of some outputs where a verify step may begin, and how many drafts are accepted at each.

Draft k + 1 matters only where drafts 1 … k were accepted. So every head is asked for its first draft everywhere, for
the second one where the first was right, and so on; the tokens between are the stored ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.outputs import StoredOutput


class Places:
    """Places that are left, in the order of their rows; those whose draft was wrong drop out.

    A step after output token j has read all tokens before it: what it reads last is the token before token j.

    Args:
        outputs: what the target put out.
        rows: in which row of a batch of texts each of them stands.
        draft_length: K.
        device: where the tensors are.

    Attributes:
        rows: [places], the text's row.
        last_read: [places], the place in the text of the last token that the target has read before the step.
    """

    def __init__(
        self, outputs: Sequence[StoredOutput], rows: Sequence[int], draft_length: int, device: torch.device
    ) -> None:
        self._draft_length = draft_length
        self._order = sorted(range(len(outputs)), key=lambda output: rows[output])
        self._counts = [len(outputs[output].output_ids) - 1 for output in self._order]
        texts = [outputs[output].prompt_ids + outputs[output].continued for output in self._order]
        longest = max(map(len, texts)) + draft_length + 1
        self._texts = torch.tensor([[*text, *[-1] * (longest - len(text))] for text in texts], device=device)
        self._output = _spread(range(len(outputs)), self._counts, device)
        self.rows = _spread([rows[output] for output in self._order], self._counts, device)
        first = _spread([len(outputs[output].prompt_ids) - 1 for output in self._order], self._counts, device)
        begin = _spread([sum(self._counts[:number]) for number in range(len(outputs))], self._counts, device)
        self._slots = torch.arange(len(self.rows), device=device)
        self.last_read = first + self._slots - begin
        self._accepted = torch.zeros_like(self._slots)

    def __len__(self) -> int:
        return len(self.rows)

    def token_ids(self, after: int) -> Tensor:
        """The stored tokens [places] so many places after the last one read; -1 where nothing is stored."""
        return self._texts[self._output, self.last_read + after]

    def keep(self, drafted: int, drafts: Tensor) -> Tensor:
        """Go on where draft number ``drafted`` is right; returns which of the places [kept] those are.

        Near the end of the context less is stored than a whole draft: what is missing there is never asked for.
        """
        kept = (drafts == self.token_ids(drafted + 1)).nonzero()[:, 0]
        self.rows, self.last_read = self.rows[kept], self.last_read[kept]
        self._output, self._slots = self._output[kept], self._slots[kept]
        self._accepted[self._slots] = drafted
        return kept

    def reaches(self) -> list[Reach]:
        """What was accepted, by output."""
        found: dict[int, Reach] = {}
        for output, accepted in zip(self._order, self._accepted.split(self._counts), strict=True):  # type: ignore[no-untyped-call]
            found[output] = self._reach(accepted.tolist())
        return [found[output] for output in range(len(self._order))]

    def _reach(self, accepted: Sequence[int]) -> Reach:
        return lambda place: VerifyStep(self._draft_length, accepted[place])


def _spread(values: Sequence[int], counts: Sequence[int], device: torch.device) -> Tensor:
    """Each value as often as its count says."""
    return torch.repeat_interleave(torch.tensor(values, dtype=torch.long), torch.tensor(counts, dtype=torch.long)).to(
        device
    )
