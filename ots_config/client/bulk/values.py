"""Values of numpy and pandas in the rows of a bulk write: one rule, and neither library is imported for it.

- A numpy scalar is written as the Python value that it holds.
- A ``datetime``, and so a ``pandas.Timestamp`` or ``numpy.datetime64``, is written as INTEGER: microseconds since
  1970 in UTC, the unit of the service's time series. One without a time zone is taken as UTC.
- A missing value (NaN, ``pandas.NaT``, ``pandas.NA``) leaves its column out of the row; in a key it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from ots_config.sdk import tablestore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FOREIGN = ("numpy", "pandas")
_MISSING = ("NaTType", "NAType")

_NAN = rb"\x05\x09\x00\x00\x00\x01.{6}[\xf0-\xff][\x7f\xff]"  # a value's tag and length, DOUBLE, the exponent
may_hold_nan: Callable[[bytes], object] = re.compile(_NAN, re.DOTALL).search
"""Returns whether an encoded row may have a NaN in it; asking each value would cost five times as much."""


def plain_value(value: Any) -> Any:
    """Return a value as one of Python's own types; None if it is missing."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in _FOREIGN:
        if kind.__name__ in _MISSING:
            return None
        if kind.__name__ == "datetime64":
            value = value.astype("datetime64[us]").item()  # None if it is not a time
        elif hasattr(value, "item"):
            value = value.item()
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - only a NaN is not itself


def plain_item(source: Any) -> Any:
    """Return a row or an item of a batch with plain values, without the columns whose values are missing.

    Raises:
        ValueError: If a value of the key is missing.
    """
    if not isinstance(source, tablestore.Row):
        item = copy(source)
        item.row = plain_item(source.row)
        return item
    key = [(column[0], plain_value(column[1]), *column[2:]) for column in source.primary_key]
    for name, value, *_ in key:
        if value is None:
            raise ValueError(f"the value of the key column {name} is missing")
    columns = source.attribute_columns
    if isinstance(columns, dict):
        columns = {kind: _plain_columns(changes) for kind, changes in columns.items()}
    elif columns is not None:
        columns = _plain_columns(columns)
    return tablestore.Row(key, columns)


def _plain_columns(columns: Any) -> list[Any]:
    plain = []
    for column in columns:
        if isinstance(column, str) or len(column) < 2 or column[1] is None:  # it has no value
            plain.append(column)
            continue
        value = plain_value(column[1])
        if value is not None:
            plain.append((column[0], value, *column[2:]))
    return plain
