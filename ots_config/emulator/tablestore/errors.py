"""The service's errors: each code with its HTTP status and usual message, and the messages of which two exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

ERRORS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "OTSAuthFailed": (403, "Signature mismatch."),
        "OTSCapacityUnitExhausted": (403, "Capacity unit is not enough."),
        "OTSConditionCheckFail": (403, "Condition check failed."),
        "OTSDataOutOfRange": (400, ""),
        "OTSFlowControl": (429, "The requests have been throttled."),
        "OTSInternalServerError": (500, "Internal server error."),
        "OTSInvalidPK": (400, ""),
        "OTSMethodNotAllowed": (405, "Only POST method for requests is supported."),
        "OTSNoPermissionAccess": (
            403,
            "You have no permission to access the requested resource, please contact the resource owner",
        ),
        "OTSNotEnoughCapacityUnit": (403, "Remaining capacity unit is not enough."),
        "OTSObjectAlreadyExist": (409, "Requested table already exists."),
        "OTSObjectNotExist": (404, "Requested table does not exist."),
        "OTSOperationThrottled": (503, ""),
        "OTSOutOfColumnCountLimit": (400, ""),
        "OTSOutOfRowSizeLimit": (400, ""),
        "OTSParameterInvalid": (400, ""),
        "OTSPartitionUnavailable": (503, "The partition is not available."),
        "OTSQuotaExhausted": (403, "Too frequent table operations."),
        "OTSRequestBodyTooLarge": (413, "The size of POST data is too large."),
        "OTSRequestTimeout": (408, "Request timeout."),
        "OTSRowOperationConflict": (409, "Data is being modified by the other request."),
        "OTSServerBusy": (503, "Server is busy."),
        "OTSServerUnavailable": (503, "Server is not available."),
        "OTSSessionNotExist": (404, "Session not exist or may be timeout."),
        "OTSTableNotReady": (404, "The table is not ready."),
        "OTSTimeout": (503, "Operation timeout."),
        "OTSTooFrequentReservedThroughputAdjustment": (403, "Capacity unit adjustment is too frequent."),
        "OTSTrimmedDataAccess": (400, "Requested stream data is already trimmed or does not exist."),
    }
)


class TablestoreError(Exception):
    """An error that Tablestore answers with.

    Args:
        code: The service's code.
        message: The message, the usual one of the code if None.
        status: The HTTP status, that of the code if None.
    """

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        usual_status, usual_message = ERRORS.get(code, (400, ""))
        self.code = code
        self.message = usual_message or code if message is None else message
        self.status = usual_status if status is None else status
        super().__init__(code, self.message)


def invalid(message: str) -> TablestoreError:
    """Return the error for an invalid parameter."""
    return TablestoreError("OTSParameterInvalid", message)


MessageStyle = Literal["docs", "2026"]
"""Which messages to use where the service's documents and recordings of 2026 disagree."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The messages on which documents and recordings disagree.

    Attributes:
        row_absent: ``EXPECT_EXIST`` found no row.
        row_present: ``EXPECT_NOT_EXIST`` found one.
        too_many_tables: CreateTable beyond the quota of an instance.
    """

    row_absent: str
    row_present: str
    too_many_tables: str


WORDINGS: Final[Mapping[MessageStyle, Wording]] = MappingProxyType(
    {
        "docs": Wording(
            row_absent="Condition check failed.",
            row_present="Condition check failed.",
            too_many_tables="Number of tables exceeded the quota.",
        ),
        "2026": Wording(
            row_absent="Row does not exist which is expected existent",
            row_present="Row exists which is expected nonexistent",
            too_many_tables="Number of tables exceeds the quota:64.",
        ),
    }
)
