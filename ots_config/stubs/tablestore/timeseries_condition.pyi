from collections.abc import Mapping, Sequence
from typing import Any
from enum import IntEnum

class MetaQueryCompositeOperator(IntEnum):
    OP_AND = 1
    OP_OR = 2
    OP_NOT = 3

class MetaQuerySingleOperator(IntEnum):
    OP_EQUAL = 1
    OP_NOT_EQUAL = 2
    OP_GREATER_THAN = 3
    OP_GREATER_EQUAL = 4
    OP_LESS_THAN = 5
    OP_LESS_EQUAL = 6
    OP_PREFIX = 7

class MeasurementMetaQueryCondition:
    operator: MetaQuerySingleOperator
    value: Any

    def __init__(self, operator: MetaQuerySingleOperator, value: str) -> None: ...
    def get_type(self) -> Any: ...

class DataSourceMetaQueryCondition:
    operator: MetaQuerySingleOperator
    value: Any

    def __init__(self, operator: MetaQuerySingleOperator, value: str) -> None: ...
    def get_type(self) -> Any: ...

class TagMetaQueryCondition:
    operator: MetaQuerySingleOperator
    tag_name: str
    value: Any

    def __init__(self, operator: MetaQuerySingleOperator, tag_name: str, value: str) -> None: ...
    def get_type(self) -> Any: ...

class UpdateTimeMetaQueryCondition:
    operator: MetaQuerySingleOperator
    time_in_us: int

    def __init__(self, operator: MetaQuerySingleOperator, time_in_us: int) -> None: ...
    def get_type(self) -> Any: ...

class AttributeMetaQueryCondition:
    operator: MetaQuerySingleOperator
    attribute_name: str
    value: Any

    def __init__(self, operator: MetaQuerySingleOperator, attribute_name: str, value: str) -> None: ...
    def get_type(self) -> Any: ...

class CompositeMetaQueryCondition:
    operator: MetaQueryCompositeOperator
    subConditions: Any

    def __init__(self, operator: MetaQueryCompositeOperator, sub_conditions: list[Any]) -> None: ...
    def get_type(self) -> Any: ...
