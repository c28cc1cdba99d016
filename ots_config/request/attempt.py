"""Both ends of one attempt: the request signed, and the answer verified and, if it is no success, made an error."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ots_config.credentials.credentials import Credentials
from ots_config.errors import AuthenticationFailed, RequestError, ResponseInvalid, ServiceError, Throttled
from ots_config.request.operations import Operation
from ots_config.request.retry_policy import FailureKind, classify
from ots_config.request.signing import SignedHeaders, Signer, SigningKey, server_offset, verify_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger

    from ots_config.request.connection import HTTPResponse


class Authenticator:
    """Signs the requests of one client and judges their answers, by a clock that follows the service's.

    Args:
        signer: Signs requests.
        read_error: Reads code and message out of an error's body, None if it is not the service's.
        logger: Is told once when the local clock turns out to be wrong.
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
        """Return the headers of one attempt, the key that its answer must be signed with, and its time."""
        now = time.time() + self._clock_offset
        headers, key = self._signer.sign(operation.path, body, credentials, now)
        return headers, key, now

    def verify(
        self, operation: Operation, answer: HTTPResponse, credentials: Credentials, key: SigningKey, now: float
    ) -> HTTPResponse | RequestError:
        """Return an answer that is the service's own and a success, or what is wrong with it.

        Args:
            operation: What was called.
            answer: The whole answer.
            credentials: What the request was signed with.
            key: What ``sign`` returned.
            now: The same.
        """
        refused = None if 200 <= answer.status < 300 else self._error_of(operation, answer)
        try:
            verify_response(
                operation.path,
                answer.status,
                answer.headers,
                answer.body,
                access_key_id=credentials.access_key_id,
                key=key,
                now=now,
                refused=isinstance(refused, AuthenticationFailed),
            )
        except RequestError as error:
            return error
        return answer if refused is None else refused

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

    def _error_of(self, operation: Operation, answer: HTTPResponse) -> RequestError:
        """Make an error of an answer that is no success."""
        status, headers = answer.status, answer.headers
        request_id = headers.get("x-ots-requestid", "")
        read = self._read_error(answer.body)
        if read is None:
            error: RequestError = ResponseInvalid(
                f"HTTP {status} {answer.reason}: the answer is not the service's own", http_status=status
            )
            error.request_id = request_id
            error.retry_after = _seconds(headers.get("retry-after"))
            return error
        code, message = read
        kind: type[ServiceError] = ServiceError
        if code == "OTSAuthFailed":
            kind = AuthenticationFailed
        else:
            candidate = ServiceError(status, code, message)
            if classify(candidate) in (FailureKind.REFUSED, FailureKind.THROTTLED):
                kind = Throttled
        service_error = kind(status, code, message, request_id, operation=operation.name)
        if isinstance(service_error, AuthenticationFailed) and "x-ots-date" in headers:
            service_error.clock_offset = server_offset(headers["x-ots-date"], time.time())
        service_error.retry_after = _seconds(headers.get("retry-after"))
        return service_error


def _seconds(text: str | None) -> float | None:
    """Read ``Retry-After``, seconds or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
