"""SGLang's n-gram drafter told step by step: every window added whole to a plain tree, matches carried as there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Node:
    """A token in the tree, and what followed it, the latest first."""

    token: int | None = None
    followers: list[Node] = field(default_factory=list)

    def find(self, token: int) -> Node | None:
        return next((node for node in self.followers if node.token == token), None)


class Reference:
    """One engine that decodes one request at a time."""

    def __init__(self, draft_tokens: int, depth: int, least_breadth: int, most_breadth: int) -> None:
        self.draft_tokens = draft_tokens
        self.depth = depth
        self.least_breadth = least_breadth
        self.most_breadth = most_breadth
        self.root = Node()

    def decode(self, prompt: Sequence[int], output: Sequence[int], further: Sequence[int]) -> list[tuple[int, int]]:
        """After how many output tokens each step began, and how many tokens it accepted."""
        sure = [*prompt, *output, *further]
        steps: list[tuple[int, int]] = []
        anchors: list[Node | None] = []
        read = 0
        emitted = 1
        while emitted < len(output):
            total = len(prompt) + emitted
            window = sure[:total][-self.depth :]
            if read == 0 or total - read > len(window):
                anchors = [self.walk(window[len(window) - size :]) for size in range(1, len(window) + 1)]
            else:
                for token in sure[read:total]:
                    longer: list[Node | None] = [self.root.find(token)]
                    longer += [anchor.find(token) if anchor is not None else None for anchor in anchors]
                    anchors = longer[: self.depth]
            read = total
            accepted = self.accepted(self.draft(anchors), sure[total:])
            self.insert(window)
            steps.append((emitted - 1, accepted))
            emitted += accepted + 1
        return steps

    def walk(self, tokens: Sequence[int]) -> Node | None:
        node: Node | None = self.root
        for token in tokens:
            node = node.find(token) if node is not None else None
        return node

    def insert(self, window: Sequence[int]) -> None:
        for start in range(len(window)):
            node = self.root
            for token in window[start:]:
                follower = node.find(token) or Node(token)
                node.followers = [follower] + [other for other in node.followers if other is not follower]
                node = follower

    def draft(self, anchors: Sequence[Node | None]) -> Node:
        """A tree whose nodes are told apart by their tokens; its root is the last known token."""
        root, size = Node(), 0
        deepest = max(1, self.depth - 1)
        scale = (self.most_breadth - self.least_breadth) / deepest
        for depth in range(len(anchors), 0, -1):
            anchor = anchors[depth - 1]
            if anchor is None:
                continue
            queue = deque([(root, (deepest - depth) * scale + self.least_breadth, anchor)])
            while queue and size < self.draft_tokens:
                parent, breadth, node = queue.popleft()
                for follower in node.followers[: max(1, int(breadth))]:
                    if size >= self.draft_tokens:
                        break
                    assert follower.token is not None
                    drafted = parent.find(follower.token)
                    if drafted is None:
                        drafted = Node(follower.token)
                        parent.followers.append(drafted)
                        size += 1
                    queue.append((drafted, breadth - scale, follower))
        root.followers += [Node(0) for _ in range(self.draft_tokens - size)]
        return root

    def accepted(self, draft: Node, following: Sequence[int]) -> int:
        count, node = 0, draft
        while count < len(following) and (found := node.find(following[count])) is not None:
            count, node = count + 1, found
        return count
