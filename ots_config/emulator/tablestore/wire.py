"""The service's protobuf messages, read strictly, and the fields that the official SDK's copy of them lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from ots_config.emulator.tablestore.errors import invalid
from ots_config.plainbuffer import DecodedRow, PlainBufferError, decode_row
from ots_config.request.operations import OPERATIONS
from ots_config.sdk import tablestore

# The SDK makes its messages when they are imported, so type checkers do not know them.
pb2: Any = import_module(f"{tablestore.__name__}.protobuf.table_store_pb2")
search_pb2: Any = import_module(f"{tablestore.__name__}.protobuf.search_pb2")
filter_pb2: Any = import_module(f"{tablestore.__name__}.protobuf.table_store_filter_pb2")

_M = TypeVar("_M", bound=Message)

# Numbers of fields that other SDKs send or need, and that are missing from the messages of the Python one.
ENABLE_LOCAL_TRANSACTION = 8
"""CreateTableRequest.enable_local_txn, a bool."""
IS_ATOMIC = 3
"""BatchWriteRowRequest.is_atomic, a bool."""
TABLE_STATUS_ACTIVE = b"\x20\x01"
"""DescribeTableResponse.table_status (4) = ACTIVE (1), encoded: the Node SDK refuses an answer without it."""
NO_FULL_ROW_UPDATES = b"\x38\x00"
"""TableOptions.update_full_row (7) = false, encoded."""

_JSON_OPERATIONS = frozenset(name for name, operation in OPERATIONS.items() if operation.json)
_UNPARSABLE = "Failed to parse the ProtoBuf message."


def parse(kind: type[_M], body: bytes) -> _M:
    """Read a message.

    Raises:
        TablestoreError: If the bytes are not such a message, or lack a required field.
    """
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise invalid(_UNPARSABLE) from None
    if not message.IsInitialized():
        raise invalid(_UNPARSABLE)
    return message


def flag(message: Message, number: int) -> bool | None:
    """Return a boolean field that the message's type does not know, None if it was not sent."""
    value = None
    for field in cast("Iterable[Any]", UnknownFieldSet(message)):
        if field.field_number == number and field.wire_type == 0:
            value = bool(field.data)
    return value


def text(value: Any) -> str:
    """Return a string field; one that is not UTF-8 arrives as bytes."""
    if type(value) is not str:
        raise invalid(_UNPARSABLE)
    return value


def read_row(data: bytes) -> DecodedRow:
    """Decode one row of PlainBuffer.

    Raises:
        TablestoreError: If it is malformed.
    """
    try:
        return decode_row(data, binary=bytes)
    except PlainBufferError as error:
        unpadded = _unpadded(data)
        if unpadded is None:
            raise invalid(str(error)) from None
        return unpadded


def _unpadded(data: bytes) -> DecodedRow | None:
    """Decode a row padded with zeros, as the Node SDK sends one with INF_MIN or INF_MAX; return None if it is not."""
    row = data.rstrip(b"\0")
    for candidate in (row, row + b"\0"):  # the last byte of a row is its checksum, which may be zero itself
        if len(candidate) < len(data):
            try:
                return decode_row(candidate, binary=bytes)
            except PlainBufferError:
                continue
    return None


def error_message(code: str, message: str) -> Any:
    """Return the protobuf message of an error, as a batch carries it per row."""
    return pb2.Error(code=code, message=message)


def error_body(operation: str, code: str, message: str) -> bytes:
    """Return the body of an error: JSON for an operation that carries JSON, else protobuf."""
    if operation in _JSON_OPERATIONS:
        return json.dumps({"code": code, "message": message}).encode()
    body: bytes = error_message(code, message).SerializeToString()
    return body


def consumed(read: int, write: int) -> Any:
    """Return the message of consumed capacity."""
    return pb2.ConsumedCapacity(capacity_unit=pb2.CapacityUnit(read=read, write=write))


def message_field(number: int, message: bytes) -> bytes:
    """Return a short message encoded as a field, for a message that does not know the field."""
    return bytes((number << 3 | 2, len(message))) + message


@lru_cache(maxsize=1024)
def write_reply(read: int, write: int) -> bytes:
    """Return the body for a PutRow, UpdateRow or DeleteRow that returns no row: they are the same."""
    body: bytes = pb2.PutRowResponse(consumed=consumed(read, write)).SerializeToString()
    return body
