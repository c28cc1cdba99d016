"""Requests read strictly, and the small messages that many responses have."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.sorted_keys import NamedKey
from ots_config.plainbuffer import DecodedRow, PlainBufferError, decode_row
from ots_config.request.operations import OPERATIONS

_M = TypeVar("_M", bound=Message)

_JSON_OPERATIONS = frozenset(name for name, operation in OPERATIONS.items() if operation.json)
_UNPARSABLE = "Failed to parse the ProtoBuf message."


def parse(kind: type[_M], body: bytes, failure: str = _UNPARSABLE) -> _M:
    """Read a message.

    Raises:
        TablestoreError: If the bytes are not such a message, or lack a required field; `failure` is its message.
    """
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        raise invalid(failure) from None
    if not message.IsInitialized():
        raise invalid(failure)
    return message


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


def read_key(data: bytes) -> NamedKey:
    """Decode a primary key, as requests that name a row or a bound have it.

    Raises:
        TablestoreError: If it is malformed, or more than a key.
    """
    primary_key, cells, deleted = read_row(data)
    if cells:
        raise invalid("Attribute column cannot be given while reading data.")
    if deleted:
        raise invalid("Delete marker cannot be given.")
    return primary_key


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


@lru_cache(maxsize=1024)
def write_reply(read: int, write: int) -> bytes:
    """Return the body for a PutRow, UpdateRow or DeleteRow that returns no row: they are the same."""
    body: bytes = pb2.PutRowResponse(consumed=consumed(read, write)).SerializeToString()
    return body
