from tablestore.aggregation import Agg, TopRows
from collections.abc import Mapping, Sequence
from typing import Any
from tablestore.metadata import *

class BaseGroupBy:
    field_name: str
    sub_aggs: Sequence[Agg | TopRows] | None
    sub_group_bys: Sequence[BaseGroupBy] | None
    name: str
    type: Any

    def __init__(
        self,
        field_name: str,
        sub_aggs: Sequence[Agg | TopRows],
        sub_group_bys: Sequence[BaseGroupBy],
        name: str,
        type: Any,
    ) -> None: ...
    def add_sub_agg(self, agg: Any) -> None: ...
    def add_sub_group_by(self, group_by: Any) -> None: ...

class GroupKeySort:
    sort_order: SortOrder

    def __init__(self, sort_order: SortOrder) -> None: ...

class RowCountSort:
    sort_order: SortOrder

    def __init__(self, sort_order: SortOrder) -> None: ...

class SubAggSort:
    sort_order: SortOrder
    sub_agg_name: str

    def __init__(self, sort_order: SortOrder, sub_agg_name: str) -> None: ...

class GroupByField(BaseGroupBy):
    size: int | None
    group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None
    sub_aggs: Sequence[Agg | TopRows] | None
    sub_group_bys: Sequence[BaseGroupBy] | None

    def __init__(
        self,
        field_name: str,
        size: int | None = None,
        group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None = None,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_field",
    ) -> None: ...

class GroupByRange(BaseGroupBy):
    ranges: Any

    def __init__(
        self,
        field_name: str,
        ranges: Any,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_range",
    ) -> None: ...
    def add_range(self, range: Any) -> None: ...

class GroupByFilter(BaseGroupBy):
    filters: Any

    def __init__(
        self,
        filters: Any,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_filter",
    ) -> None: ...
    def add_filter(self, filter: Query) -> None: ...

class GeoPoint:
    lat: float
    lon: float

    def __init__(self, lat: float, lon: float) -> None: ...

class GroupByGeoDistance(BaseGroupBy):
    origin: Any
    ranges: Any

    def __init__(
        self,
        field_name: str,
        origin: Any,
        ranges: Any,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_geo_distance",
    ) -> None: ...
    def add_range(self, range: Any) -> None: ...

class FieldRange:
    min: Any
    max: Any

    def __init__(self, min: Any, max: Any) -> None: ...

class GroupByHistogram(BaseGroupBy):
    interval: Any
    field_range: Any
    missing_value: Any
    min_doc_count: int | None
    group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None

    def __init__(
        self,
        field_name: str,
        interval: Any,
        field_range: Any,
        missing_value: Any = None,
        min_doc_count: int | None = None,
        group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None = None,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_histogram",
    ) -> None: ...

class GroupByResult:
    name: str
    items: Any
    source_group_by_names: Any
    next_token: Any

    def __init__(self, name: str, items: Any, source_group_by_names: Any = None, next_token: Any = None) -> None: ...
    def addItem(self, group_by_result_item: Any) -> None: ...

class BaseGroupByResultItem:
    sub_aggs: Sequence[Agg | TopRows]
    sub_group_bys: Sequence[BaseGroupBy]

    def __init__(self, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]) -> None: ...

class GroupByFieldResultItem(BaseGroupByResultItem):
    key: str
    row_count: int

    def __init__(
        self, key: str, row_count: int, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]
    ) -> None: ...

class GroupByRangeResultItem(BaseGroupByResultItem):
    range_from: Any
    range_to: Any
    row_count: int

    def __init__(
        self,
        range_from: Any,
        range_to: Any,
        row_count: int,
        sub_aggs: Sequence[Agg | TopRows],
        sub_group_bys: Sequence[BaseGroupBy],
    ) -> None: ...

class GroupByFilterResultItem(BaseGroupByResultItem):
    row_count: int

    def __init__(
        self, row_count: int, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]
    ) -> None: ...

class GroupByGeoDistanceResultItem(BaseGroupByResultItem):
    range_from: Any
    range_to: Any
    row_count: int

    def __init__(
        self,
        range_from: Any,
        range_to: Any,
        row_count: int,
        sub_aggs: Sequence[Agg | TopRows],
        sub_group_bys: Sequence[BaseGroupBy],
    ) -> None: ...

class GroupByHistogramResultItem(BaseGroupByResultItem):
    key: Any
    value: Any

    def __init__(
        self, key: Any, value: Any, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]
    ) -> None: ...

class GroupByComposite(BaseGroupBy):
    sources: Any
    size: int | None
    next_token: Any
    suggested_size: int | None

    def __init__(
        self,
        sources: Any,
        size: int | None = None,
        next_token: Any = None,
        suggested_size: int | None = None,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_composite",
    ) -> None: ...

class GroupByCompositeResultItem(BaseGroupByResultItem):
    keys: Any
    row_count: int

    def __init__(
        self, keys: Any, row_count: int, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]
    ) -> None: ...

class DateTimeValue:
    value: int
    unit: DateTimeUnit

    def __init__(self, value: int, unit: DateTimeUnit) -> None: ...

class GroupByDateHistogram(BaseGroupBy):
    interval: DateTimeValue
    field_range: Any
    missing: Any
    min_doc_count: int | None
    time_zone: str | None
    group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None
    offset: DateTimeValue | None

    def __init__(
        self,
        field_name: str,
        interval: DateTimeValue,
        field_range: Any = None,
        missing: Any = None,
        min_doc_count: int | None = None,
        time_zone: str | None = None,
        group_by_sort: Sequence[GroupKeySort | RowCountSort | SubAggSort] | None = None,
        offset: DateTimeValue | None = None,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_date_histogram",
    ) -> None: ...

class GroupByDateHistogramResultItem(BaseGroupByResultItem):
    timestamp: int
    row_count: int

    def __init__(
        self, timestamp: int, row_count: int, sub_aggs: Sequence[Agg | TopRows], sub_group_bys: Sequence[BaseGroupBy]
    ) -> None: ...

class GroupByGeoGrid(BaseGroupBy):
    precision: GeoHashPrecision
    size: int | None

    def __init__(
        self,
        field_name: str,
        precision: GeoHashPrecision,
        size: int | None = None,
        sub_aggs: Sequence[Agg | TopRows] | None = None,
        sub_group_bys: Sequence[BaseGroupBy] | None = None,
        name: str = "group_by_geo_grid",
    ) -> None: ...

class GeoGrid:
    top_left: GeoPoint
    bottom_right: GeoPoint

    def __init__(self, top_left: GeoPoint, bottom_right: GeoPoint) -> None: ...

class GroupByGeoGridResultItem(BaseGroupByResultItem):
    key: str
    geo_grid: Any
    row_count: int

    def __init__(
        self,
        key: str,
        geo_grid: Any,
        row_count: int,
        sub_aggs: Sequence[Agg | TopRows],
        sub_group_bys: Sequence[BaseGroupBy],
    ) -> None: ...
