"""The service's error codes, their HTTP statuses, the fault that operations raise, and its ways of wording."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.request.operations import OPERATIONS

STATUS: dict[str, int] = {
    "OTSAuthFailed": 403,
    "OTSCapacityUnitExhausted": 403,
    "OTSConditionCheckFail": 403,
    "OTSDataOutOfRange": 400,
    "OTSFlowControl": 429,
    "OTSInternalServerError": 500,
    "OTSInvalidPK": 400,
    "OTSMethodNotAllowed": 405,
    "OTSNoPermissionAccess": 403,
    "OTSNotEnoughCapacityUnit": 403,
    "OTSObjectAlreadyExist": 409,
    "OTSObjectNotExist": 404,
    "OTSOperationThrottled": 503,
    "OTSOutOfColumnCountLimit": 400,
    "OTSOutOfRowSizeLimit": 400,
    "OTSParameterInvalid": 400,
    "OTSPartitionUnavailable": 503,
    "OTSQuotaExhausted": 403,
    "OTSRequestBodyTooLarge": 413,
    "OTSRequestTimeout": 408,
    "OTSRowOperationConflict": 409,
    "OTSServerBusy": 503,
    "OTSServerUnavailable": 503,
    "OTSSessionNotExist": 404,
    "OTSTableNotReady": 404,
    "OTSTimeout": 503,
    "OTSTooFrequentReservedThroughputAdjustment": 403,
}


class ServiceFault(Exception):
    """An error that the service answers with.

    Attributes:
        code: The service's code.
        message: The service's words.
        status: The HTTP status, that of the code unless given.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = STATUS.get(code, 400) if status is None else status


def invalid(message: str) -> ServiceFault:
    """Return the fault of a request whose parameters are not as they must be."""
    return ServiceFault("OTSParameterInvalid", message)


def error_message(code: str, message: str) -> Any:
    """Return the protobuf message of an error, as a batch carries it per row."""
    return pb2.Error(code=code, message=message)


_JSON = frozenset(name for name, operation in OPERATIONS.items() if operation.json)


def error_body(operation: str, code: str, message: str) -> bytes:
    """Return the body of an answer that is an error: JSON to an operation that carries JSON, else protobuf."""
    if operation in _JSON:
        return json.dumps({"code": code, "message": message}).encode()
    body: bytes = error_message(code, message).SerializeToString()
    return body


MessageFashion = Literal["docs", "2026"]
"""Whose words are used where documents and tests on one side and recordings of 2026 on the other disagree."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts on which documents and recordings disagree.

    Attributes:
        row_absent: ``EXPECT_EXIST`` found no row.
        row_present: ``EXPECT_NOT_EXIST`` found one.
        no_cells: An UpdateRow that names no column.
        too_many_tables: CreateTable beyond the quota of an instance.
    """

    row_absent: str
    row_present: str
    no_cells: str
    too_many_tables: str


MESSAGES: Final[dict[MessageFashion, Wording]] = {
    "docs": Wording(
        row_absent="Condition check failed.",
        row_present="Condition check failed.",
        no_cells="Attribute column is missing.",
        too_many_tables="Number of tables exceeded the quota.",
    ),
    "2026": Wording(
        row_absent="Row does not exist which is expected existent",
        row_present="Row exists which is expected nonexistent",
        no_cells="Invalid update row request: missing cells in request.",
        too_many_tables="Number of tables exceeds the quota:64.",
    ),
}
