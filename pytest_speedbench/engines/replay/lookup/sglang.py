"""The rule of SGLang 0.5.23: a tree of what was decoded before, whoever it was for.

At every step the last tokens of the sequence, a window of D of them, are looked up in a tree and then added to it, from
each of its tokens on. A draft is a tree of at most K tokens: what followed the longest match, the latest first, then
what followed shorter ones. What is missing to K is filled up with token 0 behind the last token, and verified so.

Two things differ from looking the window up anew, and both show in the counts:

- Matches are carried from step to step: one of n tokens becomes one of n + 1 only where the n were known a step before.
- A string is known only if a window held it whole, and steps that accept much leave long strings out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from pytest_speedbench.acceptance import VerifyStep
from pytest_speedbench.engines.replay.lookup.settings import SglangTrees
from pytest_speedbench.engines.replay.walk import Reach, room
from pytest_speedbench.errors import OutputsError
from pytest_speedbench.outputs import StoredOutput

Followers: TypeAlias = "dict[int, Followers | int]"
"""The tokens that followed a string, the latest last.

A string that stood at one place only has no entries of its own: it is the place after it, and what followed it is read
from the text there. Nearly all long strings are such.
"""
String: TypeAlias = "Followers | int"
_PADDING = 0


@dataclass(slots=True)
class _Request:
    """One request under way; places are those of the remembered text.

    Attributes:
        begin: of what is remembered of it.
        end: of the last window; ``begin`` before the first one.
        path: what followed the last 0, 1, 2, … tokens of that window, as far as they had stood elsewhere.
        matches: how many of them counted as matches: those after 1, 2, … tokens.
    """

    begin: int
    end: int
    path: list[Followers]
    matches: int = 0


@dataclass(slots=True)
class SglangMemory:
    """Drafts for requests that come one after another, and remembers them.

    Args:
        trees: how the drafter is set.
        context_tokens: the longest sequence.
    """

    trees: SglangTrees
    context_tokens: int
    _root: Followers = field(default_factory=dict)
    _text: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    """For every place how far the strings that begin there are remembered."""
    _strings: int = 0
    _asked: set[tuple[int, ...]] = field(default_factory=set)

    def reach(self, stored: StoredOutput) -> Reach:
        """What would have been accepted of one request after those before it.

        When a prompt comes again, all is forgotten first, as the plugin has its engines do.

        Raises:
            OutputsError: the tree would be full, or too little is stored past the end.
        """
        if stored.prompt_ids in self._asked:
            self._forget()
        self._asked.add(stored.prompt_ids)
        return self._steps(stored).__getitem__

    def _forget(self) -> None:
        self._root, self._text, self._ends, self._strings = {}, [], [], 0
        self._asked.clear()

    def _steps(self, stored: StoredOutput) -> dict[int, VerifyStep]:
        prompt_tokens, continued = len(stored.prompt_ids), stored.continued
        text = stored.prompt_ids + continued
        outside = max(0, prompt_tokens + 1 - self.trees.depth)
        request = _Request(len(self._text), len(self._text), [self._root])
        offset = request.begin + prompt_tokens - outside
        self._text += text[outside:]
        self._ends += [0] * (len(text) - outside)
        steps: dict[int, VerifyStep] = {}
        place = 0
        while place < len(stored.output_ids) - 1:
            longest = room(stored, place, self.trees.draft_length, self.context_tokens)
            end = offset + place + 1
            matches = self._matches(request, end)
            draft, drafted = self._draft(matches)
            following = continued[place + 1 : place + 1 + longest]
            accepted = _accepted(draft, following, padded=drafted < self.trees.draft_length)
            self._remember(request, end)
            request.matches = len(matches)
            steps[place] = VerifyStep(self.trees.draft_length, accepted)
            place += accepted + 1
        return steps

    def _matches(self, request: _Request, end: int) -> list[String]:
        """The last 1, 2, … tokens as they are known, as far as they are."""
        depth, text, ends = self.trees.depth, self._text, self._ends
        begin = max(end - depth, request.begin)
        carried = request.end >= begin
        matches: list[String] = [*request.path[1 : request.matches + 1]] if carried else []
        for place in range(request.end if carried else begin, end):
            token = text[place]
            found = self._root.get(token)
            longer: list[String] = []
            for length, string in enumerate(matches, start=1):
                if found is None:
                    break
                longer.append(found)
                if not isinstance(string, int):
                    found = string.get(token)
                else:
                    found = string + 1 if string < ends[string - length] and text[string] == token else None
            if found is not None and len(longer) < depth:
                longer.append(found)
            matches = longer
        return matches

    def _draft(self, matches: list[String]) -> tuple[list[dict[int, int]], int]:
        """For every drafted token, the root first, the tokens after it; and how many were drafted."""
        most, trees = self.trees.draft_length, self.trees
        deepest = max(1, trees.depth - 1)
        narrows = (trees.most_breadth - trees.least_breadth) / deepest
        draft: list[dict[int, int]] = [{}]
        for length in range(len(matches), 0, -1):
            if len(draft) > most:
                break
            breadth = (deepest - length) * narrows + trees.least_breadth
            queue = deque([(0, breadth, matches[length - 1], length)])
            while queue and len(draft) <= most:
                parent, breadth, string, long = queue.popleft()
                for number, (token, longer) in enumerate(self._latest(string, long)):
                    if number >= max(1, int(breadth)) or len(draft) > most:
                        break
                    if token not in draft[parent]:
                        draft[parent][token] = len(draft)
                        draft.append({})
                    queue.append((draft[parent][token], breadth - narrows, longer, long + 1))
        return draft, len(draft) - 1

    def _latest(self, string: String, length: int) -> Iterator[tuple[int, String]]:
        """What followed a string, the latest first."""
        if not isinstance(string, int):
            yield from reversed(string.items())
        elif string < self._ends[string - length]:
            yield self._text[string], string + 1

    def _remember(self, request: _Request, end: int) -> None:
        """Add the window before ``end``: the strings in it that were in no window of the request before.

        What was in one stays as recent among its like as it was, since later windows hold later places.
        """
        begin = max(end - self.trees.depth, request.begin)
        self._ends[begin:end] = [end] * (end - begin)
        if request.end < begin:
            request.end, request.path = begin, [self._root]
        for place in range(request.end, end):
            self._strings += place - begin + 1
            request.path = self._extended(request.path[: place - begin + 1], place)
        request.end = end
        if self._strings + self.trees.depth >= self.trees.capacity:
            raise OutputsError(
                f"These outputs may fill SGLang's tree of n-grams ({self.trees.capacity} strings), and what it then "
                "forgets is not replayed.",
                "Replay fewer prompts, or raise speculative_ngram_capacity.",
            )

    def _extended(self, path: list[Followers], place: int) -> list[Followers]:
        """Add a token to the strings that end before it, and give those that end with it and had stood elsewhere."""
        token, grown = self._text[place], [self._root]
        new = False
        for length, followers in enumerate(path, start=1):
            string = followers.pop(token, None)
            if string is None:
                followers[token] = place + 1
                new = True
                continue
            if isinstance(string, int):  # no longer the only place
                known = string < self._ends[string - length]
                string = {self._text[string]: string + 1} if known else {}
            followers[token] = string
            if not new:
                grown.append(string)
        return grown


def _accepted(draft: list[dict[int, int]], following: tuple[int, ...], *, padded: bool) -> int:
    """How many of the tokens that follow are on one path down the tree."""
    node = 0
    for accepted, token in enumerate(following):
        if token not in draft[node]:
            return 1 if accepted == 0 and padded and token == _PADDING else accepted
        node = draft[node][token]
    return len(following)
