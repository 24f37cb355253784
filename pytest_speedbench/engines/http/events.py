"""Server-sent events: bytes as they arrive become the data of whole events."""

from __future__ import annotations

MOST_EVENT_BYTES = 16 << 20
"""One event: the tokens of a step with all their log-probabilities are a thousandth of it."""


class EventStream:
    """Cuts a byte stream into events, wherever it was split on its way.

    Only the data matters here: comments, event names and ids are skipped, and an event without data is none. Lines end
    with CR, LF or both. Bytes are not decoded, so a character may be split too.

    Args:
        most_bytes: how large an unfinished event may be.
    """

    def __init__(self, most_bytes: int = MOST_EVENT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._line = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False

    def feed(self, received: bytes) -> list[bytes]:
        """The data of all events that ``received`` completes; the lines of one event are joined by a newline.

        Raises:
            ValueError: an event is larger than it may be.
        """
        if not received:
            return []
        if self._after_cr:
            received = received.removeprefix(b"\n")  # the other half of a line end
        self._after_cr = received.endswith(b"\r")
        lines = (self._line + received).splitlines(keepends=True)
        self._line = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        events: list[bytes] = []
        for line in lines:
            field, _, value = line.rstrip(b"\r\n").partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
                self._data_bytes += len(value)
            elif not field and not value and self._data:
                events.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        if len(self._line) + self._data_bytes > self._most_bytes:
            raise ValueError(f"an event of more than {self._most_bytes:,} bytes")
        return events
