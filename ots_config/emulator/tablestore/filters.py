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
from typing import Any, NamedTuple, TypeAlias

from ots_config.emulator.tablestore.cells import StoredCell, column
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.expressions import ExpressionInvalid, compile_expression
from ots_config.emulator.tablestore.protocol import filter_pb2
from ots_config.emulator.tablestore.sorted_keys import NamedKey
from ots_config.emulator.tablestore.validation import attribute_length
from ots_config.emulator.tablestore.wire import parse, text
from ots_config.plainbuffer import Marker, PlainBufferError, Value, decode_value

Cells: TypeAlias = Sequence[StoredCell]

MAX_FILTERS = 32
"""How many filters a request may have, composite ones and their parts included."""

_CACHED = 256
_CACHED_SIZE = 1024  # longer filters are not cached, nor those with expressions, which bounds the cache's memory
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


Predicate: TypeAlias = Callable[[NamedKey, Cells], bool]
"""Whether a row with this key and these selected cells passes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter.

    Attributes:
        matches: Whether a row passes; the key is empty for a missing row.
        pagination: How many columns to skip and how many to return, None for all.
    """

    matches: Predicate
    pagination: tuple[int, int] | None = None

    def apply(self, key: NamedKey, cells: Cells) -> Cells | None:
        """Return those of a row's selected cells that the read returns, None if the row does not pass."""
        if not self.matches(key, cells):
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


_cache: dict[bytes, Filter] = {}
"""Parsed filters: programs send the same ones again and again."""


# --- conditions on one column -----------------------------------------------------------------------------


_Values: TypeAlias = Callable[[NamedKey, Cells], list[Value]]
_Convert: TypeAlias = Callable[[Value], Value | None]


def _single(message: Any) -> Predicate:
    name = text(message.column_name)
    latest = message.latest_version_only
    convert = _value_rule(message.value_trans_rule) if message.HasField("value_trans_rule") else None

    def values(key: NamedKey, cells: Cells) -> list[Value]:
        """Return the values of the column, newest first, or the newest alone; a column of the key has one."""
        for key_name, value in key:
            if key_name == name:
                return [value]
        return [cell[1] for cell in (column(cells, name)[:1] if latest else column(cells, name))]

    if message.comparator in (filter_pb2.CT_EXIST, filter_pb2.CT_NOT_EXIST):
        return _existence(values, convert, wanted=message.comparator == filter_pb2.CT_EXIST)
    try:
        operand = decode_value(message.column_value, binary=bytes)
    except PlainBufferError as error:
        raise invalid(str(error)) from None
    if isinstance(operand, Marker):
        raise invalid(f"VT_{operand.name} is an invalid type for the attribute column.")
    if isinstance(operand, str | bytes):
        attribute_length(name, operand)
    compare = _COMPARISONS[message.comparator]
    return _comparison(values, convert, compare, operand, if_missing=not message.filter_if_missing)


def _existence(values: _Values, convert: _Convert | None, *, wanted: bool) -> Predicate:
    def matches(key: NamedKey, cells: Cells) -> bool:
        found = values(key, cells)
        exists = bool(found) if convert is None else any(convert(value) is not None for value in found)
        return exists is wanted

    return matches


def _comparison(
    values: _Values, convert: _Convert | None, compare: Callable[[Any, Any], bool], operand: Value, *, if_missing: bool
) -> Predicate:
    def matches(key: NamedKey, cells: Cells) -> bool:
        found = values(key, cells)
        if not found:
            return if_missing
        for value in found:
            converted = value if convert is None else convert(value)
            if type(converted) is type(operand) and compare(converted, operand):
                return True
        return False

    return matches


def _value_rule(message: Any) -> _Convert:
    """Return a function that takes the part of a value to compare, None if there is none."""
    regex = text(message.regex)
    cast_type = message.cast_type if message.HasField("cast_type") else filter_pb2.VT_STRING
    if cast_type in (filter_pb2.VT_NULL, filter_pb2.VT_BLOB) or len(regex.encode()) > _REGEX_SIZE:
        raise invalid("Invalid value transfer rule.")  # no recording shows the message
    try:
        expression = compile_expression(regex)
    except ExpressionInvalid:
        raise invalid(f"Invalid regular expression: '{regex}'.") from None  # no recording shows the message

    def convert(value: Value) -> Value | None:
        part = expression.search(value) if isinstance(value, str) else None
        if part is None or cast_type == filter_pb2.VT_STRING:
            return part
        if cast_type == filter_pb2.VT_DOUBLE:
            return float(part) if _DOUBLE.fullmatch(part) else None
        number = int(part) if _INTEGER.fullmatch(part) else None
        return number if number is not None and -(1 << 63) <= number < 1 << 63 else None

    return convert


# --- parsing ----------------------------------------------------------------------------------------------


def parse_filter(data: bytes) -> Filter:
    """Return the filter of a read.

    Raises:
        TablestoreError: If the filter is invalid.
    """
    found = _cache.get(data)
    if found is None:
        parser = _Parser()
        tree = parser.read(parse(filter_pb2.Filter, data, "Deserialize filter failed."))
        found = Filter(parser.predicate(tree, paginated=True), parser.pagination)
        if len(data) <= _CACHED_SIZE and not parser.expressions:
            if len(_cache) >= _CACHED:
                _cache.clear()
            _cache[data] = found
    return found


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


_KINDS: dict[int, tuple[Any, str]] = {
    filter_pb2.FT_SINGLE_COLUMN_VALUE: (filter_pb2.SingleColumnValueFilter, "relation"),
    filter_pb2.FT_COMPOSITE_COLUMN_VALUE: (filter_pb2.CompositeColumnValueFilter, "composite"),
    filter_pb2.FT_COLUMN_PAGINATION: (filter_pb2.ColumnPaginationFilter, "column pagination"),
}


class _Node(NamedTuple):
    """A filter's message, and those of its parts."""

    kind: int
    message: Any
    parts: list[_Node]


class _Parser:
    """Turns nested messages into predicates, and counts them first, which bounds the depth of nesting."""

    def __init__(self) -> None:
        self.pagination: tuple[int, int] | None = None
        self.expressions = False
        self._count = 0

    def read(self, sent: Any) -> _Node:
        """Read a filter with its parts; too many of them are reported before any other error."""
        self._count += 1
        if self._count > MAX_FILTERS:
            raise _too_many()
        kind, name = _KINDS[sent.type]
        message = parse(kind, sent.filter, f"Deserialize {name} filter failed.")
        if sent.type == filter_pb2.FT_SINGLE_COLUMN_VALUE and message.HasField("value_trans_rule"):
            self.expressions = True
        parts = message.sub_filters if sent.type == filter_pb2.FT_COMPOSITE_COLUMN_VALUE else ()
        if len(parts) > MAX_FILTERS:
            raise _too_many()
        return _Node(sent.type, message, [self.read(part) for part in parts])

    def predicate(self, node: _Node, *, paginated: bool) -> Predicate:
        """Return the predicate of a filter; `paginated` is whether it may be a pagination filter."""
        if node.kind == filter_pb2.FT_SINGLE_COLUMN_VALUE:
            return _single(node.message)
        if node.kind == filter_pb2.FT_COMPOSITE_COLUMN_VALUE:
            return self._composite(node, paginated=paginated)
        pages = node.message
        if not paginated or self.pagination is not None:
            raise _pagination_refused()
        if pages.offset < 0:
            raise invalid("Offset in ColumnPaginationFilter must be greater than or equal to 0.")
        if pages.limit < 0:
            raise invalid("Limit in ColumnPaginationFilter must be greater than 0.")
        self.pagination = (pages.offset, pages.limit)
        return lambda _, __: True

    def _composite(self, node: _Node, *, paginated: bool) -> Predicate:
        parts, combinator = node.parts, node.message.combinator
        if combinator == filter_pb2.LO_NOT:
            if len(parts) != 1:
                raise invalid("Invalid NOT operator: the number of sub-filters must be 1.")
            negated = self.predicate(parts[0], paginated=False)
            return lambda key, cells: not negated(key, cells)
        if len(parts) <= 1:
            raise invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")
        together = combinator == filter_pb2.LO_AND
        predicates = [self.predicate(part, paginated=paginated and together) for part in parts]
        combine = all if together else any
        return lambda key, cells: combine(predicate(key, cells) for predicate in predicates)


def _too_many() -> TablestoreError:
    return invalid(f"The count of filter exceeds the max: {MAX_FILTERS}.")
