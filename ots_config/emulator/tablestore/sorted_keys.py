"""The keys of a table in order: found, inserted and removed by bisection, scanned from any bound in either direction.

A key is a tuple of Python values, one per primary key column, and Python's order of tuples is the service's:
integers by value, binaries by byte, and strings by code point, which is the order of their UTF-8 bytes. A bound is
a key, or the first part of one: a shorter tuple sorts before all its continuations, which is what INF_MIN means,
and `ABOVE` after a prefix sorts behind them all, which is INF_MAX.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Key: TypeAlias = tuple[Any, ...]
"""A primary key's values, or a bound."""

NamedKey: TypeAlias = Sequence[tuple[str, Any]]
"""A primary key as rows are encoded: names and values."""

_SLICE = 512  # keys copied at a time: a page of a long range copies no more than it reads


class _Above:
    """Is greater than every value of a key."""

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
    """A sorted list of distinct keys."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: list[Key] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def add(self, key: Key) -> None:
        """Insert a key that is not in the list."""
        insort(self._keys, key)

    def remove(self, key: Key) -> None:
        """Remove a key that is in the list."""
        del self._keys[bisect_left(self._keys, key)]

    def forward(self, start: Key, stop: Key) -> Iterator[Key]:
        """Yield the keys from `start`, inclusive, up to `stop`, exclusive."""
        keys = self._keys
        end = bisect_left(keys, stop)
        for position in range(bisect_left(keys, start), end, _SLICE):
            yield from keys[position : min(position + _SLICE, end)]

    def backward(self, start: Key, stop: Key) -> Iterator[Key]:
        """Yield the keys from `start`, inclusive, down to `stop`, exclusive."""
        keys = self._keys
        end = bisect_right(keys, stop)
        for position in range(bisect_right(keys, start), end, -_SLICE):
            yield from reversed(keys[max(position - _SLICE, end) : position])
