"""Random programs, run by the emulator and by a dictionary: they must never differ.

The dictionary maps a key to the columns of its row. It knows nothing of protobuf, PlainBuffer, versions or capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    ComparatorType,
    Condition,
    DeleteRowItem,
    PutRowItem,
    Row,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    UpdateRowItem,
)

from ots_config.sdk import tablestore

Model = dict[tuple[int, str], dict[str, Any]]

keys = st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "é"]))
names = st.sampled_from(["n", "x", "y"])
values = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.5, True, False, "", "text"]),
    st.binary(max_size=2).map(bytearray),
)
columns = st.dictionaries(names, values, max_size=3)
expectations = st.sampled_from(["IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"])
tests = st.one_of(st.none(), st.tuples(names, st.integers(-5, 5), st.booleans()))
updates = st.dictionaries(
    names,
    st.one_of(st.tuples(st.just("PUT"), values), st.just(("DELETE_ALL", None)), st.just(("INCREMENT", 2))),
    min_size=1,
    max_size=3,
)
writes = st.one_of(
    st.tuples(st.just("put"), keys, columns, expectations, tests),
    st.tuples(st.just("update"), keys, updates, expectations, tests),
    st.tuples(st.just("delete"), keys, st.none(), expectations, tests),
)
bounds = st.tuples(
    st.one_of(st.integers(-1, 4), st.sampled_from([INF_MIN, INF_MAX])),
    st.one_of(st.sampled_from(["", "a", "b", "é"]), st.sampled_from([INF_MIN, INF_MAX])),
)
steps = st.one_of(
    writes,
    st.tuples(st.just("get"), keys),
    st.tuples(st.just("range"), bounds, bounds, st.integers(1, 5), st.booleans(), tests),
    st.tuples(st.just("batch"), st.lists(writes, min_size=1, max_size=5)),
    st.tuples(st.just("batch get"), st.lists(keys, min_size=1, max_size=5)),
)


def passes(row: dict[str, Any] | None, test: Any) -> bool:
    """Say whether a row has an integer at least as large as the test's, or lacks the column and may."""
    if test is None:
        return True
    name, least, if_missing = test
    if row is None or name not in row:
        return if_missing
    return type(row[name]) is int and row[name] >= least


def modelled(model: Model, write: Any) -> str | None:
    """Apply one write to the dictionary and return the code of its failure, if it fails."""
    kind, key, change, expectation, test = write
    row = model.get(key)
    if (expectation == "EXPECT_EXIST" and row is None) or (expectation == "EXPECT_NOT_EXIST" and row is not None):
        return "OTSConditionCheckFail"
    if not passes(row, test):
        return "OTSConditionCheckFail"
    if kind == "delete":
        model.pop(key, None)
    elif kind == "put":
        model[key] = dict(change)
    else:
        after = dict(row or {})
        for name, (operation, value) in change.items():
            if operation == "PUT":
                after[name] = value
            elif operation == "DELETE_ALL":
                after.pop(name, None)
            elif type(after.get(name, 0)) is int:
                after[name] = after.get(name, 0) + value
            else:
                return "OTSParameterInvalid"
        if row is not None or any(operation != "DELETE_ALL" for operation, _ in change.values()):
            model[key] = after
    return None


def place(bound: Any, *, after: bool = False) -> tuple[Any, ...]:
    """Return a bound, or a key, in a form that sorts as the service sorts keys."""
    order: list[Any] = []
    for part in bound:
        infinite = {INF_MIN: -1, INF_MAX: 1}.get(part, 0) if not isinstance(part, str | int) else 0
        order.append((infinite, b"" if infinite else part.encode() if isinstance(part, str) else part))
        if infinite:
            return (*order, after)
    return tuple(order)


def condition(test: Any) -> Any:
    """Return a test as the SDK writes it."""
    if test is None:
        return None
    return SingleColumnCondition(test[0], test[1], ComparatorType.GREATER_EQUAL, pass_if_missing=test[2])


def item(write: Any) -> Any:
    """Return a write as the SDK's batch takes it."""
    kind, (a, b), change, expectation, test = write
    key, expected = [("a", a), ("b", b)], Condition(expectation, condition(test))
    if kind == "put":
        return PutRowItem(Row(key, list(change.items())), expected)
    if kind == "delete":
        return DeleteRowItem(Row(key), expected)
    operations: dict[str, list[Any]] = {}
    for name, (operation, value) in change.items():
        operations.setdefault(operation, []).append(name if operation == "DELETE_ALL" else (name, value))
    return UpdateRowItem(Row(key, operations), expected)


def refusal(call: Callable[[], Any]) -> str | None:
    """Return the code with which a call fails, if it does."""
    try:
        call()
    except tablestore.OTSServiceError as error:
        return error.get_error_code()
    return None


def send(client: Any, write: Any) -> str | None:
    """Send one write and return the code of its failure, if it fails."""
    made = item(write)
    call = {"put": client.put_row, "update": client.update_row, "delete": client.delete_row}[write[0]]
    return refusal(lambda: call("t", made.row, made.condition))


def send_batch(client: Any, model: Model, batch: Any) -> None:
    """Send a batch and compare each row; a fault of the request leaves both sides as they were."""
    request = BatchWriteRowRequest()
    request.add(TableInBatchWriteRowItem("t", [item(write) for write in batch]))
    trial = dict(model)
    expected = [modelled(trial, write) for write in batch]
    if "OTSParameterInvalid" in expected:
        assert refusal(lambda: client._request_helper("BatchWriteRow", request)) == "OTSParameterInvalid"
        return
    got = [row.error_code for row in client._request_helper("BatchWriteRow", request)["t"]]
    assert got == expected
    model.clear()
    model.update(trial)


def compare_range(client: Any, model: Model, step: Any) -> None:
    """Read a page in the range's own direction, or expect a refusal, and compare rows and successor."""
    _, one, other, limit, backward, test = step
    start, stop = [list(zip("ab", bound, strict=True)) for bound in (one, other)]
    direction = "BACKWARD" if backward else "FORWARD"
    low, high = (place(other), place(one)) if backward else (place(one), place(other))

    def read() -> Any:
        return client.get_range("t", direction, start, stop, limit=limit, column_filter=condition(test))

    if low >= high:
        assert refusal(read) == "OTSParameterInvalid"
        return
    _, successor, rows, _ = read()
    if backward:
        inside = sorted((key for key in model if low < place(key) <= high), key=place, reverse=True)
    else:
        inside = sorted((key for key in model if low <= place(key) < high), key=place)
    page, rest = inside[:limit], inside[limit:]
    assert [
        (tuple(value for _, value in row.primary_key), {name: value for name, value, _ in row.attribute_columns})
        for row in rows
    ] == [(key, model[key]) for key in page if passes(model[key], test)]
    assert successor == (list(zip("ab", rest[0], strict=True)) if rest else None)


@settings(max_examples=150, deadline=None)
@given(program=st.lists(steps, max_size=30))
def test_the_emulator_is_a_dictionary(make_client: Any, program: Any) -> None:
    """Every write, read, range and batch has the outcome that the dictionary has."""
    client = make_client()
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    model: Model = {}
    for step in program:
        if step[0] == "get":
            assert client.columns("t", list(zip("ab", step[1], strict=True))) == model.get(step[1])
        elif step[0] == "range":
            compare_range(client, model, step)
        elif step[0] == "batch":
            send_batch(client, model, step[1])
        elif step[0] == "batch get":
            request = BatchGetRowRequest()
            wanted = [list(zip("ab", key, strict=True)) for key in step[1]]
            request.add(TableInBatchGetRowItem("t", wanted, max_version=1))
            items = client.batch_get_row(request).get_result_by_table("t")
            got = [found.row and {name: value for name, value, _ in found.row.attribute_columns} for found in items]
            assert got == [model.get(key) for key in step[1]]
        else:
            assert send(client, step) == modelled(model, step)
    ends = [[(name, infinity) for name in "ab"] for infinity in (INF_MIN, INF_MAX)]
    assert client.keys("t", *ends) == sorted(model, key=place)
