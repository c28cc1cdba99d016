"""Values of numpy and pandas in a bulk write, and missing ones."""

import math
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config import OTSClient
from ots_config.client.bulk.values import may_hold_nan, plain_value
from ots_config.client.row_encoder import encode_put, encode_update
from ots_config.sdk import tablestore as ts

NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
MICROSECONDS = 1_709_208_000_000_000


class _Foreign:
    """Stands in for a library that is not installed: a type of pandas is known by its module and its name."""

    @staticmethod
    def named(name: str, base: type = object) -> type[Any]:
        return type(name, (base,), {"__module__": "pandas._libs.tslibs"})


Timestamp = _Foreign.named("Timestamp", datetime)
NaT = _Foreign.named("NaTType", datetime)
NA = _Foreign.named("NAType")


RULE: list[tuple[Any, Any]] = [
    (np.int64(-7), -7),
    (np.uint8(7), 7),
    (np.float64(1.5), 1.5),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),  # noqa: FBT003 - the value that is tested
    (np.str_("x"), "x"),
    (np.bytes_(b"x"), b"x"),
    (np.datetime64("2024-02-29T12:00:00.000000001"), MICROSECONDS),
    (np.datetime64("2024-02-29"), MICROSECONDS - 12 * 3_600_000_000),
    (np.datetime64("NaT", "ns"), None),
    (np.float64("nan"), None),
    (math.nan, None),
    (NOON, MICROSECONDS),
    (NOON.replace(tzinfo=None), MICROSECONDS),
    (NOON.astimezone(timezone(timedelta(hours=8))), MICROSECONDS),
    (Timestamp(2024, 2, 29, 12, tzinfo=UTC), MICROSECONDS),
    (NaT(1, 1, 1), None),
    (NA(), None),
    (math.inf, math.inf),
    (7, 7),
    ("nan", "nan"),
]


@pytest.mark.parametrize(("value", "plain"), RULE, ids=map(str, range(len(RULE))))
def test_the_rule(value: Any, plain: Any) -> None:
    """Numpy's scalars become Python's values, times become microseconds, and what is missing becomes None."""
    found = plain_value(value)
    assert (type(found), found) == (type(plain), plain)


def test_rows_of_such_values_are_written(connect: Callable[..., OTSClient]) -> None:
    """A missing value leaves its column out, in puts and in changes; an array is no value and fails its row alone."""
    client = connect()
    rows = [
        ts.Row([("id", np.int64(1))], [("n", np.int32(5)), ("gone", math.nan), ("at", NOON)]),
        ts.UpdateRowItem(ts.Row([("id", 2)], {"PUT": [("n", np.int8(6)), ("gone", np.nan)]}), None),
        ts.Row([("id", 3)], [("n", np.zeros(2))]),
        ts.Row([("id", math.nan)], [("n", 1)]),
        ts.Row([("id", 4)], [("only", math.nan)]),
        ts.Row([("id", np.int64(1))], [("n", np.int32(7))]),
    ]
    report = client.bulk_write("t", rows)
    assert report.codes == {"RequestInvalid": 2}
    assert [row.position for row in report.failed] == [2, 3]
    assert report.failed[1].message == "the value of the key column id is missing"
    assert report.failed[0].item is rows[2]
    found = {row.primary_key[0][1]: [column[:2] for column in row.attribute_columns] for row in client.scan("t")}
    assert found == {1: [("n", 7)], 2: [("n", 6)], 4: []}


nans = st.integers(1, 2**52 - 1).map(lambda payload: struct.unpack("<d", struct.pack("<Q", 0x7FF << 52 | payload))[0])


@given(st.integers(), nans | nans.map(lambda nan: -nan), st.none() | st.integers(0, 2**40))
def test_no_nan_is_overlooked(number: int, nan: float, timestamp: int | None) -> None:
    """Whatever the bits of a NaN, an encoded row shows that it may hold one."""
    columns = [("a", number % 2**63), ("x", nan, timestamp), ("z", "text")]
    assert may_hold_nan(encode_put([("id", 1)], columns))
    assert may_hold_nan(encode_update([("id", 1)], {"PUT": columns}))


def test_ordinary_rows_do_not_look_like_it() -> None:
    """Numbers, also negative ones, and texts cost no second look."""
    assert not may_hold_nan(
        encode_put([("id", -1)], [("a", -1), ("b", -1.5), ("c", 2**63 - 1), ("d", "ÿÿ"), ("e", 0.0)])
    )


def test_neither_library_is_imported(tmp_path: Path) -> None:
    """Writing rows loads no numpy and no pandas."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from ots_config import Emulator, OTSClient\n"
        "from ots_config.sdk import tablestore as ts\n"
        "with Emulator() as emulator, OTSClient(settings=emulator.settings) as client:\n"
        "    client.bulk_write('absent', [ts.Row([('id', 1)], [('a', float('nan')), ('b', object())])])\n"
        "print(sorted({'numpy', 'pandas'} & set(sys.modules)))\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, str(program)], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
