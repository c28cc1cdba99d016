"""The service's messages: the official SDK's, and what its copy of them lacks."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from ots_config.emulator.tablestore import protocol
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.sdk import tablestore

official = tablestore.protobuf.table_store_pb2


def test_the_messages_of_the_sdk_stay_as_they_are() -> None:
    """The additions are in a pool of their own."""
    assert "is_atomic" not in official.BatchWriteRowRequest.DESCRIPTOR.fields_by_name
    assert pb2.BatchWriteRowRequest.DESCRIPTOR.fields_by_name["is_atomic"].number == 3
    assert pb2.BatchWriteRowRequest.DESCRIPTOR.file.pool is not official.DESCRIPTOR.pool


def test_every_message_of_the_sdk_is_there_with_its_fields() -> None:
    """Names, numbers and types are those of the official messages, so both read each other's bytes."""
    for name, descriptor in official.DESCRIPTOR.message_types_by_name.items():
        fields = getattr(pb2, name).DESCRIPTOR.fields_by_name
        for field in descriptor.fields:
            assert (fields[field.name].number, fields[field.name].type) == (field.number, field.type)
    for enum in official.DESCRIPTOR.enum_types_by_name.values():
        for value in enum.values:
            assert getattr(pb2, value.name) == value.number
    sent = official.GetRowRequest(table_name="t", primary_key=b"key", max_versions=1, columns_to_get=["x"])
    assert pb2.GetRowRequest.FromString(sent.SerializeToString()).SerializeToString() == sent.SerializeToString()


@pytest.mark.parametrize("message", protocol._FIELDS)
def test_every_addition_is_there(message: str) -> None:
    """Each message that is added to has the fields, whichever version of the SDK is installed."""
    outer, _, inner = message.partition(".")
    found = getattr(pb2, outer)
    descriptor = (getattr(found, inner) if inner else found).DESCRIPTOR
    numbers = {field.number for field in descriptor.fields}
    assert {int(field.split()[1]) for field in protocol._FIELDS[message].split(", ")} <= numbers


def test_a_field_that_a_newer_sdk_has_is_left_alone() -> None:
    """A number that is taken keeps its field, and extending twice changes nothing more."""
    file = FileDescriptorProto()
    official.DESCRIPTOR.CopyToProto(file)
    request = next(message for message in file.message_type if message.name == "BatchWriteRowRequest")
    request.field.add(name="atomic", number=3, label=1, type=8)
    once = protocol._extended(file).SerializeToString(deterministic=True)
    assert [field.name for field in request.field if field.number == 3] == ["atomic"]
    assert protocol._extended(file).SerializeToString(deterministic=True) == once
