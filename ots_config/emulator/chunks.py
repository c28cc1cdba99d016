"""Bodies of HTTP requests that come in chunks, as they come."""

from __future__ import annotations

from enum import Enum

from ots_config.emulator.messages import MAX_HEAD, Malformed

_LONGEST_LINE = 1024


class _Expects(Enum):
    SIZE = "the first line of a chunk"
    DATA = "its octets"
    END = "the line end after them"
    TRAILER = "a trailer, or the empty line that ends the body"


class Chunks:
    """A body that is being read.

    Args:
        limit: Octets after which no more of it is read.

    Attributes:
        body: What has come so far.
        too_large: Whether it was more than the limit.
    """

    __slots__ = ("_expects", "_left", "_limit", "_trailing", "body", "too_large")

    def __init__(self, limit: int) -> None:
        self.body = bytearray()
        self.too_large = False
        self._limit = limit
        self._expects = _Expects.SIZE
        self._left = 0  # octets of the chunk still to come
        self._trailing = 0  # octets of trailers so far

    def feed(self, buffer: bytearray) -> bool:
        """Take what has come out of the buffer; return whether the body is whole, or too large.

        Raises:
            Malformed: If these are no chunks.
        """
        while True:
            if self._expects is _Expects.DATA:
                taken = min(len(buffer), self._left)
                self.body += memoryview(buffer)[:taken]
                del buffer[:taken]
                self._left -= taken
                if self._left:
                    return False
                self._expects = _Expects.END
            line = _take_line(buffer)
            if line is None:
                return False
            if self._take(line):
                return True

    def _take(self, line: bytes) -> bool:
        """Take a line; return whether the body ends with it."""
        if self._expects is _Expects.END:
            if line:
                raise Malformed(400, "a chunk is longer than it says")
            self._expects = _Expects.SIZE
        elif self._expects is _Expects.TRAILER:
            self._trailing += len(line)
            if self._trailing > MAX_HEAD:
                raise Malformed(431, "the trailers are too large")
            return not line
        else:
            self._left = _read_size(line)
            self.too_large = len(self.body) + self._left > self._limit
            self._expects = _Expects.DATA if self._left else _Expects.TRAILER
            return self.too_large
        return False


def _take_line(buffer: bytearray) -> bytes | None:
    """Return the next line without its end, None if it has not come whole."""
    end = buffer.find(b"\r\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(buffer) >= _LONGEST_LINE or b"\n" in buffer:
            raise Malformed(400, "the lines between chunks must be short, and end with CR LF")
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line


def _read_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not 0 < len(digits) <= 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise Malformed(400, "a chunk must begin with its size")
    return int(digits, 16)
