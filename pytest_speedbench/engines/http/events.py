"""Server-sent events: bytes as they arrive become the data of whole events."""

from __future__ import annotations


class EventStream:
    """Cuts a byte stream into events, wherever it was split on its way.

    Only the data matters here: comments, event names and ids are skipped, and an event without data is none. Lines end
    with CR, LF or both. Bytes are not decoded, so a character may be split too.
    """

    def __init__(self) -> None:
        self._line = b""
        self._data: list[bytes] = []
        self._after_cr = False

    def feed(self, received: bytes) -> list[bytes]:
        """The data of all events that ``received`` completes; the lines of one event are joined by a newline."""
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
            elif not field and not value and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        return events
