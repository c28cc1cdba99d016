"""From the SDK's rows to requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from ots_config import sdk
from ots_config.client import native_codec
from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_DELETE_ONE_VERSION,
    OP_INCREMENT,
    Cell,
    Marker,
    encode_row,
)

tablestore: Any = sdk.tablestore  # it has no types
pb2: Any = sdk.pb2
filter_pb2: Any = tablestore.protobuf.table_store_filter_pb2
_official: Any = tablestore.plainbuffer.plain_buffer_builder.PlainBufferBuilder

_OPS = {"DELETE": OP_DELETE_ONE_VERSION, "DELETE_ALL": OP_DELETE_ALL_VERSIONS, "INCREMENT": OP_INCREMENT}
_DELETES = (OP_DELETE_ONE_VERSION, OP_DELETE_ALL_VERSIONS)
_KNOWS_BOOLEAN_KEYS = _official.serialize_primary_key([("", True)]) != _official.serialize_primary_key([("", 1)])
_KEY_TYPES = frozenset({int, str, bytes, bytearray, *([bool] if _KNOWS_BOOLEAN_KEYS else [])})
_MARKERS = {
    tablestore.INF_MIN: Marker.INF_MIN,
    tablestore.INF_MAX: Marker.INF_MAX,
    tablestore.PK_AUTO_INCR: Marker.AUTO_INCREMENT,
}
_UNEXPECTED = (TypeError, ValueError, LookupError, AttributeError)

# --- rows to bytes -------------------------------------------------------------------------------------------
# A row with something unexpected in it is left to the official encoder, which raises its own errors.


def _key(primary_key: Any) -> list[tuple[str, Any]]:
    """Return the columns of a key as ``encode_row`` takes them."""
    if not isinstance(primary_key, list):
        raise TypeError
    return [(pk[0], pk[1] if type(pk[1]) in _KEY_TYPES else _key_value(pk[1])) for pk in primary_key]


def _key_value(value: Any) -> Any:
    """Return a value of a key that is not exactly of one of the plain types: a subclass's, or a marker."""
    if isinstance(value, bool):
        return int(value)  # as in older versions of the SDK, which have no BOOLEAN keys
    return value if isinstance(value, int | str | bytes | bytearray) else _MARKERS[value]


def _cells(columns: Any) -> list[Cell | tuple[Any, ...]]:
    """Return the cells of a row to put."""
    cells: list[Cell | tuple[Any, ...]] = []
    if not len(columns):  # an object without a length is refused
        return cells
    for column in columns:
        # By index, as the official encoder reads them: unpacked, a mapping would give its keys.
        if len(column) == 2:
            name, value, timestamp = column[0], column[1], None
        elif len(column) == 3:
            name, value, timestamp = column[0], column[1], column[2]
        else:
            raise ValueError
        if value is None:
            raise TypeError
        cells.append((name, value, timestamp, None))
    return cells


def _changes(columns: Any) -> list[Cell | tuple[Any, ...]]:
    """Return the cells of a row to update."""
    cells: list[Cell | tuple[Any, ...]] = []
    if not isinstance(columns, dict):
        raise TypeError
    for kind, changes in columns.items():
        if not isinstance(changes, list):
            raise TypeError
        op = _OPS.get(kind.upper())
        deletes = op in _DELETES
        for change in changes:
            if deletes and isinstance(change, str):
                cells.append((change, None, None, op))
                continue
            if not deletes and not isinstance(change, tuple):
                raise TypeError
            if len(change) == 2:
                name, value, timestamp = change[0], change[1], None
            elif len(change) == 3:
                name, value, timestamp = change[0], change[1], change[2]
            else:
                raise ValueError
            cells.append((name, value, timestamp, op))
    return cells


def encode_key(primary_key: Any) -> bytes:
    """Encode a key to read, or an end of a range."""
    try:
        return encode_row(_key(primary_key))
    except _UNEXPECTED:
        return bytes(_official.serialize_primary_key(primary_key))


def encode_put(primary_key: Any, columns: Any) -> bytes:
    """Encode a row to put."""
    try:
        return encode_row(_key(primary_key), _cells(columns))
    except _UNEXPECTED:
        return bytes(_official.serialize_for_put_row(primary_key, columns))


def encode_update(primary_key: Any, columns: Any) -> bytes:
    """Encode the changes to a row."""
    try:
        cells = _changes(columns)
        data = encode_row(_key(primary_key), cells)
    except _UNEXPECTED:
        return bytes(_official.serialize_for_update_row(primary_key, columns))
    # For changes that change nothing the official encoder writes the tag ROW_DATA all the same.
    return data if cells or not columns else data[:-2] + b"\x02" + data[-2:]


def encode_delete(primary_key: Any) -> bytes:
    """Encode the deletion of a row."""
    try:
        return encode_row(_key(primary_key), deleted=True)
    except _UNEXPECTED:
        return bytes(_official.serialize_for_delete_row(primary_key))


# --- the rows of a batch -------------------------------------------------------------------------------------
# A batch has as many messages as rows. They are joined as bytes, which costs half of what objects of protobuf cost.

_UNCONDITIONAL: bytes = pb2.RowInBatchWriteRowRequest(
    condition=pb2.Condition(row_existence=pb2.IGNORE)
).SerializePartialToString()
_ITEMS: tuple[tuple[Any, int, Callable[[Any], bytes]], ...] = (
    (tablestore.BatchWriteRowType.PUT, pb2.PUT, lambda row: encode_put(row.primary_key, row.attribute_columns)),
    (
        tablestore.BatchWriteRowType.UPDATE,
        pb2.UPDATE,
        lambda row: encode_update(row.primary_key, row.attribute_columns),
    ),
    (tablestore.BatchWriteRowType.DELETE, pb2.DELETE, lambda row: encode_delete(row.primary_key)),
)


class _FieldHeads(dict[int, bytes]):
    """Length -> the beginning of the field number 2 with contents of that length."""

    def __missing__(self, length: int) -> bytes:
        head = bytearray(b"\x12")
        rest = length
        while rest > 127:
            head.append(rest & 127 | 128)
            rest >>= 7
        head.append(rest)
        if length < _MAX_KEPT_LENGTH:
            self[length] = bytes(head)
        return bytes(head)


_MAX_KEPT_LENGTH = 4096
_FIELD_2 = _FieldHeads()


def _item(kind: int, change: bytes, tail: bytes) -> bytes:
    return b"".join((b"\x08", bytes((kind,)), _FIELD_2[len(change)], change, tail))


def join_items(table: str, items: Iterable[bytes]) -> bytes:
    """Return the part of a BatchWriteRow for one table, which is also the body of one that has no other."""
    proto = pb2.TableInBatchWriteRowRequest()
    proto.table_name = table
    found = list(filter(None, items))
    heads = map(_FIELD_2.__getitem__, map(len, found))
    content = b"".join((proto.SerializePartialToString(), *chain.from_iterable(zip(heads, found, strict=True))))
    return b"".join((b"\x0a", _FIELD_2[len(content)][1:], content))


def _in_transaction(proto: Any, transaction_id: Any) -> Any:
    if transaction_id is not None:
        proto.transaction_id = transaction_id
    return proto


class EncodedRequest:
    """A request that is encoded already; it stands in for the object of protobuf that the official encoder returns."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the body."""
        return self._body


# --- requests ------------------------------------------------------------------------------------------------
# The order of the fields is the official encoder's, so of several wrong arguments the same one is reported.


class RowEncoder(tablestore.encoder.OTSProtoBufferEncoder):  # type: ignore[misc] # the SDK has no types
    """The official encoder of requests, with rows encoded here.

    Args:
        encoding: The encoding of names that are given as ``bytes``.
        **options: ``enable_native``, whether the codec in C++ may be used, and other arguments of the official encoder.
    """

    def __init__(self, encoding: str, **options: Any) -> None:
        super().__init__(encoding, **options)
        self._native = native_codec.is_available and options.get("enable_native", True)

    def _encode_get_row(
        self,
        table_name: Any,
        primary_key: Any,
        columns_to_get: Any,
        column_filter: Any,
        max_version: Any,
        time_range: Any,
        start_column: Any,
        end_column: Any,
        token: Any,
        transaction_id: Any,
    ) -> Any:
        proto = pb2.GetRowRequest()
        proto.table_name = self._get_unicode(table_name)
        self._make_repeated_str(proto.columns_to_get, columns_to_get)
        self._filter(proto, column_filter)
        proto.primary_key = encode_key(primary_key)
        self._versions(proto, max_version, time_range, start_column, end_column)
        if token is not None:
            proto.token = token
        return _in_transaction(proto, transaction_id)

    def _encode_get_range(
        self,
        table_name: Any,
        direction: Any,
        inclusive_start_primary_key: Any,
        exclusive_end_primary_key: Any,
        columns_to_get: Any,
        limit: Any,
        column_filter: Any,
        max_version: Any,
        time_range: Any,
        start_column: Any,
        end_column: Any,
        token: Any,
        transaction_id: Any,
    ) -> Any:
        proto = pb2.GetRangeRequest()
        proto.table_name = self._get_unicode(table_name)
        proto.direction = self._get_direction(direction)
        self._make_repeated_str(proto.columns_to_get, columns_to_get)
        proto.inclusive_start_primary_key = encode_key(inclusive_start_primary_key)
        proto.exclusive_end_primary_key = encode_key(exclusive_end_primary_key)
        self._filter(proto, column_filter)
        if limit is not None:
            proto.limit = self._get_int32(limit)
        self._versions(proto, max_version, time_range, start_column, end_column)
        if token is not None:
            proto.token = token
        return _in_transaction(proto, transaction_id)

    def _encode_batch_get_row(self, request: Any) -> Any:
        if self._native and (body := native_codec.batch_get_row(request)) is not None:
            return EncodedRequest(body)
        proto = pb2.BatchGetRowRequest()
        self._make_batch_get_row(proto, request)
        return proto

    def _make_batch_get_row_internal(self, proto: Any, request: Any) -> None:
        for _, item in list(request.items.items()):
            table = proto.tables.add()
            table.table_name = self._get_unicode(item.table_name)
            self._make_repeated_str(table.columns_to_get, item.columns_to_get)
            self._filter(table, item.column_filter)
            table.primary_key.extend(map(encode_key, item.primary_keys))
            if item.token is not None:
                for token in item.token:
                    table.token.append(token)
            self._versions(table, item.max_version, item.time_range, item.start_column, item.end_column)

    def _filter(self, proto: Any, column_filter: Any) -> None:
        """Set the filter of the rows to read."""
        if column_filter is not None:
            condition = filter_pb2.Filter()
            self._make_column_condition(condition, column_filter)
            proto.filter = condition.SerializeToString()

    def _versions(self, proto: Any, max_version: Any, time_range: Any, start_column: Any, end_column: Any) -> None:
        """Set the versions to read, and the first and the last column."""
        if max_version is not None:
            proto.max_versions = max_version
        if isinstance(time_range, tuple):
            proto.time_range.start_time = time_range[0]
            proto.time_range.end_time = time_range[1]
        elif isinstance(time_range, int):
            proto.time_range.specific_time = time_range
        if start_column is not None:
            proto.start_column = start_column
        if end_column is not None:
            proto.end_column = end_column

    def _encode_put_row(self, table_name: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any) -> Any:
        if self._native and (body := native_codec.put_row(table_name, row, condition, return_type, transaction_id)):
            return EncodedRequest(body)
        proto = self._write(pb2.PutRowRequest(), table_name, condition, return_type)
        proto.row = encode_put(row.primary_key, row.attribute_columns)
        return _in_transaction(proto, transaction_id)

    def _encode_update_row(
        self, table_name: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any
    ) -> Any:
        if self._native and (body := native_codec.update_row(table_name, row, condition, return_type, transaction_id)):
            return EncodedRequest(body)
        proto = self._write(pb2.UpdateRowRequest(), table_name, condition, return_type)
        proto.row_change = encode_update(row.primary_key, row.attribute_columns)
        return _in_transaction(proto, transaction_id)

    def _encode_delete_row(
        self, table_name: Any, primary_key: Any, condition: Any, return_type: Any, transaction_id: Any
    ) -> Any:
        proto = self._write(pb2.DeleteRowRequest(), table_name, condition, return_type)
        proto.primary_key = encode_delete(primary_key)
        return _in_transaction(proto, transaction_id)

    def _write(self, proto: Any, table_name: Any, condition: Any, return_type: Any) -> Any:
        """Set what the write of one row has besides the row."""
        proto.table_name = self._get_unicode(table_name)
        self._condition(proto, condition, return_type)
        return proto

    def _encode_batch_write_row(self, request: Any) -> Any:
        if self._native and (body := native_codec.batch_write_row(request)) is not None:
            return EncodedRequest(body)
        if not isinstance(request, tablestore.BatchWriteRowRequest):
            self._make_batch_write_row(None, request)  # raises the official error
        tables = []
        for _, part in list(request.items.items()):
            tables.append(join_items(self._get_unicode(part.table_name), map(self.encode_item, part.row_items)))
        rest = _in_transaction(pb2.BatchWriteRowRequest(), request.transaction_id)
        return EncodedRequest(b"".join((*tables, rest.SerializeToString())))

    def encode_put_item(self, row: Any) -> bytes:
        """Encode a row of a BatchWriteRow that puts a row without a condition."""
        if self._native and (body := native_codec.put_item(row)):
            return body
        return _item(pb2.PUT, encode_put(row.primary_key, row.attribute_columns), _UNCONDITIONAL)

    def encode_item(self, item: Any) -> bytes:
        """Encode a row of a BatchWriteRow; none of an item that is neither a put, an update nor a deletion."""
        for kind, number, encode in _ITEMS:
            if item.type == kind:
                tail = self._item_tail(item.condition, item.return_type)
                return _item(number, encode(item.row), tail)
        return b""

    def _item_tail(self, condition: Any, return_type: Any) -> bytes:
        """Return the part of an item behind its row: the condition, and what is to be returned."""
        if condition is None and return_type is None:
            return _UNCONDITIONAL
        proto = pb2.RowInBatchWriteRowRequest()
        self._condition(proto, condition, return_type)
        return bytes(proto.SerializePartialToString())

    def _condition(self, proto: Any, condition: Any, return_type: Any) -> None:
        if condition is None:
            proto.condition.row_existence = pb2.IGNORE
        else:
            self._make_condition(proto.condition, condition)
        if return_type == tablestore.ReturnType.RT_PK:
            proto.return_content.return_type = pb2.RT_PK

    def _encode_start_local_transaction(self, table_name: Any, key: Any) -> Any:
        proto = pb2.StartLocalTransactionRequest()
        proto.table_name = table_name
        proto.key = encode_key(key)
        return proto
