"""The keys of a table in order: inserted and removed in O(log n), scanned from any bound in either direction.

A key is a tuple of Python values, one per primary key column, and Python's own order of tuples is the service's:
integers by value, binaries by byte, and strings by code point, which is the order of their UTF-8 bytes. A bound is
a key, or the first part of one: a shorter tuple sorts before all its continuations, which is what INF_MIN means,
and `ABOVE` after a prefix sorts behind them all, which is INF_MAX.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Any

Key = tuple[Any, ...]
"""A primary key's values, or a bound."""

_CHUNK = 512  # by measurement: insertion moves at most this many references, a scan changes chunk this seldom


class _Above:
    """What is greater than every value of a key."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return other is self

    def __gt__(self, other: object) -> bool:
        return other is not self

    def __ge__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "INF_MAX"


ABOVE = _Above()


class SortedKeys:
    """A sorted list of distinct keys, kept in chunks so that an insertion into a large table moves little."""

    __slots__ = ("_chunks", "_lasts", "_size")

    def __init__(self) -> None:
        self._chunks: list[list[Key]] = []
        self._lasts: list[Key] = []  # the last key of each chunk
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Key]:
        for chunk in self._chunks:
            yield from chunk

    def add(self, key: Key) -> None:
        """Insert a key that is not there yet."""
        self._size += 1
        lasts = self._lasts
        if not lasts:
            self._chunks.append([key])
            lasts.append(key)
            return
        position = bisect_left(lasts, key)
        if position == len(lasts):
            position -= 1
            chunk = self._chunks[position]
            chunk.append(key)
            lasts[position] = key
        else:
            chunk = self._chunks[position]
            insort(chunk, key)
        if len(chunk) > 2 * _CHUNK:
            # Keys that arrive in ascending order fill each chunk they leave behind: memory follows the data.
            middle = 2 * _CHUNK if chunk[-1] is key else _CHUNK
            self._chunks.insert(position + 1, chunk[middle:])
            del chunk[middle:]
            lasts.insert(position, chunk[-1])

    def remove(self, key: Key) -> None:
        """Remove a key that is there."""
        self._size -= 1
        position = bisect_left(self._lasts, key)
        chunk = self._chunks[position]
        del chunk[bisect_left(chunk, key)]
        if not chunk:
            del self._chunks[position]
            del self._lasts[position]
        else:
            self._lasts[position] = chunk[-1]

    def forward(self, start: Key, stop: Key) -> Iterator[Key]:
        """Yield the keys from `start` on, that included, up to `stop`, that excluded."""
        chunks = self._chunks
        position = bisect_left(self._lasts, start)
        if position == len(chunks):
            return
        first = bisect_left(chunks[position], start)
        while position < len(chunks):
            chunk = chunks[position]
            if self._lasts[position] >= stop:
                yield from chunk[first : bisect_left(chunk, stop)]
                return
            yield from chunk[first:] if first else chunk
            first = 0
            position += 1

    def backward(self, start: Key, stop: Key) -> Iterator[Key]:
        """Yield the keys from `start` down, that included, to `stop`, that excluded."""
        chunks = self._chunks
        position = min(bisect_left(self._lasts, start), len(chunks) - 1)
        if position < 0:
            return
        end = bisect_right(chunks[position], start)
        while position >= 0:
            chunk = chunks[position]
            if chunk[0] <= stop:
                yield from reversed(chunk[bisect_right(chunk, stop) : end])
                return
            yield from reversed(chunk[:end])
            position -= 1
            end = len(chunks[position])
