"""Filters of reads and column conditions of writes: parsed from protobuf once, then applied row by row.

A filter sees what the read has selected: the service selects the columns of `columns_to_get` in the wanted versions
first and filters afterwards, so a column that was not selected is missing, and `filter_if_missing` decides. Primary key
columns are always present. The condition of a write sees every readable version of the row.

Every comparison of values of different types is false, also "not equal". Strings are compared by their UTF-8 bytes (in
the order of Python strings), binaries by their bytes. With `latest_version_only` the newest selected version decides,
otherwise any version that matches.

A value rule (a regular expression and a type) takes the first group of a string's match, or the whole match if there
is no group, casts and compares it. A value that is not a string, does not match or cannot be cast is treated as
missing, and fulfils no comparison.

A pagination filter is allowed alone or under AND with conditions, not under OR or NOT, nor in a write.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from ots_config.emulator.tablestore.cells import StoredCell, column
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.expressions import Expression, ExpressionInvalid, compile_expression
from ots_config.emulator.tablestore.sorted_keys import NamedKey
from ots_config.emulator.tablestore.wire import filter_pb2, parse, text
from ots_config.plainbuffer import Marker, PlainBufferError, Value, decode_value

Cells: TypeAlias = Sequence[StoredCell]

MAX_FILTERS = 32
"""How many filters a request may have, composite ones and their parts included."""

_CACHED_SIZE = 1024  # longer filters are not cached, which bounds the cache's memory
_REGEX_SIZE = 256  # the documents' limit
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DOUBLE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_COMPARISONS: dict[int, Callable[[Any, Any], bool]] = {
    filter_pb2.CT_EQUAL: operator.eq,
    filter_pb2.CT_NOT_EQUAL: operator.ne,
    filter_pb2.CT_GREATER_THAN: operator.gt,
    filter_pb2.CT_GREATER_EQUAL: operator.ge,
    filter_pb2.CT_LESS_THAN: operator.lt,
    filter_pb2.CT_LESS_EQUAL: operator.le,
}


class _Node(Protocol):
    def holds(self, key: NamedKey, cells: Cells) -> bool:
        """Return whether a row with this key and these selected cells passes."""
        ...


@dataclass(frozen=True, slots=True)
class _Everything:
    def holds(self, key: NamedKey, cells: Cells) -> bool:  # noqa: ARG002  every node has this method
        return True


@dataclass(frozen=True, slots=True)
class _Not:
    child: _Node

    def holds(self, key: NamedKey, cells: Cells) -> bool:
        return not self.child.holds(key, cells)


@dataclass(frozen=True, slots=True)
class _All:
    children: tuple[_Node, ...]

    def holds(self, key: NamedKey, cells: Cells) -> bool:
        return all(child.holds(key, cells) for child in self.children)


@dataclass(frozen=True, slots=True)
class _AnyOf:
    children: tuple[_Node, ...]

    def holds(self, key: NamedKey, cells: Cells) -> bool:
        return any(child.holds(key, cells) for child in self.children)


def _values(key: NamedKey, cells: Cells, name: str, *, latest: bool) -> list[Value]:
    """Return the values of a column, newest first, or the newest alone; a column of the key has one."""
    for key_name, value in key:
        if key_name == name:
            return [value]
    return [cell[1] for cell in (column(cells, name)[:1] if latest else column(cells, name))]


@dataclass(frozen=True, slots=True)
class _Comparison:
    name: str
    compare: Callable[[Any, Any], bool]
    value: Value
    missing: bool  # the result for a row without the column
    latest: bool
    rule: _ValueRule | None

    def holds(self, key: NamedKey, cells: Cells) -> bool:
        values = _values(key, cells, self.name, latest=self.latest)
        if not values:
            return self.missing
        wanted = self.value
        for value in values:
            found = value if self.rule is None else self.rule.cast(value)
            if type(found) is type(wanted) and self.compare(found, wanted):
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Existence:
    name: str
    wanted: bool
    latest: bool
    rule: _ValueRule | None

    def holds(self, key: NamedKey, cells: Cells) -> bool:
        rule = self.rule
        values = _values(key, cells, self.name, latest=self.latest)
        exists = bool(values) if rule is None else any(rule.cast(value) is not None for value in values)
        return exists is self.wanted


@dataclass(frozen=True, slots=True)
class _ValueRule:
    expression: Expression
    cast_type: int

    def cast(self, value: Value) -> Value | None:
        """Return the part of a value to compare, None if there is none."""
        part = self.expression.search(value) if isinstance(value, str) else None
        if part is None or self.cast_type == filter_pb2.VT_STRING:
            return part
        if self.cast_type == filter_pb2.VT_DOUBLE:
            return float(part) if _DOUBLE.fullmatch(part) else None
        number = int(part) if _INTEGER.fullmatch(part) else None
        return number if number is not None and -(1 << 63) <= number < 1 << 63 else None


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter.

    Attributes:
        condition: The condition on rows.
        pagination: How many columns to skip and how many to return, None for all.
    """

    condition: _Node
    pagination: tuple[int, int] | None = None

    def matches(self, key: NamedKey, cells: Cells) -> bool:
        """Return whether a row passes.

        Args:
            key: Names and values of the primary key; empty for a missing row.
            cells: The selected cells, in the order of a row.
        """
        return self.condition.holds(key, cells)

    def apply(self, key: NamedKey, cells: Cells) -> Cells | None:
        """Return those of a row's selected cells that the read returns, None if the row does not pass."""
        if not self.condition.holds(key, cells):
            return None
        if self.pagination is None:
            return cells
        offset, limit = self.pagination
        starts = [
            position
            for position, cell in enumerate(cells)
            if position == 0 or cells[position - 1][0] != cell[0]  # the first version of each column
        ]
        starts.append(len(cells))
        last = len(starts) - 1
        return cells[starts[min(offset, last)] : starts[min(offset + limit, last)]]


# --- parsing ----------------------------------------------------------------------------------------------


def parse_filter(data: bytes) -> Filter:
    """Return the filter of a read.

    Raises:
        TablestoreError: If the filter is invalid.
    """
    return _parse_cached(data) if len(data) <= _CACHED_SIZE else _parse(data)


def parse_condition(data: bytes) -> Filter:
    """Return the column condition of a write.

    Raises:
        TablestoreError: If the filter is invalid.
    """
    parsed = parse_filter(data)
    if parsed.pagination is not None:
        raise _pagination_refused()
    return parsed


def _pagination_refused() -> TablestoreError:
    return invalid("ColumnPaginationFilter cannot be a condition.")  # no recording shows the message


def _parse(data: bytes) -> Filter:
    parser = _Parser()
    condition = parser.node(parse(filter_pb2.Filter, data), paginated=True)
    return Filter(condition, parser.pagination)


_parse_cached = lru_cache(maxsize=256)(_parse)


class _Parser:
    """Turns nested messages into nodes, and counts them, which bounds the depth of nesting."""

    def __init__(self) -> None:
        self.pagination: tuple[int, int] | None = None
        self._count = 0

    def node(self, message: Any, *, paginated: bool) -> _Node:
        """Return the node of a filter message; `paginated` is whether it may be a pagination filter."""
        self._count += 1
        if self._count > MAX_FILTERS:
            raise _too_many()
        if message.type == filter_pb2.FT_SINGLE_COLUMN_VALUE:
            return _single(parse(filter_pb2.SingleColumnValueFilter, message.filter))
        if message.type == filter_pb2.FT_COMPOSITE_COLUMN_VALUE:
            return self._composite(parse(filter_pb2.CompositeColumnValueFilter, message.filter), paginated=paginated)
        pages = parse(filter_pb2.ColumnPaginationFilter, message.filter)
        if not paginated or self.pagination is not None:
            raise _pagination_refused()
        if pages.offset < 0 or pages.limit < 0:
            # No recording shows the message; the official SDKs refuse it themselves.
            raise invalid("The offset and the limit of ColumnPaginationFilter must not be negative.")
        self.pagination = (pages.offset, pages.limit)
        return _Everything()

    def _composite(self, message: Any, *, paginated: bool) -> _Node:
        parts = message.sub_filters
        if len(parts) > MAX_FILTERS:
            raise _too_many()
        if message.combinator == filter_pb2.LO_NOT:
            if len(parts) != 1:
                raise invalid("Invalid NOT operator: the number of sub-filters must be 1.")
            return _Not(self.node(parts[0], paginated=False))
        if len(parts) <= 1:
            raise invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")
        if message.combinator == filter_pb2.LO_AND:
            return _All(tuple([self.node(part, paginated=paginated) for part in parts]))
        return _AnyOf(tuple([self.node(part, paginated=False) for part in parts]))


def _too_many() -> TablestoreError:
    return invalid(f"The count of filter exceeds the max: {MAX_FILTERS}.")


def _single(message: Any) -> _Node:
    name = text(message.column_name)
    rule = _rule(message.value_trans_rule) if message.HasField("value_trans_rule") else None
    latest = message.latest_version_only
    if message.comparator in (filter_pb2.CT_EXIST, filter_pb2.CT_NOT_EXIST):
        return _Existence(name, message.comparator == filter_pb2.CT_EXIST, latest, rule)
    try:
        value = decode_value(message.column_value, binary=bytes)
    except PlainBufferError as error:
        raise invalid(str(error)) from None
    if isinstance(value, Marker):
        raise invalid(f"VT_{value.name} is an invalid type for the attribute column.")
    compare = _COMPARISONS[message.comparator]
    return _Comparison(name, compare, value, not message.filter_if_missing, latest, rule)


def _rule(message: Any) -> _ValueRule:
    """Compile the rule on a value."""
    regex = text(message.regex)
    cast_type = message.cast_type if message.HasField("cast_type") else filter_pb2.VT_STRING
    if cast_type in (filter_pb2.VT_NULL, filter_pb2.VT_BLOB) or len(regex.encode()) > _REGEX_SIZE:
        raise invalid("Invalid value transfer rule.")  # no recording shows the message
    try:
        return _ValueRule(compile_expression(regex), cast_type)
    except ExpressionInvalid:
        raise invalid(f"Invalid regular expression: '{regex}'.") from None  # no recording shows the message
