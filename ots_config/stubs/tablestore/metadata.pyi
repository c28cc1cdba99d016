from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from tablestore.aggregation import Agg, TopRows
from tablestore.group_by import BaseGroupBy

_Value: TypeAlias = str | int | float | bool | bytes | bytearray | None
_PrimaryKey: TypeAlias = Sequence[tuple[str, Any]]
_Attributes: TypeAlias = Sequence[tuple[Any, ...]] | Mapping[str, Sequence[Any]]
from tablestore.error import *
from enum import IntEnum
from tablestore.utils import DefaultJsonObject as DefaultJsonObject

class TableMeta(DefaultJsonObject):
    table_name: str
    schema_of_primary_key: Sequence[tuple[str, str] | tuple[str, str, Any]]
    defined_columns: Sequence[Any] | None

    def __init__(
        self,
        table_name: str,
        schema_of_primary_key: Sequence[tuple[str, str] | tuple[str, str, Any]],
        defined_columns: Sequence[Any] | None = None,
    ) -> None: ...

class TableOptions(DefaultJsonObject):
    time_to_live: int
    max_version: int
    max_time_deviation: int
    allow_update: bool | None

    def __init__(
        self,
        time_to_live: int = -1,
        max_version: int = 1,
        max_time_deviation: int = 86400,
        allow_update: bool | None = None,
    ) -> None: ...

class SSEKeyType:
    SSE_KMS_SERVICE: int
    SSE_BYOK: int

class SSESpecification(DefaultJsonObject):
    enable: bool
    key_type: Any
    key_id: str | None
    role_arn: str | None

    def __init__(
        self, enable: bool = False, key_type: Any = None, key_id: str | None = None, role_arn: str | None = None
    ) -> None: ...
    def check_arguments(self) -> None: ...

class SSEDetails(DefaultJsonObject):
    enable: bool
    key_type: Any
    key_id: str | None
    role_arn: str | None

    def __init__(
        self, enable: bool = False, key_type: Any = None, key_id: str | None = None, role_arn: str | None = None
    ) -> None: ...

class CapacityUnit(DefaultJsonObject):
    read: int
    write: int

    def __init__(self, read: int = 0, write: int = 0) -> None: ...

class ReservedThroughput(DefaultJsonObject):
    capacity_unit: CapacityUnit

    def __init__(self, capacity_unit: CapacityUnit) -> None: ...

class ReservedThroughputDetails(DefaultJsonObject):
    capacity_unit: CapacityUnit
    last_increase_time: int
    last_decrease_time: int

    def __init__(self, capacity_unit: CapacityUnit, last_increase_time: int, last_decrease_time: int) -> None: ...

class FieldType(IntEnum):
    LONG = ...
    DOUBLE = ...
    BOOLEAN = ...
    KEYWORD = ...
    TEXT = ...
    NESTED = ...
    GEOPOINT = ...
    DATE = ...
    VECTOR = ...
    JSON = ...

class AnalyzerType:
    SINGLEWORD: str
    MAXWORD: str
    MINWORD: str
    FUZZY: str
    SPLIT: str

class SingleWordAnalyzerParameter(DefaultJsonObject):
    case_sensitive: bool
    delimit_word: bool

    def __init__(self, case_sensitive: bool = False, delimit_word: bool = False) -> None: ...

class SplitAnalyzerParameter(DefaultJsonObject):
    delimiter: str

    def __init__(self, delimiter: str = " ") -> None: ...

class FuzzyAnalyzerParameter(DefaultJsonObject):
    min_chars: int
    max_chars: int

    def __init__(self, min_chars: int = 1, max_chars: int = 7) -> None: ...

class ScoreMode(IntEnum):
    NONE = ...
    AVG = ...
    MAX = ...
    TOTAL = ...
    MIN = ...

class SortMode(IntEnum):
    MIN = ...
    MAX = ...
    AVG = ...

class SortOrder(IntEnum):
    ASC = ...
    DESC = ...

class GeoDistanceType(IntEnum):
    ARC = ...
    PLANE = ...

class DateTimeUnit(IntEnum):
    YEAR = ...
    QUARTER_YEAR = ...
    MONTH = ...
    WEEK = ...
    DAY = ...
    HOUR = ...
    MINUTE = ...
    SECOND = ...
    MILLISECOND = ...

class GeoHashPrecision(IntEnum):
    GHP_5009KM_4992KM_1 = ...
    GHP_1252KM_624KM_2 = ...
    GHP_156KM_156KM_3 = ...
    GHP_39KM_19KM_4 = ...
    GHP_4900M_4900M_5 = ...
    GHP_1200M_609M_6 = ...
    GHP_152M_152M_7 = ...
    GHP_38M_19M_8 = ...
    GHP_480CM_480CM_9 = ...
    GHP_120CM_595MM_10 = ...
    GHP_149MM_149MM_11 = ...
    GHP_37MM_19MM_12 = ...

class Sorter(DefaultJsonObject):
    def __init__(self) -> None: ...

class FieldSort(Sorter):
    field_name: str
    sort_order: SortOrder | None
    sort_mode: SortMode | None
    nested_filter: NestedFilter | None

    def __init__(
        self,
        field_name: str,
        sort_order: SortOrder | None = None,
        sort_mode: SortMode | None = None,
        nested_filter: NestedFilter | None = None,
    ) -> None: ...

class GeoDistanceSort(Sorter):
    field_name: str
    points: Sequence[str]
    geo_distance_type: GeoDistanceType | None
    sort_order: SortOrder | None
    sort_mode: SortMode | None
    nested_filter: NestedFilter | None

    def __init__(
        self,
        field_name: str,
        points: Sequence[str],
        sort_order: SortOrder | None = None,
        sort_mode: SortMode | None = None,
        geo_distance_type: GeoDistanceType | None = None,
        nested_filter: NestedFilter | None = None,
    ) -> None: ...

class ScoreSort(Sorter):
    sort_order: SortOrder

    def __init__(self, sort_order: SortOrder = ...) -> None: ...

class PrimaryKeySort(Sorter):
    sort_order: SortOrder

    def __init__(self, sort_order: SortOrder = ...) -> None: ...

class DocSort(Sorter):
    sort_order: SortOrder

    def __init__(self, sort_order: SortOrder = ...) -> None: ...

class Sort(DefaultJsonObject):
    sorters: Sequence[Sorter]

    def __init__(self, sorters: Sequence[Sorter]) -> None: ...

class IndexSetting(DefaultJsonObject):
    routing_fields: Sequence[str] | None

    def __init__(self, routing_fields: Sequence[str] | None = None) -> None: ...

class VectorDataType(IntEnum):
    VD_FLOAT_32 = ...

class VectorMetricType(IntEnum):
    VM_EUCLIDEAN = ...
    VM_COSINE = ...
    VM_DOT_PRODUCT = ...

class VectorOptions(DefaultJsonObject):
    data_type: VectorDataType
    metric_type: VectorMetricType
    dimension: int

    def __init__(self, data_type: VectorDataType, metric_type: VectorMetricType, dimension: int) -> None: ...

class JsonType(IntEnum):
    OBJECT_JSON = ...
    NESTED_JSON = ...

class TextSimilarity(IntEnum):
    BM25 = ...
    SHORT_TEXT = ...

class FieldSchema(DefaultJsonObject):
    field_name: str
    field_type: FieldType
    index: bool | None
    store: bool | None
    is_array: bool | None
    enable_sort_and_agg: bool | None
    analyzer: str | None
    analyzer_parameter: Any
    sub_field_schemas: Sequence[FieldSchema] | None
    date_formats: Sequence[str] | None
    is_virtual_field: bool
    source_fields: Sequence[str] | None
    vector_options: VectorOptions | None
    enable_highlighting: bool | None
    json_type: JsonType | None
    text_similarity: TextSimilarity | None

    def __init__(
        self,
        field_name: str,
        field_type: FieldType,
        index: bool | None = None,
        store: bool | None = None,
        is_array: bool | None = None,
        enable_sort_and_agg: bool | None = None,
        analyzer: str | None = None,
        sub_field_schemas: Sequence[FieldSchema] | None = None,
        analyzer_parameter: Any = None,
        date_formats: Sequence[str] | None = None,
        is_virtual_field: bool = False,
        source_fields: Sequence[str] | None = None,
        vector_options: VectorOptions | None = None,
        enable_highlighting: bool | None = None,
        json_type: JsonType | None = None,
        text_similarity: TextSimilarity | None = None,
    ) -> None: ...

class SyncPhase(IntEnum):
    FULL = 0
    INCR = 1

class SyncStat(DefaultJsonObject):
    sync_phase: SyncPhase
    current_sync_timestamp: int

    def __init__(self, sync_phase: SyncPhase, current_sync_timestamp: int) -> None: ...

class SearchIndexMeta(DefaultJsonObject):
    fields: Sequence[FieldSchema]
    index_setting: IndexSetting | None
    index_sort: Sort | None
    time_to_live: int

    def __init__(
        self,
        fields: Sequence[FieldSchema],
        index_setting: IndexSetting | None = None,
        index_sort: Sort | None = None,
        time_to_live: int = -1,
    ) -> None: ...

class DefinedColumnSchema(DefaultJsonObject):
    name: str
    column_type: Any

    def __init__(self, name: str, column_type: Any) -> None: ...

class SecondaryIndexType(IntEnum):
    GLOBAL_INDEX = 0
    LOCAL_INDEX = 1

class SyncType(IntEnum):
    SYNC_TYPE_FULL = 1
    SYNC_TYPE_INCR = 2

class SecondaryIndexMeta(DefaultJsonObject):
    index_name: str
    primary_key_names: Sequence[str]
    defined_column_names: Sequence[str]
    index_type: SecondaryIndexType

    def __init__(
        self,
        index_name: str,
        primary_key_names: Sequence[str],
        defined_column_names: Sequence[str],
        index_type: SecondaryIndexType = ...,
    ) -> None: ...

class ColumnType:
    STRING: str
    INTEGER: str
    BOOLEAN: str
    DOUBLE: str
    BINARY: str
    INF_MIN: str
    INF_MAX: str

class ReturnType:
    RT_NONE: str
    RT_PK: str

class Column(DefaultJsonObject):
    name: str
    value: _Value | None
    timestamp: int | None

    def __init__(self, name: str, value: _Value | None = None, timestamp: int | None | None = None) -> None: ...
    def set_timestamp(self, timestamp: int | None) -> None: ...
    def get_name(self) -> str: ...
    def get_value(self) -> Any: ...
    def get_timestamp(self) -> int | None: ...

class Direction:
    FORWARD: str
    BACKWARD: str

class UpdateType:
    PUT: str
    DELETE: str
    DELETE_ALL: str
    INCREMENT: str

class CommonResponse(DefaultJsonObject):
    request_id: str

    def __init__(self) -> None: ...
    def set_request_id(self, request_id: str) -> None: ...

class UpdateTableResponse(CommonResponse):
    reserved_throughput_details: ReservedThroughputDetails
    table_options: TableOptions

    def __init__(self, reserved_throughput_details: ReservedThroughputDetails, table_options: TableOptions) -> None: ...

class DescribeTableResponse(CommonResponse):
    table_meta: TableMeta
    table_options: TableOptions
    reserved_throughput_details: ReservedThroughputDetails
    sse_details: SSEDetails | None
    secondary_indexes: Sequence[SecondaryIndexMeta] | None

    def __init__(
        self,
        table_meta: TableMeta,
        table_options: TableOptions,
        reserved_throughput_details: ReservedThroughputDetails,
        secondary_indexes: Sequence[SecondaryIndexMeta] | None = None,
        sse_details: SSEDetails | None | None = None,
    ) -> None: ...

class RowDataItem(DefaultJsonObject):
    is_ok: bool
    error_code: str | None
    error_message: str | None
    table_name: str
    consumed: CapacityUnit | None
    row: Row | None

    def __init__(
        self,
        is_ok: bool,
        error_code: str | None,
        error_message: str | None,
        table_name: str,
        consumed: CapacityUnit | None,
        primary_key_columns: Any,
        attribute_columns: _Attributes,
    ) -> None: ...

class LogicalOperator:
    NOT: int
    AND: int
    OR: int
    __values__: list[int]
    __members__: Any

class CastType(IntEnum):
    VT_INTEGER = 0
    VT_DOUBLE = 1
    VT_STRING = 2

class ComparatorType:
    EQUAL: int
    NOT_EQUAL: int
    GREATER_THAN: int
    GREATER_EQUAL: int
    LESS_THAN: int
    LESS_EQUAL: int
    EXIST: int
    NOT_EXIST: int
    __values__: Any
    __single_condition_values__: Any
    __members__: Any
    __single_condition_members__: Any

class ColumnConditionType:
    COMPOSITE_COLUMN_CONDITION: int
    SINGLE_COLUMN_CONDITION: int
    SINGLE_COLUMN_REGEX_CONDITION: int

class ColumnCondition(DefaultJsonObject): ...

class CompositeColumnCondition(ColumnCondition):
    sub_conditions: Any
    combinator: int

    def __init__(self, combinator: int) -> None: ...
    def get_type(self) -> Any: ...
    def get_combinator(self) -> int: ...
    def add_sub_condition(self, condition: ColumnCondition) -> None: ...
    def clear_sub_condition(self) -> None: ...

class SingleColumnCondition(ColumnCondition):
    column_name: str
    column_value: _Value
    comparator: int
    pass_if_missing: bool
    latest_version_only: bool

    def __init__(
        self,
        column_name: str,
        column_value: _Value,
        comparator: int,
        pass_if_missing: bool = True,
        latest_version_only: bool = True,
    ) -> None: ...
    def get_type(self) -> Any: ...
    def set_pass_if_missing(self, pass_if_missing: bool) -> None: ...
    def get_pass_if_missing(self) -> bool: ...
    def set_latest_version_only(self, latest_version_only: bool) -> None: ...
    def get_latest_version_only(self) -> bool: ...
    def set_column_name(self, column_name: str) -> None: ...
    def get_column_name(self) -> str: ...
    def set_column_value(self, column_value: _Value) -> None: ...
    def get_column_value(self) -> _Value: ...
    def set_comparator(self, comparator: int) -> None: ...
    def get_comparator(self) -> int: ...

class RegexRule(DefaultJsonObject):
    regex: str
    cast_type: CastType

    def __init__(self, regex_input: str, cast_type: CastType) -> None: ...
    def set_regex(self, regex_input: str) -> None: ...
    def set_cast_type(self, cast_type: CastType) -> None: ...
    def get_regex(self) -> str: ...
    def get_cast_type(self) -> CastType: ...

class SingleColumnRegexCondition(ColumnCondition):
    column_name: str
    comparator: int
    column_value: _Value | None
    latest_version_only: bool
    regex_rule: RegexRule | None

    def __init__(
        self,
        column_name: str,
        comparator: int,
        column_value: _Value | None = None,
        regex_rule: RegexRule | None = None,
        latest_version_only: bool = True,
    ) -> None: ...
    def get_type(self) -> Any: ...
    @staticmethod
    def check_arguments(column_value: _Value, comparator: int) -> None: ...
    def set_column_name(self, column_name: str) -> None: ...
    def get_column_name(self) -> str: ...
    def set_comparator(self, comparator: int) -> None: ...
    def get_comparator(self) -> int: ...
    def set_column_value(self, column_value: _Value) -> None: ...
    def get_column_value(self) -> _Value: ...
    def set_regex_rule(self, regex_rule: RegexRule) -> None: ...
    def get_regex_rule(self) -> RegexRule | None: ...
    def set_latest_version_only(self, latest_version_only: bool) -> None: ...
    def get_latest_version_only(self) -> bool: ...
    @staticmethod
    def get_pass_if_missing() -> bool: ...

class RowExistenceExpectation:
    IGNORE: str
    EXPECT_EXIST: str
    EXPECT_NOT_EXIST: str
    __values__: Any
    __members__: Any

class Condition(DefaultJsonObject):
    row_existence_expectation: str
    column_condition: ColumnCondition | None

    def __init__(self, row_existence_expectation: str, column_condition: ColumnCondition | None = None) -> None: ...
    def set_row_existence_expectation(self, row_existence_expectation: str) -> None: ...
    def get_row_existence_expectation(self) -> str: ...
    def set_column_condition(self, column_condition: ColumnCondition) -> None: ...
    def get_column_condition(self) -> ColumnCondition | None: ...

class Row(DefaultJsonObject):
    primary_key: list[tuple[str, Any]]
    attribute_columns: Any

    def __init__(self, primary_key: _PrimaryKey, attribute_columns: _Attributes | None = None) -> None: ...

class RowItem(DefaultJsonObject):
    type: Any
    condition: Condition | None
    row: Row
    return_type: str | None

    def __init__(
        self, row_type: str, row: Row, condition: Condition | None, return_type: str | None = None
    ) -> None: ...

class PutRowItem(RowItem):
    def __init__(self, row: Row, condition: Condition | None, return_type: str | None = None) -> None: ...

class UpdateRowItem(RowItem):
    def __init__(self, row: Row, condition: Condition | None, return_type: str | None = None) -> None: ...

class DeleteRowItem(RowItem):
    def __init__(self, row: Row, condition: Condition | None, return_type: str | None = None) -> None: ...

class TableInBatchGetRowItem(DefaultJsonObject):
    table_name: str
    primary_keys: Sequence[_PrimaryKey]
    columns_to_get: Sequence[str] | None
    column_filter: ColumnCondition | None
    max_version: int | None
    time_range: int | tuple[int, int] | None
    start_column: str | None
    end_column: str | None
    token: bytes | None

    def __init__(
        self,
        table_name: str,
        primary_keys: Sequence[_PrimaryKey],
        columns_to_get: Sequence[str] | None = None,
        column_filter: ColumnCondition | None = None,
        max_version: int | None | None = None,
        time_range: int | tuple[int, int] | None = None,
        start_column: str | None = None,
        end_column: str | None = None,
        token: bytes | None = None,
    ) -> None: ...

class BatchGetRowRequest(DefaultJsonObject):
    items: Any

    def __init__(self) -> None: ...
    def add(self, table_item: TableInBatchGetRowItem) -> None: ...

class BatchGetRowResponse(DefaultJsonObject):
    items: Any

    def __init__(self, table_rows: Any) -> None: ...
    def get_failed_rows(self) -> list[RowDataItem]: ...
    def get_succeed_rows(self) -> list[RowDataItem]: ...
    def get_result(self) -> dict[str, list[RowDataItem]]: ...
    def get_result_by_table(self, table_name: str) -> list[RowDataItem]: ...
    def is_all_succeed(self) -> bool: ...

class BatchWriteRowType:
    PUT: str
    UPDATE: str
    DELETE: str

class TableInBatchWriteRowItem(DefaultJsonObject):
    table_name: str
    row_items: Sequence[RowItem]

    def __init__(self, table_name: str, row_items: Sequence[RowItem]) -> None: ...

class BatchWriteRowRequest(DefaultJsonObject):
    items: Any
    transaction_id: str

    def __init__(self) -> None: ...
    def add(self, table_item: TableInBatchWriteRowItem) -> None: ...
    def set_transaction_id(self, transcation_id: str) -> None: ...

class BatchWriteRowResponse(DefaultJsonObject):
    table_of_put: Any
    table_of_update: Any
    table_of_delete: Any

    def __init__(self, request: Any, response: Any) -> None: ...
    def get_put(self) -> dict[str, list[BatchWriteRowResponseItem]]: ...
    def get_put_by_table(self, table_name: str) -> list[BatchWriteRowResponseItem]: ...
    def get_failed_of_put(self) -> list[BatchWriteRowResponseItem]: ...
    def get_succeed_of_put(self) -> list[BatchWriteRowResponseItem]: ...
    def get_update(self) -> dict[str, list[BatchWriteRowResponseItem]]: ...
    def get_update_by_table(self, table_name: str) -> list[BatchWriteRowResponseItem]: ...
    def get_failed_of_update(self) -> list[BatchWriteRowResponseItem]: ...
    def get_succeed_of_update(self) -> list[BatchWriteRowResponseItem]: ...
    def get_delete(self) -> dict[str, list[BatchWriteRowResponseItem]]: ...
    def get_delete_by_table(self, table_name: str) -> list[BatchWriteRowResponseItem]: ...
    def get_failed_of_delete(self) -> list[BatchWriteRowResponseItem]: ...
    def get_succeed_of_delete(self) -> list[BatchWriteRowResponseItem]: ...
    def is_all_succeed(self) -> bool: ...

class BatchWriteRowResponseItem(DefaultJsonObject):
    is_ok: bool
    error_code: str | None
    error_message: str | None
    consumed: CapacityUnit | None
    row: Row | None

    def __init__(
        self,
        is_ok: bool,
        error_code: str | None,
        error_message: str | None,
        consumed: CapacityUnit | None,
        primary_key: _PrimaryKey,
    ) -> None: ...
    index: int

    def set_index(self, index: int) -> None: ...

class INF_MIN: ...
class INF_MAX: ...
class PK_AUTO_INCR: ...

class QueryType(IntEnum):
    MATCH_QUERY = ...
    MATCH_PHRASE_QUERY = ...
    TERM_QUERY = ...
    RANGE_QUERY = ...
    PREFIX_QUERY = ...
    BOOL_QUERY = ...
    CONST_SCORE_QUERY = ...
    FUNCTION_SCORE_QUERY = ...
    NESTED_QUERY = ...
    WILDCARD_QUERY = ...
    MATCH_ALL_QUERY = ...
    GEO_BOUNDING_BOX_QUERY = ...
    GEO_DISTANCE_QUERY = ...
    GEO_POLYGON_QUERY = ...
    TERMS_QUERY = ...
    KNN_VECTOR_QUERY = ...
    DIS_MAX_QUERY = ...

class QueryOperator(IntEnum):
    OR = ...
    AND = ...

class Query(DefaultJsonObject):
    def __init__(self) -> None: ...

class MatchQuery(Query):
    field_name: str
    text: str
    minimum_should_match: int | None
    operator: QueryOperator | None
    weight: float | None

    def __init__(
        self,
        field_name: str,
        text: str,
        minimum_should_match: int | None = None,
        operator: QueryOperator | None = None,
        weight: float | None = None,
    ) -> None: ...

class MatchPhraseQuery(Query):
    field_name: str
    text: str
    weight: float | None
    slop: int | None

    def __init__(self, field_name: str, text: str, weight: float | None = None, slop: int | None = None) -> None: ...

class MatchAllQuery(Query):
    def __init__(self) -> None: ...

class TermQuery(Query):
    field_name: str
    column_value: _Value
    weight: float | None

    def __init__(self, field_name: str, column_value: _Value, weight: float | None = None) -> None: ...

class TermsQuery(Query):
    field_name: str
    column_values: Sequence[_Value]
    weight: float | None

    def __init__(self, field_name: str, column_values: Sequence[_Value], weight: float | None = None) -> None: ...

class RangeQuery(Query):
    field_name: str
    range_from: Any
    range_to: Any
    include_lower: bool
    include_upper: bool

    def __init__(
        self,
        field_name: str,
        range_from: Any = None,
        range_to: Any = None,
        include_lower: bool = True,
        include_upper: bool = False,
    ) -> None: ...

class PrefixQuery(Query):
    field_name: str
    prefix: str
    weight: float | None

    def __init__(self, field_name: str, prefix: str, weight: float | None = None) -> None: ...

class WildcardQuery(Query):
    field_name: str
    value: Any
    weight: float | None

    def __init__(self, field_name: str, value: Any, weight: float | None = None) -> None: ...

class BoolQuery(Query):
    must_queries: Sequence[Query] | None
    must_not_queries: Sequence[Query] | None
    filter_queries: Sequence[Query] | None
    should_queries: Sequence[Query] | None
    minimum_should_match: int | None
    weight: float | None

    def __init__(
        self,
        must_queries: Sequence[Query] | None = None,
        must_not_queries: Sequence[Query] | None = None,
        filter_queries: Sequence[Query] | None = None,
        should_queries: Sequence[Query] | None = None,
        minimum_should_match: int | None = None,
        weight: float | None = None,
    ) -> None: ...

class NestedQuery(Query):
    path: str
    query: Query
    score_mode: ScoreMode
    inner_hits: InnerHits | None
    weight: float | None

    def __init__(
        self,
        path: str,
        query: Query,
        score_mode: ScoreMode = ...,
        inner_hits: InnerHits | None = None,
        weight: float | None = None,
    ) -> None: ...

class InnerHits:
    sort: Sort
    offset: int
    limit: int
    highlight: Highlight

    def __init__(self, sort: Sort, offset: int, limit: int, highlight: Highlight) -> None: ...

class GeoBoundingBoxQuery(Query):
    field_name: str
    top_left: str
    bottom_right: str

    def __init__(self, field_name: str, top_left: str, bottom_right: str) -> None: ...

class GeoDistanceQuery(Query):
    field_name: str
    center_point: str
    distance: float

    def __init__(self, field_name: str, center_point: str, distance: float) -> None: ...

class GeoPolygonQuery(Query):
    field_name: str
    points: Sequence[str]

    def __init__(self, field_name: str, points: Sequence[str]) -> None: ...

class Collapse(DefaultJsonObject):
    field_name: str

    def __init__(self, field_name: str) -> None: ...

class NestedFilter(DefaultJsonObject):
    path: str
    query_filter: Query

    def __init__(self, path: str, query_filter: Query) -> None: ...

class FieldValueFactor(DefaultJsonObject):
    field_name: str

    def __init__(self, field_name: str) -> None: ...

class FunctionScoreQuery(Query):
    query: Query
    field_value_factor: FieldValueFactor

    def __init__(self, query: Query, field_value_factor: FieldValueFactor) -> None: ...

class ExistsQuery(Query):
    field_name: str

    def __init__(self, field_name: str) -> None: ...

class KnnVectorQuery(Query):
    field_name: str
    top_k: int | None
    float32_query_vector: Sequence[float] | None
    filter: Query | None
    weight: float | None
    min_score: float | None
    num_candidates: int | None

    def __init__(
        self,
        field_name: str,
        top_k: int | None = None,
        float32_query_vector: Sequence[float] | None = None,
        filter: Query | None = None,
        weight: float | None = None,
        min_score: float | None = None,
        num_candidates: int | None = None,
    ) -> None: ...

class DisMaxQuery(Query):
    queries: Sequence[Query] | None
    tie_breaker: float | None
    weight: float | None

    def __init__(
        self, queries: Sequence[Query] | None = None, tie_breaker: float | None = None, weight: float | None = None
    ) -> None: ...

class SearchQuery(DefaultJsonObject):
    query: Query
    sort: Sort | None
    get_total_count: bool
    next_token: bytes | None
    offset: int | None
    limit: int | None
    aggs: Sequence[Agg | TopRows] | None
    group_bys: Sequence[BaseGroupBy] | None
    collapse: Collapse
    highlight: Highlight | None

    def __init__(
        self,
        query: Query,
        sort: Sort | None = None,
        get_total_count: bool = False,
        next_token: bytes | None = None,
        offset: int | None = None,
        limit: int | None = None,
        aggs: Sequence[Agg | TopRows] | None = None,
        group_bys: Sequence[BaseGroupBy] | None = None,
        collapse_field: Collapse | None = None,
        highlight: Highlight | None = None,
    ) -> None: ...

class ScanQuery(DefaultJsonObject):
    query: Query
    limit: int
    next_token: bytes
    current_parallel_id: int
    max_parallel: int
    alive_time: int

    def __init__(
        self,
        query: Query,
        limit: int,
        next_token: bytes,
        current_parallel_id: int,
        max_parallel: int,
        alive_time: int = 60,
    ) -> None: ...

class HighlightFragmentOrder(IntEnum):
    TEXT_SEQUENCE = ...
    SCORE = ...

class HighlightEncoder(IntEnum):
    PLAIN_MODE = ...
    HTML_MODE = ...

class HighlightParameter:
    field_name: str
    number_of_fragments: int | None
    fragment_size: int | None
    pre_tag: str | None
    post_tag: str | None
    fragments_order: HighlightFragmentOrder

    def __init__(
        self,
        field_name: str,
        number_of_fragments: int | None = None,
        fragment_size: int | None = None,
        pre_tag: str | None = None,
        post_tag: str | None = None,
        fragments_order: HighlightFragmentOrder = ...,
    ) -> None: ...

class Highlight:
    highlight_parameters: Sequence[HighlightParameter]
    highlight_encoder: HighlightEncoder

    def __init__(
        self, highlight_parameters: Sequence[HighlightParameter], highlight_encoder: HighlightEncoder = ...
    ) -> None: ...

class ColumnReturnType(IntEnum):
    ALL = ...
    SPECIFIED = ...
    NONE = ...
    ALL_FROM_INDEX = ...

class ColumnsToGet(DefaultJsonObject):
    column_names: Sequence[str] | None
    return_type: ColumnReturnType

    def __init__(self, column_names: Sequence[str] | None = None, return_type: ColumnReturnType = ...) -> None: ...

class IterableResponse(CommonResponse):
    index: int
    response: Any

    def __init__(self) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def v1_response(self) -> Any: ...

class SearchResponse(IterableResponse):
    rows: list[Any]
    agg_results: Any
    group_by_results: Any
    next_token: bytes
    is_all_succeed: bool
    total_count: int
    search_hits: Any

    def __init__(
        self,
        rows: list[Any],
        agg_results: Any,
        group_by_results: Any,
        next_token: bytes,
        is_all_succeed: bool,
        total_count: int,
        search_hits: Any,
    ) -> None: ...

class ComputeSplitsResponse(IterableResponse):
    session_id: bytes
    splits_size: int

    def __init__(self, session_id: bytes, splits_size: int) -> None: ...

class ParallelScanResponse(IterableResponse):
    rows: list[Any]
    next_token: bytes

    def __init__(self, rows: list[Any], next_token: bytes) -> None: ...

class SearchHit:
    row: Any
    score: float
    highlight_result: Any
    search_inner_hits: Any
    nested_doc_offset: Any

    def __init__(
        self, row: Any, score: float, highlight_result: Any, search_inner_hits: Any, nested_doc_offset: Any
    ) -> None: ...

class SearchInnerHit:
    path: str
    search_hits: Any

    def __init__(self, path: str, search_hits: Any) -> None: ...

class HighlightResult:
    highlight_fields: Any

    def __init__(self, highlight_fields: Any) -> None: ...

class HighlightField:
    field_name: str
    field_fragments: Any

    def __init__(self, field_name: str, field_fragments: Any) -> None: ...

class TimeseriesKey:
    measurement_name: str | None
    data_source: str | None
    tags: Mapping[str, str] | None

    def __init__(
        self, measurement_name: str | None = None, data_source: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None: ...

class TimeseriesRow:
    timeseries_key: TimeseriesKey
    fields: Mapping[str, Any]
    time_in_us: int

    def __init__(self, timeseries_key: TimeseriesKey, fields: Mapping[str, Any], time_in_us: int) -> None: ...

class TimeseriesTableOptions:
    time_to_live: int

    def __init__(self, time_to_live: int) -> None: ...

class TimeseriesMetaOptions:
    meta_time_to_live: int | None
    allow_update_attributes: bool | None

    def __init__(self, meta_time_to_live: int | None = None, allow_update_attributes: bool | None = None) -> None: ...

class TimeseriesTableMeta:
    timeseries_table_name: str
    timeseries_table_options: Any
    timeseries_meta_options: Any
    status: Any
    timeseries_keys: Any
    field_primary_keys: Any

    def __init__(
        self,
        timeseries_table_name: str,
        timeseries_table_options: TimeseriesTableOptions | None = None,
        timeseries_meta_options: TimeseriesMetaOptions | None = None,
        timeseries_keys: list[str] | None = None,
        field_primary_keys: Any = None,
    ) -> None: ...

class TimeseriesAnalyticalStore:
    analytical_store_name: str
    time_to_live: int | None
    sync_option: Any

    def __init__(
        self, analytical_store_name: str, time_to_live: int | None = None, sync_option: Any = None
    ) -> None: ...

class LastpointIndexMeta:
    index_table_name: str

    def __init__(self, index_table_name: str) -> None: ...

class CreateTimeseriesTableRequest:
    table_meta: TimeseriesTableMeta
    analytical_stores: Any
    lastpoint_index_metas: Any

    def __init__(
        self,
        table_meta: TimeseriesTableMeta,
        analytical_stores: list[TimeseriesAnalyticalStore] | None = None,
        lastpoint_index_metas: list[LastpointIndexMeta] | None = None,
    ) -> None: ...

class DescribeTimeseriesTableResponse:
    table_meta: TimeseriesTableMeta

    def __init__(self, table_meta: TimeseriesTableMeta) -> None: ...

class UpdateTimeseriesMetaRequest:
    timeseries_tablename: str
    metas: list[TimeseriesMeta]

    def __init__(self, timeseries_tablename: str, metas: list[TimeseriesMeta]) -> None: ...

class DeleteTimeseriesMetaRequest:
    timeseries_tablename: str
    timeseries_keys: Any

    def __init__(self, timeseries_tablename: str, keys: list[TimeseriesKey]) -> None: ...

class TimeseriesMeta:
    timeseries_key: TimeseriesKey
    attributes: Mapping[str, str]
    update_time_in_us: int

    def __init__(
        self, timeseriesKey: TimeseriesKey, attributes: Mapping[str, str], updateTimeInUs: int | None = None
    ) -> None: ...

class Error:
    code: str
    message: str

    def __init__(self, code: str, message: str) -> None: ...

class FailedRowResult:
    index: int
    error: Any

    def __init__(self, index: int, error: Error) -> None: ...

class UpdateTimeseriesMetaResponse:
    failedRows: Any

    def __init__(self, failed_rows: Any) -> None: ...

class PutTimeseriesDataResponse:
    failedRows: Any

    def __init__(self, failed_rows: FailedRowResult | None = None) -> None: ...

class DeleteTimeseriesMetaResponse:
    failedRows: Any

    def __init__(self, failed_rows: Any) -> None: ...

class QueryTimeseriesMetaRequest:
    timeseriesTableName: str
    condition: Condition | None
    getTotalHits: bool
    limit: int | None
    nextToken: bytes | None

    def __init__(
        self,
        timeseriesTableName: str,
        condition: Condition | None = None,
        getTotalHits: bool = False,
        limit: int | None = None,
        nextToken: bytes | None = None,
    ) -> None: ...

class QueryTimeseriesMetaResponse:
    timeseriesMetas: Any
    totalHits: Any
    nextToken: bytes | None

    def __init__(
        self, timeseriesMetas: TimeseriesMeta | None = None, totalHits: Any = None, nextToken: bytes | None = None
    ) -> None: ...

class GetTimeseriesDataRequest:
    timeseriesTableName: str
    timeseriesKey: TimeseriesKey | None
    beginTimeInUs: int
    endTimeInUs: int
    limit: int
    nextToken: bytes | None
    backward: bool
    fieldsToGet: Mapping[str, str] | None

    def __init__(
        self,
        timeseriesTableName: str,
        timeseriesKey: TimeseriesKey | None = None,
        beginTimeInUs: int = 0,
        endTimeInUs: int = 0,
        limit: int = 0,
        nextToken: bytes | None = None,
        backward: bool = False,
        fieldsToGet: Mapping[str, str] | None = None,
    ) -> None: ...

class GetTimeseriesDataResponse:
    rows: list[TimeseriesRow] | None
    nextToken: bytes | None

    def __init__(self, rows: TimeseriesRow | None = None, nextToken: bytes | None = None) -> None: ...
