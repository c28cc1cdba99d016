"""The service's error codes, their HTTP statuses, and the fault that operations raise."""

from __future__ import annotations

STATUS: dict[str, int] = {
    "OTSAuthFailed": 403,
    "OTSCapacityUnitExhausted": 403,
    "OTSConditionCheckFail": 403,
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
