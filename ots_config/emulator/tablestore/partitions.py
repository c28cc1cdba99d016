"""The partitions that a table was created with, and splits of about one size.

The emulator does not partition rows; it keeps the boundaries because a split of the service never spans two partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.cells import row_size
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.model import Instance, KeyColumn, Table
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.wire import consumed, parse
from ots_config.plainbuffer import VT_BLOB, Marker, PlainBufferError, decode_value, encode_row

MAX_PARTITIONS = 10
SPLIT_UNIT = 100 * 1024 * 1024
MIN_SPLIT_UNIT = 1024 * 1024


def read_partitions(ranges: Sequence[Any], key: KeyColumn) -> tuple[Any, ...]:
    """Return the values of the partition key at which partitions begin, without the first.

    Args:
        ranges: The ranges of a CreateTable; none for one partition.
        key: The partition key.

    Raises:
        TablestoreError: If the ranges leave gaps, overlap or have the wrong type. No recording shows the message.
    """
    if len(ranges) > MAX_PARTITIONS:
        raise invalid(f"The count of partitions cannot be greater than {MAX_PARTITIONS}")
    ends: list[Any] = []
    at: Any = Marker.INF_MIN
    for part in ranges:
        begin, end = _bound(part.begin), _bound(part.end)
        if type(begin) is not type(at) or begin != at or at is Marker.INF_MAX:
            raise invalid("The partitions must follow each other from INF_MIN to INF_MAX without a gap.")
        if end is not Marker.INF_MAX and type(end) is not key.python_type:
            raise invalid(f"{validation.variant(end)} is an invalid type for the primary key.")
        if end is not Marker.INF_MAX and ends and not ends[-1] < end:
            raise invalid("The boundaries of the partitions must increase.")
        ends.append(end)
        at = end
    if ends and at is not Marker.INF_MAX:
        raise invalid("The partitions must follow each other from INF_MIN to INF_MAX without a gap.")
    return tuple(ends[:-1])


def _bound(data: bytes) -> Any:
    try:
        return decode_value(data, binary=bytes)
    except PlainBufferError as error:
        raise invalid(str(error)) from None


def compute_split_points_by_size(instance: Instance, body: bytes) -> bytes:
    """Return the points that split a table into parts of about the wanted size."""
    request = parse(pb2.ComputeSplitPointsBySizeRequest, body)
    name = validation.table_name(request.table_name)
    unit = request.split_size_unit_in_byte if request.HasField("split_size_unit_in_byte") else SPLIT_UNIT
    if request.split_size <= 0:
        raise invalid("The split_size should be greater than 0.")
    if unit < MIN_SPLIT_UNIT:
        raise invalid(f"The split_size_unit_in_byte should be greater equal than: {MIN_SPLIT_UNIT}")
    limited = request.HasField("split_point_limit")
    if limited and request.split_point_limit <= 0:
        raise invalid("The value of SplitPointLimit must be greater than 0.")
    table = instance.table(name)
    points = _points(table, request.split_size * unit)
    if limited:
        del points[request.split_point_limit :]
    reply = pb2.ComputeSplitPointsBySizeResponse(consumed=consumed(len(points) + 1, 0), split_points=points)
    write_schema(reply.schema, table)
    reply.locations.add(location=md5(table.id.encode(), usedforsecurity=False).hexdigest(), repeat=len(points) + 1)
    encoded: bytes = reply.SerializeToString()
    return encoded


def _points(table: Table, wanted: int) -> list[bytes]:
    """Return the keys at which splits begin; that of a partition has its first column only, the rest being INF_MIN."""
    points: list[bytes] = []
    size = passed = 0
    partitions = table.partitions
    for key in table.order:
        named = table.named(key)
        while passed < len(partitions) and partitions[passed] <= key[0]:
            points.append(boundary(table, partitions[passed]))
            passed += 1
            size = 0
        if size >= wanted:
            points.append(encode_row(named, bytes_as=VT_BLOB))
            size = 0
        size += row_size(named, table.rows[key])
    points += [boundary(table, value) for value in partitions[passed:]]
    return points


def boundary(table: Table, value: Any) -> bytes:
    """Return the key at which a partition begins, encoded: its first column alone, the rest being INF_MIN."""
    return encode_row([(table.key_names[0], value)], bytes_as=VT_BLOB)


def write_schema(target: Any, table: Table) -> None:
    """Fill in the primary key's columns for DescribeTable and ComputeSplitPointsBySize."""
    for column in table.schema:
        message = target.add(name=column.name, type=column.kind)
        if column.increments:
            message.option = pb2.AUTO_INCREMENT
