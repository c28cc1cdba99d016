"""Filters as the official SDK encodes them, asked of rows."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.emulator.tablestore.cells import TableOptions, apply_put, make_selector, select
from ots_config.emulator.tablestore.errors import TablestoreError
from ots_config.emulator.tablestore.filters import Filter, parse_condition, parse_filter
from ots_config.plainbuffer import Cell
from ots_config.sdk import tablestore

from tablestore.encoder import OTSProtoBufferEncoder  # isort: skip
from tablestore.protobuf import table_store_filter_pb2 as pb  # isort: skip

NOW = 1_780_000_000_000
OPTIONS = TableOptions(max_versions=3)
KEY = (("gid", 7), ("uid", "u1"))
Compare = tablestore.ComparatorType
ROW = apply_put(
    [
        Cell("age", 30, NOW + 2, None),
        Cell("age", 20, NOW + 1, None),
        Cell("age", 10, NOW, None),
        Cell("bin", b"\xff\x00", None, None),
        Cell("log", "took 51ms at 1aaa51bbb5", None, None),
        Cell("name", "john", None, None),
        Cell("ok", True, None, None),  # noqa: FBT003  a value
        Cell("rate", 0.5, None, None),
    ],
    OPTIONS,
    NOW,
)


def encoded(condition: Any) -> bytes:
    """Return a condition as the official SDK sends it."""
    message = pb.Filter()
    OTSProtoBufferEncoder("utf8")._make_column_condition(message, condition)
    return message.SerializeToString()


def single(name: str, value: Any, comparator: Any = Compare.EQUAL, **options: bool) -> Any:
    """Return a condition on one column that fails where the column is missing, unless asked otherwise."""
    options.setdefault("pass_if_missing", False)
    return tablestore.SingleColumnCondition(name, value, comparator, **options)


def composite(combinator: Any, *parts: Any) -> Any:
    """Return a condition made of conditions."""
    condition = tablestore.CompositeColumnCondition(combinator)
    for part in parts:
        condition.add_sub_condition(part)
    return condition


def passes(condition: Any) -> bool:
    """Say whether the row passes."""
    return parse_filter(encoded(condition)).matches(KEY, ROW)


def refused(data: bytes, parse: Callable[[bytes], Filter] = parse_filter) -> str:
    """Return the words with which a filter is refused."""
    with pytest.raises(TablestoreError) as caught:
        parse(data)
    assert (caught.value.code, caught.value.status) == ("OTSParameterInvalid", 400)
    return caught.value.message


def paginated(offset: int, limit: int) -> pb.Filter:
    """Return a pagination filter, which the Python SDK does not have."""
    pages = pb.ColumnPaginationFilter(offset=offset, limit=limit)
    return pb.Filter(type=pb.FT_COLUMN_PAGINATION, filter=pages.SerializeToString())


def combined(combinator: int, *parts: pb.Filter) -> pb.Filter:
    """Return a composite filter message."""
    message = pb.CompositeColumnValueFilter(combinator=combinator, sub_filters=parts)
    return pb.Filter(type=pb.FT_COMPOSITE_COLUMN_VALUE, filter=message.SerializeToString())


def plain(condition: Any) -> pb.Filter:
    """Return a condition of the SDK as a message."""
    return pb.Filter.FromString(encoded(condition))


# --- comparisons ------------------------------------------------------------------------------------------

_OPERATORS: dict[Any, Callable[[Any, Any], bool]] = {
    Compare.EQUAL: operator.eq,
    Compare.NOT_EQUAL: operator.ne,
    Compare.GREATER_THAN: operator.gt,
    Compare.GREATER_EQUAL: operator.ge,
    Compare.LESS_THAN: operator.lt,
    Compare.LESS_EQUAL: operator.le,
}
_INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
_VALUES = st.one_of(_INTEGERS, st.floats(), st.booleans(), st.text(max_size=4), st.binary(max_size=4))


@settings(deadline=None, max_examples=200)
@given(_VALUES, st.one_of(_VALUES, st.none()), st.sampled_from(sorted(_OPERATORS)))
def test_comparisons_are_by_type_and_value(stored: Any, wanted: Any, comparator: Any) -> None:
    """Values of one type compare as numbers, code points or bytes do; across types every comparison is false."""
    wanted = stored if wanted is None else wanted
    sent = bytearray(wanted) if isinstance(wanted, bytes) else wanted
    row = apply_put([Cell("a", stored, None, None)], OPTIONS, NOW)
    result = parse_filter(encoded(single("a", sent, comparator))).matches(KEY, row)
    left, right = (value.encode() if isinstance(value, str) else value for value in (stored, wanted))
    assert result is (type(stored) is type(wanted) and _OPERATORS[comparator](left, right))


@pytest.mark.parametrize("comparator", sorted(_OPERATORS))
@pytest.mark.parametrize("value", [30.0, "30", True, bytearray(b"30")], ids=repr)
def test_types_do_not_mix(comparator: Any, value: Any) -> None:
    """An integer is neither equal nor unequal to a value of another type, nor before or after it."""
    assert not passes(single("age", value, comparator))


def test_binary_and_string_differ() -> None:
    """A binary filter value matches a binary column and no string column of the same bytes."""
    assert passes(single("bin", bytearray(b"\xff\x00")))
    assert passes(single("bin", bytearray(b"\xfe"), Compare.GREATER_THAN))
    assert not passes(single("name", bytearray(b"john")))


def test_missing_columns_pass_if_told() -> None:
    """A row without the column passes or fails as pass_if_missing says, whatever the comparison."""
    for comparator in _OPERATORS:
        assert passes(single("nothing", 1, comparator, pass_if_missing=True))
        assert not passes(single("nothing", 1, comparator, pass_if_missing=False))


def test_the_latest_version_decides_unless_told_otherwise() -> None:
    """With latest_version_only older versions do not count; without, any version that matches does."""
    assert passes(single("age", 30))
    assert not passes(single("age", 10))
    assert passes(single("age", 10, latest_version_only=False))
    assert passes(single("age", 15, Compare.LESS_THAN, latest_version_only=False))
    assert not passes(single("age", 5, latest_version_only=False))


def test_key_columns_can_be_compared() -> None:
    """A filter on a primary key column looks at the key."""
    assert passes(single("gid", 7))
    assert passes(single("uid", "u0", Compare.GREATER_THAN))
    assert not passes(single("gid", 8))


def test_filters_look_at_what_was_selected() -> None:
    """A column that the read did not ask for is missing; the key is there nonetheless."""
    cells = select(ROW, make_selector(max_versions=1, columns_to_get=["name"]), OPTIONS, NOW)
    assert cells is not None
    assert not parse_filter(encoded(single("age", 30))).matches(KEY, cells)
    assert parse_filter(encoded(single("age", 99, pass_if_missing=True))).matches(KEY, cells)
    assert parse_filter(encoded(single("gid", 7))).matches(KEY, cells)
    any_version = parse_filter(encoded(single("age", 10, latest_version_only=False)))
    newest = select(ROW, make_selector(max_versions=1), OPTIONS, NOW)
    assert newest is not None
    assert not any_version.matches(KEY, newest)


def test_absent_rows_have_no_columns() -> None:
    """A condition on a row that is not there sees every column missing, those of the key too."""
    for name in ("age", "gid"):
        assert parse_condition(encoded(single(name, 30, pass_if_missing=True))).matches((), ())
        assert not parse_condition(encoded(single(name, 30))).matches((), ())


# --- combinations -----------------------------------------------------------------------------------------


def test_conditions_combine() -> None:
    """NOT, AND and OR mean what they say, nested as well."""
    operators = tablestore.LogicalOperator
    old, young = single("age", 25, Compare.GREATER_THAN), single("age", 25, Compare.LESS_THAN)
    john = single("name", "john")
    assert passes(composite(operators.AND, old, john))
    assert not passes(composite(operators.AND, young, john))
    assert passes(composite(operators.OR, young, john))
    assert not passes(composite(operators.OR, young, young))
    assert passes(composite(operators.NOT, young))
    assert not passes(composite(operators.NOT, composite(operators.OR, young, john)))
    assert passes(composite(operators.AND, john, composite(operators.NOT, young), composite(operators.OR, young, old)))


def test_operators_have_their_numbers_of_parts() -> None:
    """NOT has exactly one part, AND and OR have more than one."""
    part = plain(single("a", 1))
    exactly = "Invalid NOT operator: the number of sub-filters must be 1."
    several = "Invalid AND/OR operator: the number of sub-filters must be more than 1."
    for parts in ((), (part, part)):
        assert refused(combined(pb.LO_NOT, *parts).SerializeToString()) == exactly
    for combinator in (pb.LO_AND, pb.LO_OR):
        for parts in ((), (part,)):
            assert refused(combined(combinator, *parts).SerializeToString()) == several


def test_filters_are_counted() -> None:
    """Thirty-two filters, a composite one counting itself and its parts, are accepted, and one more is not."""
    part = plain(single("a", 1))
    message = "The count of filter exceeds the max: 32."
    assert parse_filter(combined(pb.LO_AND, *[part] * 31).SerializeToString())
    assert refused(combined(pb.LO_AND, *[part] * 32).SerializeToString()) == message
    assert refused(combined(pb.LO_AND, *[part] * 100_000).SerializeToString()) == message


def test_depth_is_bounded() -> None:
    """Filters nested a thousand deep are refused by their count, without recursion that deep."""
    nested = plain(single("a", 1))
    for _ in range(31):
        nested = combined(pb.LO_NOT, nested)
    assert parse_filter(nested.SerializeToString())
    for _ in range(1000):
        nested = combined(pb.LO_NOT, nested)
    assert refused(nested.SerializeToString()) == "The count of filter exceeds the max: 32."


# --- expressions ------------------------------------------------------------------------------------------


def rule(expression: str, cast: str, value: Any = None, comparator: Any = Compare.EQUAL, column: str = "log") -> Any:
    """Return a condition on a part of a string."""
    regex = tablestore.RegexRule(expression, getattr(tablestore.CastType, cast))
    return tablestore.SingleColumnRegexCondition(column, comparator, value, regex)


def test_expressions_take_a_part_of_a_string() -> None:
    """The first group of the first match is compared, or the whole match of an expression without groups."""
    assert passes(rule("1[a-z]+5", "VT_STRING", "1aaa5"))
    assert passes(rule("1([a-z]+)5", "VT_STRING", "aaa"))
    assert passes(rule("([0-9]+)ms", "VT_INTEGER", 51))
    assert passes(rule("([0-9]+)ms", "VT_INTEGER", 50, Compare.GREATER_THAN))
    assert passes(rule("([0-9]+)ms", "VT_DOUBLE", 51.0))
    assert not passes(rule("([0-9]+)ms", "VT_INTEGER", 52))


def test_what_gives_no_value_fulfils_no_comparison() -> None:
    """No match, no string, no number or a missing column: every comparison is false, of any kind."""
    for comparator in _OPERATORS:
        assert not passes(rule("([0-9]+)s", "VT_INTEGER", 51, comparator))
        assert not passes(rule("(took)", "VT_INTEGER", 51, comparator))
        assert not passes(rule("(took)", "VT_DOUBLE", 51.0, comparator))
        assert not passes(rule("[0-9]+", "VT_INTEGER", 30, comparator, column="age"))
        assert not passes(rule("[0-9]+", "VT_INTEGER", 30, comparator, column="nothing"))
        assert not passes(rule("(x)?", "VT_STRING", "x", comparator))


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "٣", " 1", "99999999999999999999", ""])
def test_numbers_are_plain(text: str) -> None:
    """What only Python takes for a number is none."""
    row = apply_put([Cell("a", text, None, None)], OPTIONS, NOW)
    for cast, value in (("VT_INTEGER", 0), ("VT_DOUBLE", 0.0)):
        if cast == "VT_DOUBLE" and text.startswith("9"):
            continue
        condition = rule("^.*$", cast, value, Compare.GREATER_EQUAL, column="a")
        assert not parse_filter(encoded(condition)).matches(KEY, row)


def test_existence_can_be_asked() -> None:
    """EXIST and NOT_EXIST look for the column, and with an expression for a match in it."""
    exists = tablestore.SingleColumnRegexCondition("name", Compare.EXIST)
    assert passes(exists)
    assert not passes(tablestore.SingleColumnRegexCondition("nothing", Compare.EXIST))
    assert passes(tablestore.SingleColumnRegexCondition("nothing", Compare.NOT_EXIST))
    assert passes(tablestore.SingleColumnRegexCondition("gid", Compare.EXIST))
    assert passes(rule("([0-9]+)ms", "VT_INTEGER", None, Compare.EXIST))
    assert not passes(rule("([0-9]+)s", "VT_INTEGER", None, Compare.EXIST))
    assert passes(rule("([0-9]+)s", "VT_INTEGER", None, Compare.NOT_EXIST))


@pytest.mark.parametrize("expression", ["(", "a{99999999999}", "(" * 250, "x" * 257, "[z-a]"])
def test_bad_expressions_are_refused(expression: str) -> None:
    """An expression that does not compile, or is too long, is the sender's fault."""
    assert "Invalid" in refused(encoded(rule(expression, "VT_STRING", "x")))


def test_odd_expressions_do_not_warn() -> None:
    """An expression of which Python would warn is compiled in silence."""
    assert not passes(rule("[[a]--b", "VT_STRING", "x"))


# --- pagination -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "limit", "names"),
    [
        (0, 2, ["age", "age", "age", "bin"]),
        (1, 2, ["bin", "log"]),
        (4, 9, ["ok", "rate"]),
        (6, 1, []),
        (99, 1, []),
        (0, 0, []),
        (2**31 - 1, 2**31 - 1, []),
    ],
)
def test_pagination_counts_columns(offset: int, limit: int, names: list[str]) -> None:
    """Offset and limit count columns, each with all its selected versions; a row without any left is a row."""
    found = parse_filter(paginated(offset, limit).SerializeToString()).apply(KEY, ROW)
    assert found is not None
    assert [cell[0] for cell in found] == names


def test_pagination_under_and_follows_the_condition() -> None:
    """AND of a condition and a pagination takes the row by the one and its columns by the other."""
    data = combined(pb.LO_AND, plain(single("name", "john")), paginated(0, 1)).SerializeToString()
    found = parse_filter(data).apply(KEY, ROW[3:])
    assert found is not None
    assert [cell[0] for cell in found] == ["bin"]
    data = combined(pb.LO_AND, plain(single("name", "jack")), paginated(0, 1)).SerializeToString()
    assert parse_filter(data).apply(KEY, ROW) is None


def test_filters_without_pagination_give_back_what_they_got() -> None:
    """A row that passes keeps all of its selected cells."""
    assert parse_filter(encoded(single("name", "john"))).apply(KEY, ROW) is ROW


def test_pagination_has_its_places() -> None:
    """Pagination is refused in a write's condition, under OR and NOT, twice, and with negative numbers."""
    part, pages = plain(single("a", 1)), paginated(0, 1)
    assert "condition" in refused(pages.SerializeToString(), parse_condition)
    assert refused(combined(pb.LO_OR, part, pages).SerializeToString())
    assert refused(combined(pb.LO_NOT, pages).SerializeToString())
    assert refused(combined(pb.LO_AND, pages, pages).SerializeToString())
    assert refused(paginated(-1, 1).SerializeToString())
    assert refused(paginated(0, -1).SerializeToString())


NO_FILTERS = dict.fromkeys(["", "0801", "08631200", "ffff", "080112ffffffff0f"], "filter")
NO_FILTERS |= {
    "08011200": "relation filter",
    "08021200": "composite filter",
    "080312020801": "column pagination filter",
}


@pytest.mark.parametrize(("data", "part"), NO_FILTERS.items())
def test_what_is_no_filter_is_refused(data: str, part: str) -> None:
    """Missing fields, unknown kinds and broken bytes are answered in the service's words."""
    assert refused(bytes.fromhex(data)) == f"Deserialize {part} failed."


def test_names_are_utf8() -> None:
    """A column name of other bytes is a malformed message."""
    assert refused(encoded(single("aaa", 1)).replace(b"aaa", b"\xff\xfea")) == "Failed to parse the ProtoBuf message."


@pytest.mark.parametrize("value", [b"", b"\x00\x01", b"\x63abc", b"\x03\xff\xff\xff\x7fa", b"\x09"], ids=bytes.hex)
def test_values_are_plain_buffer(value: bytes) -> None:
    """A value that cannot be decoded, or that no column can have, is refused."""
    message = plain(single("a", 1))
    inner = pb.SingleColumnValueFilter.FromString(message.filter)
    inner.column_value = value
    message.filter = inner.SerializeToString()
    assert refused(message.SerializeToString())


def test_damaged_filters_are_answered() -> None:
    """A filter with bytes changed, lost or added parses to a filter or is refused; nothing else happens."""
    chance = random.Random(4)  # noqa: S311  no secret
    operators = tablestore.LogicalOperator
    parts = [rule("1([a-z]+)5", "VT_STRING", "aaa"), single("a", "x"), single("b", 1.5)]
    whole = encoded(composite(operators.AND, *parts, composite(operators.NOT, single("c", 1))))
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            position = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[position] = chance.randrange(256)
                case 1:
                    del data[position]
                case _:
                    data.insert(position, chance.randrange(256))
        try:
            parsed = parse_filter(bytes(data))
        except TablestoreError as fault:
            assert fault.code == "OTSParameterInvalid"  # noqa: PT017  either outcome is right
        else:
            parsed.apply(KEY, ROW)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_answered(data: bytes) -> None:
    """Random bytes are refused, or happen to be a filter."""
    try:
        parse_filter(data).apply(KEY, ROW)
    except TablestoreError as fault:
        assert fault.code == "OTSParameterInvalid"  # noqa: PT017  either outcome is right
