from collections.abc import Mapping, Sequence
from typing import Any
from tablestore.metadata import *

class Agg:
    field: str
    missing: Any
    name: str
    type: Any

    def __init__(self, field: str, missing_value: Any, name: str, agg_type: Any) -> None: ...

class Max(Agg):
    def __init__(self, field: str, missing_value: Any = None, name: str = "max") -> None: ...

class Min(Agg):
    def __init__(self, field: str, missing_value: Any = None, name: str = "min") -> None: ...

class Avg(Agg):
    def __init__(self, field: str, missing_value: Any = None, name: str = "avg") -> None: ...

class Sum(Agg):
    def __init__(self, field: str, missing_value: Any = None, name: str = "sum") -> None: ...

class Count(Agg):
    def __init__(self, field: str, name: str = "count") -> None: ...

class DistinctCount(Agg):
    def __init__(self, field: str, missing_value: Any = None, name: str = "distinct_count") -> None: ...

class Percentiles(Agg):
    percentiles_list: Sequence[float]

    def __init__(
        self, field: str, percentiles_list: Sequence[float], missing_value: Any = None, name: str = "percentiles"
    ) -> None: ...

class TopRows:
    limit: int
    sort: Sort
    name: str
    type: Any

    def __init__(self, limit: int, sort: Sort, name: str = "top_rows") -> None: ...

class AggResult:
    name: str
    value: Any

    def __init__(self, name: str, value: Any) -> None: ...

class PercentilesResultItem:
    key: float
    value: Any

    def __init__(self, key: float, value: Any) -> None: ...
