"""The emulator's regular expressions mean what Perl's do, and end whatever they are."""

import contextlib
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tablestore import CastType, ComparatorType, RegexRule, SingleColumnRegexCondition

from ots_config.emulator.tablestore import filters
from ots_config.emulator.tablestore.errors import TablestoreError
from ots_config.emulator.tablestore.expressions import STEPS, ExpressionInvalid, allow_steps, compile_expression
from ots_config.emulator.tablestore.protocol import filter_pb2
from ots_config.plainbuffer import VT_BLOB, encode_value


@pytest.fixture(autouse=True)
def _steps() -> None:
    allow_steps()


def search(expression: str, text: str) -> str | None:
    """Search as a request of its own."""
    allow_steps()
    return compile_expression(expression).search(text)


def reference(expression: str, text: str) -> str | None:
    """Search as Python does."""
    compiled = re.compile(expression, re.ASCII)
    match = compiled.search(text)
    return None if match is None else match[1] if compiled.groups else match[0]


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("t1:([0-9]+),", "t0:5,t1:17,t2:9,", "17"),
        ("[0-9]+", "abc123d", "123"),
        ("a|ab", "ab", "a"),
        ("a+?", "aaa", "a"),
        ("^b", "ab", None),
        ("b$", "ab\n", "b"),
        (r"b\Z", "ab\n", None),
        ("(?m)^b$", "a\nb\nc", "b"),
        ("a.b", "a\nb", None),
        ("(?s)a.b", "a\nb", "a\nb"),
        ("(?i)AB[C-D]", "abd", "abd"),
        ("(?i:a)B", "AB", "AB"),
        (r"\bcat\b", "concat cat", "cat"),
        (r"\Bcat", "cat concat", "cat"),
        (r"\w+\W\d+\D\s\S", "ab-12x y", "ab-12x y"),
        ("[^a-c]+", "abcde", "de"),
        ("(a)?b", "b", None),
        ("(?:ab){2,3}", "abababab", "ababab"),
        ("(?:ab){2,3}?", "abababab", "abab"),
        ("", "abc", ""),
        ("中+", "a中中b", "中中"),
        ("x(|y)", "x", ""),
    ],
)
def test_what_an_expression_finds(expression: str, text: str, found: str | None) -> None:
    """The first group of the first match comes back, or all of it if there is no group, as from Python's engine."""
    assert search(expression, text) == found == reference(expression, text)


# Each is an expression, and whether it may match nothing. Only what matches something is repeated: what engines make
# of rounds that match nothing, within rounds that match nothing, is their own affair.
_ATOMS = st.one_of(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "1", "(?i:A)", "[a-c1]", r"\s"]).map(
        lambda a: (a, False)
    ),
    st.sampled_from([r"\b", "^", "$"]).map(lambda place: (place, True)),
)
_REPETITIONS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,3}?"])


def _repeated(part: tuple[str, bool], repetition: str) -> tuple[str, bool]:
    expression, empty = part
    return part if empty else (f"(?:{expression}){repetition}", repetition[0] in "*?" or repetition[1:2] == "0")


_EXPRESSIONS = st.recursive(
    _ATOMS,
    lambda part: st.one_of(
        st.tuples(part, part).map(lambda pair: (pair[0][0] + pair[1][0], pair[0][1] and pair[1][1])),
        st.tuples(part, part).map(lambda pair: (f"(?:{pair[0][0]}|{pair[1][0]})", pair[0][1] or pair[1][1])),
        st.builds(_repeated, part, _REPETITIONS),
    ),
    max_leaves=8,
).map(lambda part: part[0])


@given(expression=_EXPRESSIONS, grouped=st.booleans(), text=st.text("ab1A \n", max_size=10))
@example(expression="(?:(?:a)??)+", grouped=False, text="a")
@example(expression="(?:(?:a)?|b)+", grouped=True, text="ab")
@settings(deadline=None)
def test_it_finds_what_pythons_engine_finds(expression: str, grouped: bool, text: str) -> None:
    """Alternatives, repetitions and places behave as in Python's engine, whatever they are made of."""
    if grouped:
        expression = f"({expression})"
    assert search(expression, text) == reference(expression, text)


@given(expression=st.text("()[]{}|*+?^$\\ab1,-:!<=>PuLimsx#", max_size=20), text=st.text(max_size=10))
@example(expression="(?u)a", text="a")
@settings(deadline=None)
def test_no_expression_is_too_strange(expression: str, text: str) -> None:
    """Every malformed expression raises the same kind of error."""
    with contextlib.suppress(ExpressionInvalid, TablestoreError):
        search(expression, text)


@pytest.mark.parametrize(
    "expression", ["(", "a{2,1}", "[b-a]", r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b", "(?>a)", "a++", "(?P<n>a)(?P=n)"]
)
def test_what_cannot_be_done_is_refused(expression: str) -> None:
    """No expression at all, references back and looking around are refused when it is compiled."""
    with pytest.raises(ExpressionInvalid):
        compile_expression(expression)


@pytest.mark.parametrize("expression", ["((a{100}){100}){100}", "(?:){1000000000}", "(?:(?:a{0,200}){0,200}){0,200}"])
def test_a_program_is_bounded(expression: str) -> None:
    """Counts in counts make no program that fills the memory."""
    with pytest.raises(ExpressionInvalid, match="too large"):
        compile_expression(expression)


def test_repetitions_of_a_class_share_what_it_remembers() -> None:
    """However often an expression repeats a class, and whatever characters it meets, it remembers few of them once."""
    repeated = compile_expression(".{500}$")
    sets = {id(what): what for _, what, _ in repeated._program if isinstance(what, dict)}
    assert repeated.search("".join(map(chr, range(32, 532)))) is not None
    assert [len(kept) for kept in sets.values()] == [128]


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)*(.*)*x$", "((a?)*)*x"])
def test_no_expression_tries_the_same_twice(expression: str) -> None:
    """Expressions that take backtracking engines exponential time end here, well within the steps of a request."""
    assert search(expression, "a" * 5000 + "b") is None


def test_steps_are_counted_over_a_request() -> None:
    """A request that has used up its steps has none for the next value either; the next request has all again."""
    quadratic = compile_expression("a*b")
    for _ in range(2):
        with pytest.raises(TablestoreError) as caught:
            quadratic.search("a" * STEPS)
        assert caught.value.code == "OTSParameterInvalid"
        assert caught.value.message == "The regular expression takes too long."
        allow_steps()
    assert quadratic.search("aab") == "aab"
    with pytest.raises(TablestoreError):
        quadratic.search("a" * STEPS)
    with pytest.raises(TablestoreError):
        quadratic.search("aab")


def test_a_filter_cannot_stop_the_server(client: Any, table: str, refused: Any) -> None:
    """A filter that takes too long fails its request, however many rows it meets, and the next request is served."""
    for number in range(20):
        client.put(table, [("a", 1), ("b", f"k{number}")], [("x", "a" * 200_000)])
    condition = SingleColumnRegexCondition("x", ComparatorType.EXIST, None, RegexRule("a*b", CastType.VT_STRING))
    with refused("OTSParameterInvalid", "The regular expression takes too long."):
        client.keys(table, [("a", 1), ("b", "")], [("a", 2), ("b", "")], column_filter=condition, max_version=1)
    assert (
        len(client.keys(table, [("a", 1), ("b", "")], [("a", 2), ("b", "")], columns_to_get=["a"], max_version=1)) == 20
    )


def compared(column: str, value: str = "v", expression: str | None = None) -> bytes:
    """Return a comparison of a column, or of the part of it that an expression finds, as a message."""
    single = filter_pb2.SingleColumnValueFilter(
        comparator=filter_pb2.CT_EQUAL,
        column_name=column,
        column_value=encode_value(value, bytes_as=VT_BLOB),
        filter_if_missing=True,
        latest_version_only=True,
    )
    if expression is not None:
        single.value_trans_rule.regex = expression
    sent = filter_pb2.Filter(type=filter_pb2.FT_SINGLE_COLUMN_VALUE, filter=single.SerializeToString())
    encoded: bytes = sent.SerializeToString()
    return encoded


def test_few_parsed_filters_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are at most 256, short and without expressions, so that they take little memory."""
    kept: dict[bytes, Any] = {}
    monkeypatch.setattr(filters, "_cache", kept)
    for number in range(300):
        filters.parse_filter(compared(f"c{number}"))
        assert len(kept) <= 256
    assert filters.parse_filter(compared("c299")) is kept[compared("c299")]
    kept.clear()
    filters.parse_filter(compared("a", "v" * 2000))
    filters.parse_filter(compared("a", expression="([0-9]+)"))
    assert not kept
