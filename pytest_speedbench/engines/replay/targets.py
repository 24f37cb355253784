"""What drafters that are heads read of their target: its hidden states at every token of the stored outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pytest_speedbench.engines.replay.batches import batches, padded
from pytest_speedbench.engines.replay.texts import shared_texts
from pytest_speedbench.engines.replay.walk import Reach
from pytest_speedbench.engines.transformers.hidden_states import HiddenStateTap
from pytest_speedbench.engines.transformers.loading import LoadedModel, TargetFrame, layered_decoder_of
from pytest_speedbench.outputs import StoredOutput


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What the target's layers held as it read some outputs side by side.

    Attributes:
        places: which of the outputs given.
        rows: in which row each of them stands: that of its own text, or of a later turn's, which begins with it.
        ids: prompts and outputs, [texts, longest]; the padding stands after the text, where nothing attends to it.
        auxiliary: the residual streams after the layers asked for, side by side, [texts, longest, A·H]; id 0 are the
            embeddings, id k is the stream after layer k. ``None`` if none was asked for.
        final: the hidden states after the target's final norm, [texts, longest, H]; ``None`` if not asked for.
    """

    places: Sequence[int]
    rows: Sequence[int]
    ids: Tensor
    auxiliary: Tensor | None
    final: Tensor | None

    def streams(self) -> Tensor:
        """The residual streams, which were asked for."""
        if self.auxiliary is None:
            raise RuntimeError("no residual streams were asked for")
        return self.auxiliary

    def states(self) -> Tensor:
        """The final hidden states, which were asked for."""
        if self.final is None:
            raise RuntimeError("no final hidden states were asked for")
        return self.final


@dataclass(frozen=True, slots=True)
class Head:
    """A drafter that reads its target's hidden states.

    Attributes:
        layer_ids: after which layers it reads the residual stream, ascending.
        reads_final: whether it reads the hidden states after the final norm.
        reaches: what it would have had accepted of the outputs of a batch.
    """

    layer_ids: tuple[int, ...]
    reads_final: bool
    reaches: Callable[[ReadBatch, Sequence[StoredOutput]], Sequence[Reach]]

    def judged(self, target: TargetStates, outputs: Sequence[StoredOutput]) -> list[Reach]:
        """What it would have had accepted of outputs, as the target reads them."""
        found: dict[int, Reach] = {}
        with torch.inference_mode():
            for batch in target.read(outputs, self.layer_ids, final=self.reads_final):
                held = [outputs[place] for place in batch.places]
                found.update(zip(batch.places, self.reaches(batch, held), strict=True))
        return [found[place] for place in range(len(outputs))]


class TargetStates(Protocol):
    """A target that reads stored outputs, or has read them before."""

    @property
    def frame(self) -> TargetFrame:
        """What a head shares with it."""

    def read(self, outputs: Sequence[StoredOutput], layer_ids: Sequence[int], *, final: bool) -> Iterator[ReadBatch]:
        """Every output once, in groups of similar length that fit the memory.

        Args:
            outputs: what is read.
            layer_ids: after which layers the residual streams are wanted, ascending.
            final: whether the hidden states after the final norm are wanted.
        """


class LiveTarget:
    """A loaded target that reads the outputs now.

    Args:
        target: a transformers model.
        batch_tokens: tokens read at a time, padding included: what bounds the memory.
    """

    def __init__(self, target: LoadedModel, batch_tokens: int) -> None:
        self._decoder: Any = layered_decoder_of(target.model)
        self._batch_tokens = batch_tokens
        self.frame = TargetFrame.of(target.model)

    def read(self, outputs: Sequence[StoredOutput], layer_ids: Sequence[int], *, final: bool) -> Iterator[ReadBatch]:
        """Run the target, without the layers above those that are wanted."""
        texts = shared_texts([stored.prompt_ids + stored.output_ids for stored in outputs])
        needed = self.frame.layers if final else max(layer_ids, default=0)
        tap = HiddenStateTap(self._decoder, layer_ids)
        try:
            for group in batches([len(text.ids) for text in texts], self._batch_tokens):
                ids = padded([texts[number].ids for number in group], self.frame.embedding.device)
                with _first_layers(self._decoder, needed):
                    states = self._decoder(input_ids=ids, use_cache=False).last_hidden_state
                held = [(place, row) for row, number in enumerate(group) for place in texts[number].places]
                yield ReadBatch(
                    [place for place, _ in held],
                    [row for _, row in held],
                    ids,
                    tap.batch() if layer_ids else None,
                    states if final else None,
                )
        finally:
            tap.close()


@contextmanager
def _first_layers(decoder: Any, count: int) -> Iterator[None]:
    """Leave out the layers after the first few, whose output nobody reads."""
    layers = decoder.layers
    decoder.layers = layers[: max(count, 1)]
    try:
        yield
    finally:
        decoder.layers = layers
