"""What the service refuses for its own sake: lengths, counts and types, in its words."""

from typing import Any

import pytest
from tablestore import INF_MAX, INF_MIN, Row

KEY = [("a", 1), ("b", "k")]
OVERHEAD = 8 + 1 + 1 + 1 + 1  # the names a, b and x, the values 1 and "k"


@pytest.mark.parametrize("value", ["k" * 1025, bytearray(1025), "中" * 342])
def test_values_of_a_key_have_1024_bytes(client: Any, refused: Any, value: Any) -> None:
    """1024 bytes fit into a key column, one more does not; bytes are counted, not characters."""
    kind = "BINARY" if isinstance(value, bytearray) else "STRING"
    client.make_table("t", ("pk_0", kind))
    client.put("t", [("pk_0", value[:-1])])
    assert client.columns("t", [("pk_0", value[:-1])]) == {}
    length = len(value.encode() if isinstance(value, str) else value)
    text = f"The length of primary key column: 'pk_0' exceeds the MaxLength:1024 with CurrentLength:{length}."
    for call in (
        lambda: client.put("t", [("pk_0", value)]),
        lambda: client.get_row("t", [("pk_0", value)]),
        lambda: client.delete_row("t", Row([("pk_0", value)]), None),
        lambda: client.keys("t", [("pk_0", value)], [("pk_0", INF_MAX)]),
    ):
        with refused("OTSParameterInvalid", text):
            call()


@pytest.mark.parametrize("value", ["v" * 2_097_153, bytearray(2_097_153), "中" * 699_051])
def test_values_of_an_attribute_have_2_megabytes(client: Any, table: str, refused: Any, value: Any) -> None:
    """2 MB fit into a column, one byte more does not."""
    length = len(value.encode() if isinstance(value, str) else value)
    text = f"The length of attribute column: 'attr' exceeds the MaxLength:2097152 with CurrentLength:{length}."
    client.put(table, KEY, [("attr", value[:-1])])
    with refused("OTSParameterInvalid", text):
        client.put(table, KEY, [("attr", value)])
    with refused("OTSParameterInvalid", text):
        client.update_row(table, Row(KEY, {"PUT": [("attr", value)]}), None)


def test_a_write_has_1024_columns(client: Any, table: str, refused: Any) -> None:
    """1024 columns are written at once, not 1025; a row may gather more."""
    text = "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025."
    columns = [(f"c{number:04}", number) for number in range(1025)]
    client.put(table, KEY, columns[:1024])
    with refused("OTSParameterInvalid", text):
        client.put(table, KEY, columns)
    with refused("OTSParameterInvalid", text):
        client.update_row(table, Row(KEY, {"PUT": columns}), None)
    client.update_row(table, Row(KEY, {"PUT": [("d", 1)]}), None)
    assert len(client.columns(table, KEY)) == 1025


def test_a_read_names_1024_columns(client: Any, table: str, refused: Any) -> None:
    """columns_to_get takes 1024 names, not 1025."""
    text = "The number of columns from the request exceeds the limit, limit count: 1024, column count: 1025."
    names = [f"c{number}" for number in range(1025)]
    client.put(table, KEY, [("c1", 1)])
    assert client.columns(table, KEY, columns_to_get=names[:1024]) == {"c1": 1}
    with refused("OTSParameterInvalid", text):
        client.columns(table, KEY, columns_to_get=names)
    with refused("OTSParameterInvalid", text):
        client.keys(table, KEY, [("a", 2), ("b", "")], columns_to_get=names)


def test_a_write_has_4_megabytes(client: Any, table: str, refused: Any) -> None:
    """The data of one PutRow or UpdateRow is limited, key and names included."""
    half = "v" * 2_097_152
    versions = 2 * 8
    rest = [("x", half[: 2_097_152 - OVERHEAD - 1 - versions]), ("y", half)]
    client.put(table, KEY, rest)
    too_much = [("x", rest[0][1] + "v"), ("y", half)]
    limit = "request exceeds the limit, limit size: 4194304, data size: 4194305."
    with refused("OTSParameterInvalid", f"The total data size of PutRow {limit}"):
        client.put(table, KEY, too_much)
    with refused("OTSParameterInvalid", f"The total data size of UpdateRow {limit}"):
        client.update_row(table, Row(KEY, {"PUT": too_much}), None)


@pytest.mark.parametrize("name", ["#", "#x", "", "x" * 256])
def test_names_that_no_column_can_have(client: Any, table: str, refused: Any, name: str) -> None:
    """A column's name has 1 to 255 bytes and does not start with #."""
    for call in (
        lambda: client.put(table, KEY, [(name, 1)]),
        lambda: client.update_row(table, Row(KEY, {"PUT": [(name, 1)]}), None),
    ):
        with refused("OTSParameterInvalid", f"Invalid column name: '{name}'."):
            call()


@pytest.mark.parametrize("name", [".", ":", " ", "'", '"', "\n", "0", "a-b", "x" * 255])
def test_names_that_a_column_can_have(client: Any, table: str, name: str) -> None:
    """Whatever else the documents say, the service takes these."""
    client.put(table, KEY, [(name, 1)])
    assert client.columns(table, KEY) == {name: 1}


def test_an_attribute_is_no_key_column(client: Any, table: str, refused: Any) -> None:
    """A row cannot have a key column a second time as an attribute."""
    with refused("OTSParameterInvalid"):
        client.put(table, KEY, [("b", 1)])


def test_keys_are_checked_in_number_name_and_type(client: Any, table: str, refused: Any) -> None:
    """Of several errors the number of columns comes first, then the first wrong name, then the first wrong type."""
    for key, text in (
        ([("c", "x")], "Validate PK size fail. Input: 1, Meta: 2."),
        ([("a", "x"), ("PK2", "y")], "Validate PK name fail. Input: PK2, Meta: b."),
        ([("b", "x"), ("a", 1)], "Validate PK name fail. Input: b, Meta: a."),
        ([("a", bytearray(b"x")), ("b", 1)], "Validate PK type fail. Input: VT_BLOB, Meta: VT_INTEGER."),
        ([("a", 1), ("b", 1)], "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."),
    ):
        for call in (
            lambda key=key: client.put(table, key, [("x", 1)]),
            lambda key=key: client.get_row(table, key),
            lambda key=key: client.update_row(table, Row(key, {"PUT": [("x", 1)]}), None),
            lambda key=key: client.delete_row(table, Row(key), None),
        ):
            with refused("OTSInvalidPK", text):
                call()


@pytest.mark.parametrize(("infinite", "name"), [(INF_MIN, "VT_INF_MIN"), (INF_MAX, "VT_INF_MAX")])
def test_infinity_is_no_value(client: Any, table: str, refused: Any, infinite: Any, name: str) -> None:
    """INF_MIN and INF_MAX stand in bounds only."""
    text = f"{name} is an invalid type for the primary key."
    with refused("OTSParameterInvalid", text):
        client.put(table, [("a", 1), ("b", infinite)])
    with refused("OTSParameterInvalid", text):
        client.get_row(table, [("a", infinite), ("b", "x")])


def test_booleans_are_no_keys(client: Any, table: str, refused: Any) -> None:
    """A boolean is not taken for an integer."""
    with refused("OTSParameterInvalid", "VT_BOOLEAN is an invalid type for the primary key."):
        client.put(table, [("a", True), ("b", "x")])
