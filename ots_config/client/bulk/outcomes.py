"""What the outcome of a whole batch means: whether its rows are to be tried apart, or no batch can succeed at all."""

from __future__ import annotations

from collections.abc import Sequence

from ots_config.errors import CredentialsError, OTSConfigError, RequestInvalid, ServiceError, UntrustedServer

_WHOLE_BATCH_CODES = frozenset({"OTSParameterInvalid", "OTSRequestBodyTooLarge"})
"""Codes with which the service refuses a whole batch, though one row alone may be wrong."""
_JOB_CODES = frozenset({"OTSObjectNotExist", "OTSNoPermissionAccess", "OTSAuthFailed", "OTSMethodNotAllowed"})
"""Codes that speak of the table or of the caller: no row of the table can be written."""
_ROW_CODES = frozenset({"OTSConditionCheckFail"})
"""Codes that speak of stored data: another row may well be written, however many were refused."""
MAX_REFUSALS = 20
"""After so many requests in a row, each refused for good and with the same code, no batch is expected to succeed."""


def is_refused_whole(error: Exception) -> bool:
    """Return whether the rows of a batch that has failed with this error are to be tried apart."""
    return isinstance(error, ServiceError) and error.code in _WHOLE_BATCH_CODES and not error.may_have_happened


class StopRule:
    """Notices that no batch can succeed.

    Attributes:
        reason: The error that every batch meets; None as long as one may succeed.
    """

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self._any_written = False
        self._code = ""
        self._refusals = 0

    def count_success(self) -> None:
        """Count a batch of which a row was written."""
        self._any_written = True
        self._refusals = 0

    def count_refusal(self, errors: Sequence[Exception], *, is_half: bool) -> None:
        """Count a batch of which no row is written or tried again.

        Args:
            errors: Those of its rows, or of the whole request.
            is_half: Whether it is one of those in which rows are tried apart: where other rows were written, such
                rows stand close together because they are wrong.
        """
        if self.reason is not None:
            return
        first = errors[0]
        code = _code(first)
        if any(_code(error) != code for error in errors):
            self._refusals = 0
            return
        if _concerns_the_job(first):
            self.reason = first
        elif code not in _ROW_CODES and not (is_half and self._any_written):
            self._refusals = self._refusals + 1 if code == self._code else 1
            self._code = code
            if self._refusals >= MAX_REFUSALS:
                self.reason = first


def _code(error: Exception) -> str:
    return error.code if isinstance(error, OTSConfigError) else type(error).__name__


def _concerns_the_job(error: Exception) -> bool:
    """Return whether an error that is final says that no request of the job can succeed."""
    if isinstance(error, ServiceError):
        return error.code in _JOB_CODES
    if isinstance(error, CredentialsError):
        return not error.transient
    return isinstance(error, (RequestInvalid, UntrustedServer))
