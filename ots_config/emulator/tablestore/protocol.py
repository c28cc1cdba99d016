"""The service's protobuf messages: those of the official Python SDK, with what its copy of them lacks.

Other SDKs send and need fields, and whole messages, that the Python one does not know. They are added to its
descriptors in a pool of their own, so the SDK's messages stay as they are; what a newer SDK has already is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from ots_config.sdk import tablestore

# The SDK makes its messages when they are imported, so type checkers do not know them.
_official: Any = import_module(f"{tablestore.__name__}.protobuf.table_store_pb2")
search_pb2: Any = import_module(f"{tablestore.__name__}.protobuf.search_pb2")
filter_pb2: Any = import_module(f"{tablestore.__name__}.protobuf.table_store_filter_pb2")

_ENUMS: Mapping[str, Sequence[tuple[str, int]]] = {
    "PrimaryKeyType": [("PK_BOOLEAN", 5)],
    "SSEKeyType": [("SSE_KMS_SERVICE", 1), ("SSE_BYOK", 2)],
    "TableStatus": [("ACTIVE", 1), ("INACTIVE", 2), ("LOADING", 3), ("UNLOADING", 4), ("UPDATING", 5)],
    "IndexSyncPhase": [("ISP_INVALID", 0), ("ISP_FULL", 1), ("ISP_INCR", 2)],
    "DataBlockType": [("DBT_PLAIN_BUFFER", 0), ("DBT_SIMPLE_ROW_MATRIX", 1)],
    "CompressType": [("CPT_NONE", 0)],
    "StreamColumnType": [("INVALID", 0), ("SPECIFIED_COLUMN", 1), ("INPUT_COLUMNS", 2), ("ALL_COLUMNS", 3)],
}
"""Enums with their values, where the official copy may lack them."""

_FIELDS: Mapping[str, str] = {
    "PartitionRange": "begin 1 required bytes, end 2 required bytes",
    "SSESpecification": "enable 1 required bool, key_type 2 SSEKeyType, key_id 3 bytes, role_arn 4 bytes",
    "SSEDetails": "enable 1 required bool, key_type 2 SSEKeyType, key_id 3 bytes, role_arn 4 bytes",
    "StreamColumn": "type 1 required StreamColumnType, column_name 2 repeated string",
    "TableMeta": "table_id 5 string",
    "TableOptions": "update_full_row 7 bool",
    "StreamSpecification": (
        "columns_to_get 3 repeated string, old_columns_to_get 4 StreamColumn, new_columns_to_get 5 StreamColumn"
    ),
    "StreamDetails": (
        "column_to_get 5 repeated string, old_columns_to_get 6 StreamColumn, new_columns_to_get 7 StreamColumn"
    ),
    "IndexMeta": "index_sync_phase 6 IndexSyncPhase",
    "CreateTableRequest": "partitions 4 repeated PartitionRange, sse_spec 6 SSESpecification, enable_local_txn 8 bool",
    "DescribeTableResponse": "table_status 4 TableStatus, sse_details 7 SSEDetails, creation_time 9 int64",
    "AddDefinedColumnRequest": "table_name 1 required string, columns 2 repeated DefinedColumnSchema",
    "DeleteDefinedColumnRequest": "table_name 1 required string, columns 2 repeated string",
    "BatchWriteRowRequest": "is_atomic 3 bool",
    "GetRangeRequest": (
        "data_block_type_hint 15 DataBlockType, return_entire_primary_keys 16 bool, compress_type_hint 17 CompressType"
    ),
    "GetRangeResponse": "data_block_type 5 DataBlockType, compress_type 6 CompressType",
    "StartLocalTransactionResponse": "consumed 2 ConsumedCapacity",
    "CommitTransactionResponse": "consumed 1 ConsumedCapacity",
    "AbortTransactionResponse": "consumed 1 ConsumedCapacity",
    "ComputeSplitPointsBySizeRequest": "split_point_limit 4 int32",
    "GetShardIteratorRequest": "timestamp 3 int64, token 4 string",
    "GetStreamRecordRequest": (
        "table_name 3 string, old_columns_to_get 6 StreamColumn, new_columns_to_get 7 StreamColumn"
    ),
    "GetStreamRecordResponse": "consumed 3 ConsumedCapacity, may_more_record 4 bool",
    "GetStreamRecordResponse.StreamRecord": "origin_record 3 bytes, latest_columns 8 bytes",
}
"""Fields by message: name, number, label (optional if none is given) and type. A message that is missing is added."""

_TYPES = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "string": FieldDescriptorProto.TYPE_STRING,
}
_LABELS = {
    "required": FieldDescriptorProto.LABEL_REQUIRED,
    "repeated": FieldDescriptorProto.LABEL_REPEATED,
}


def _extended(file: FileDescriptorProto) -> FileDescriptorProto:
    """Return a file's descriptor with the enums, messages and fields that it lacks."""
    for name, values in _ENUMS.items():
        enum = next((known for known in file.enum_type if known.name == name), None) or file.enum_type.add(name=name)
        for value, number in values:
            if all(known.number != number for known in enum.value):
                enum.value.add(name=value, number=number)
    for path, fields in _FIELDS.items():
        message = _message(file, path)
        for field in fields.split(", "):
            _add_field(file, message, *field.split())
    return file


def _message(file: FileDescriptorProto, path: str) -> DescriptorProto:
    """Return a message, of another one's if its path has two parts, added if the file lacks it."""
    outer, _, inner = path.partition(".")
    found = next((known for known in file.message_type if known.name == outer), None) or file.message_type.add(
        name=outer
    )
    return next(known for known in found.nested_type if known.name == inner) if inner else found


def _add_field(file: FileDescriptorProto, message: DescriptorProto, name: str, number: str, *rest: str) -> None:
    if any(known.number == int(number) for known in message.field):
        return
    *label, kind = rest
    field = message.field.add(
        name=name, number=int(number), label=_LABELS[label[0]] if label else FieldDescriptorProto.LABEL_OPTIONAL
    )
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type = FieldDescriptorProto.TYPE_ENUM if kind in _ENUMS else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{file.package}.{kind}"


def _named(file: Any) -> Iterator[tuple[str, Any]]:
    """Yield the classes of a file's messages and the values of its enums, by name."""
    factory: Any = message_factory
    # The function is there since version 4.22 of protobuf, and the class up to 5.
    get = getattr(factory, "GetMessageClass", None) or factory.MessageFactory(file.pool).GetPrototype
    for name, descriptor in file.message_types_by_name.items():
        yield name, get(descriptor)
    for enum in file.enum_types_by_name.values():
        for value in enum.values:
            yield value.name, value.number


def _load() -> SimpleNamespace:
    file = FileDescriptorProto()
    _official.DESCRIPTOR.CopyToProto(file)
    file = _extended(file)
    pool = DescriptorPool()
    pool.Add(file)
    return SimpleNamespace(**dict(_named(pool.FindFileByName(file.name))))


pb2: Any = _load()
"""The messages and the values of the enums, as attributes."""
