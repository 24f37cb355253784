"""From settings to the prompts that are asked, with the target's tokenizer where they depend on it."""

from __future__ import annotations

from pathlib import Path

from pytest_speedbench.engines.checkpoints import open_checkpoint
from pytest_speedbench.settings import Settings
from pytest_speedbench.splits import Split, load_split, select
from pytest_speedbench.splits.conditions import needs_tokenizer
from pytest_speedbench.splits.schema import TextTokenizer
from pytest_speedbench.splits.source import SplitSource


class Splits:
    """Loads splits and selects from them, each once. ``root`` is what relative paths are relative to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._whole: dict[tuple[SplitSource, str | None], Split] = {}
        self._asked: dict[tuple[object, ...], Split] = {}
        self._tokenizers: dict[str, TextTokenizer] = {}

    def whole(self, source: SplitSource, model: str) -> Split:
        """A whole split.

        Args:
            source: which one.
            model: the target, whose tokenizer makes prompts of a given length.

        Raises:
            SplitError: it does not exist or its rows cannot be used.
            EngineError: its prompts depend on the target's tokenizer, and the model cannot be found.
        """
        key = (source, model if source.needs_tokenizer else None)
        if key not in self._whole:
            self._whole[key] = load_split(source, root=self._root, tokenizer=lambda: self._tokenizer(model))
        return self._whole[key]

    def asked(self, settings: Settings) -> Split:
        """The prompts that settings ask.

        Raises:
            SplitError: no such split, category or prompt, or fewer prompts than asked.
            EngineError: as for :meth:`whole`.
        """
        model = settings.pair.model
        depends = settings.split.needs_tokenizer or needs_tokenizer(settings.where)
        key = (settings.split, model if depends else None, settings.categories, settings.where, settings.prompts)
        if key not in self._asked:
            self._asked[key] = select(
                self.whole(settings.split, model),
                settings.categories,
                settings.prompts,
                settings.where,
                tokenizer=lambda: self._tokenizer(model),
            )
        return self._asked[key]

    def _tokenizer(self, model: str) -> TextTokenizer:
        if model not in self._tokenizers:
            from pytest_speedbench.splits.tokenizers import folder_tokenizer

            self._tokenizers[model] = folder_tokenizer(open_checkpoint(model, download=True).folder)
        return self._tokenizers[model]
