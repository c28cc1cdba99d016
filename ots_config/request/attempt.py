"""Both ends of one attempt: signs the request, verifies the response, and makes an error of one that is no success."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ots_config.credentials.credentials import Credentials
from ots_config.errors import AuthenticationFailed, RequestError, ResponseInvalid, ServiceError, Throttled
from ots_config.http_headers import ots_date_offset, retry_after_seconds
from ots_config.request.operations import Operation
from ots_config.request.retry_decision import FailureKind, classify_code
from ots_config.request.signing import MAX_SKEW, SignedHeaders, Signer, SigningKey, verify_response
from ots_config.shown_text import is_request_id, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

    from ots_config.request.http_parser import HTTPResponse


class Authenticator:
    """Signs the requests of one client and verifies their responses, by a clock that follows the service's.

    Args:
        signer: Signs requests.
        read_error: Reads code and message out of an error's body, None if it is not the service's.
        logger: Gets a warning when the local clock turns out to be wrong.
    """

    def __init__(
        self, *, signer: Signer, read_error: Callable[[bytes], tuple[str, str] | None], logger: Logger
    ) -> None:
        self._signer = signer
        self._read_error = read_error
        self._logger = logger
        self._clock_offset = 0.0

    def sign(
        self, operation: Operation, body: bytes, credentials: Credentials
    ) -> tuple[SignedHeaders, SigningKey, float]:
        """Return the headers of one attempt, the key that its response must be signed with, and its time."""
        now = time.time() + self._clock_offset
        headers, key = self._signer.sign(operation.path, body, credentials, now)
        return headers, key, now

    def verify(
        self, operation: Operation, response: HTTPResponse, credentials: Credentials, key: SigningKey, now: float
    ) -> HTTPResponse | RequestError:
        """Return a response that is the service's own and a success, else the error that it stands for.

        Args:
            operation: What was called.
            response: The whole response.
            credentials: What the request was signed with.
            key: What ``sign`` returned.
            now: The same.
        """
        error = None if 200 <= response.status < 300 else self._error_of(operation, response)
        try:
            verify_response(
                operation.path,
                response.status,
                response.headers,
                response.body,
                access_key_id=credentials.access_key_id,
                key=key,
                now=now,
                refused=isinstance(error, AuthenticationFailed),
            )
        except RequestError as untrusted:
            return untrusted
        return response if error is None else error

    def correct_clock(self, offset: float) -> None:
        """Date requests by the service's clock from now on.

        Args:
            offset: Seconds that it is ahead of the local one.
        """
        if abs(offset - self._clock_offset) > 1:
            self._logger.warning(
                "the local clock differs from the service's by %.0f s; requests are dated by the service's",
                offset,
            )
        self._clock_offset = offset

    def _error_of(self, operation: Operation, response: HTTPResponse) -> RequestError:
        """Return the error for a response that is no success."""
        status, headers, now = response.status, response.headers, time.time()
        request_id = headers.get("x-ots-requestid", "")
        if not is_request_id(request_id):
            request_id = ""
        retry_after = retry_after_seconds(headers["retry-after"], now) if "retry-after" in headers else None
        read = self._read_error(response.body)
        if read is None:
            return ResponseInvalid(
                f"HTTP {status} {printable(response.reason, 100)}: the response is not the service's own",
                http_status=status,
                request_id=request_id,
                retry_after=retry_after,
            )
        code, message = read
        if code == "OTSAuthFailed":
            refusal = AuthenticationFailed(
                status, code, message, request_id, operation=operation.name, retry_after=retry_after
            )
            refusal.clock_offset = offset = ots_date_offset(headers.get("x-ots-date", ""), now)
            if offset is not None and abs(offset - self._clock_offset) > MAX_SKEW.total_seconds():
                refusal.failure_kind = FailureKind.CLOCK  # in whatever words: no key is accepted with such a date
            return refusal
        kind = classify_code(code, message, status)
        made = Throttled if kind in (FailureKind.REFUSED, FailureKind.THROTTLED) else ServiceError
        error = made(status, code, message, request_id, operation=operation.name, retry_after=retry_after)
        error.failure_kind = kind
        return error
