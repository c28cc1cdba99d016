"""One call of an operation: the attempt, and the loop around it once an attempt has failed.

The loop is split in two. ``Recovery`` decides, without waiting or sending anything; ``Invoker`` is the thin shell
that waits and sends. Each attempt takes one snapshot of the credentials, signs with it and verifies the answer with
the same one, so a retry has a fresh date and may have fresh keys.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from inspect import signature
from itertools import count
from logging import DEBUG, Logger
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from ots_config.credentials.snapshot import Credentials, CredentialsProvider
from ots_config.errors import (
    AuthenticationFailed,
    CredentialsRefused,
    OTSConfigError,
    RequestError,
    ResponseInvalid,
    ServiceError,
    Throttled,
    without_frames,
)
from ots_config.request.operations import Effect, Operation
from ots_config.request.retry import Failure, RetryPolicy, classify
from ots_config.request.signing import Signer, server_offset, verify_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ots_config.request.connection import Answer


class Sends(Protocol):
    """What an invoker needs of a transport."""

    def send(self, path: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]) -> Answer:
        """Send one request and return its answer."""
        ...


class RetryBudget:
    """Bounds the retries of one client, so that a fleet of them never multiplies an outage.

    Args:
        share: How many retries each call allows, 0.1 for one in ten.
        per_second: How many retries a second are allowed besides, so that a few threads ride out a throttle.
        waits: Whether a retry waits for its turn; if not, it fails at once.
    """

    def __init__(self, share: float = 0.1, per_second: float = 10.0, *, waits: bool = True) -> None:
        self._share = share
        self._per_second = per_second
        self._waits = waits
        self._calls = count()
        self.count_call = self._calls.__next__  # one C call on the success path
        self._lock = Lock()
        self._tokens = per_second
        self._seen_calls = 0
        self._seen_at = time.monotonic()

    def reserve(self, longest: float) -> float | None:
        """Take a token, or one of the future's.

        Args:
            longest: How many seconds the call can wait at most.

        Returns:
            The seconds until the token is there; None if that is too long, and then none was taken.
        """
        with self._lock:
            now, calls = time.monotonic(), next(self._calls)
            earned = (now - self._seen_at) * self._per_second + (calls - self._seen_calls) * self._share
            self._seen_at, self._seen_calls = now, calls + 1
            self._tokens = min(self._tokens + earned, max(self._per_second, 1.0))
            missing = 1.0 - self._tokens
            wait = 0.0 if missing <= 0 else missing / self._per_second if self._per_second else float("inf")
            if wait > (longest if self._waits else 0.0):
                return None
            self._tokens -= 1.0
            return wait


@dataclass(frozen=True, slots=True)
class Step:
    """What to do after a failed attempt: correct the clock, refresh the credentials, wait, send again."""

    delay: float
    refresh: bool = False
    clock_offset: float | None = None


class Recovery:
    """Decides what follows each failed attempt of one call.

    Args:
        operation: What is called.
        repeatable: Whether sending it twice leaves what sending it once does.
        policy: How often and how far apart to retry.
        budget: The client's retry budget.
        started: When the call began, by ``time.monotonic``.
        deadline: Seconds that the whole call may take; None sets no limit.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        repeatable: bool,
        policy: RetryPolicy,
        budget: RetryBudget,
        started: float,
        deadline: float | None,
    ) -> None:
        self._operation = operation
        self._reads = operation.effect is Effect.READ
        self._repeatable = repeatable or self._reads
        self._policy = policy
        self._budget = budget
        self._started = started
        self._ends = float("inf") if deadline is None else started + deadline
        self._retries = 0
        self._request_ids: list[str] = []
        self._healed: set[Failure] = set()
        self._uncertain = False

    @property
    def remaining(self) -> float:
        """Seconds left of the call's deadline."""
        return self._ends - time.monotonic()

    def after(self, error: RequestError) -> Step:
        """Return what to do next.

        Raises:
            RequestError: The error itself, if there is nothing more to do.
        """
        self._complete(error)
        failure = classify(error)
        if failure in (Failure.AUTHENTICATION, Failure.CLOCK) and failure not in self._healed:
            self._healed.add(failure)
            if failure is Failure.AUTHENTICATION:
                return Step(0.0, refresh=True)
            if isinstance(error, AuthenticationFailed) and error.clock_offset is not None:
                return Step(0.0, clock_offset=error.clock_offset)
        stale = error.at_once and (failure is Failure.NEVER_SENT or self._reads)
        if stale and failure not in self._healed and self._policy.retries_stale:
            self._healed.add(failure)
            return Step(0.0)
        if failure is Failure.UNCERTAIN and not self._repeatable:
            # Whatever the policy says: a write that may have happened is not sent twice unless that is safe.
            raise error
        if not self._policy.should_retry(self._retries, error, self._operation.name):
            raise error
        delay = max(self._policy.get_retry_delay(self._retries, error, self._operation.name), 0.0)
        if isinstance(error, ServiceError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        left = self.remaining
        token_in = self._budget.reserve(left) if delay < left else None
        if token_in is None or max(delay, token_in) >= left:
            raise error
        self._retries += 1
        return Step(max(delay, token_in))

    def _complete(self, error: RequestError) -> None:
        """Tell in the error what is known of the whole call."""
        if error.request_id:
            self._request_ids.append(error.request_id)
        self._uncertain = self._uncertain or classify(error) is Failure.UNCERTAIN
        error.operation = self._operation.name
        error.reads = self._reads
        error.repeatable = self._repeatable
        # A conditional write whose retry fails its condition may fail on what its own first sending did.
        error.may_have_happened = not self._reads and self._uncertain
        error.attempts = self._retries + len(self._healed) + 1
        error.elapsed = time.monotonic() - self._started
        error.request_ids = tuple(self._request_ids)


class Invoker:
    """Calls operations for one client.

    Args:
        transport: Sends requests.
        signer: Signs them.
        provider: Hands out credentials.
        policy: Decides about retries.
        budget: Bounds them.
        timeout: Seconds to connect, and seconds for an answer.
        deadline: Seconds that a whole call may take, retries and all; None sets no limit.
        logger: Gets a DEBUG record for each request and an ERROR record for each failed call.
        read_error: Reads code and message out of an error's body, None if it is not the service's.
        present: Gives an error the types that the caller expects.
        sleep: How to wait.
    """

    def __init__(
        self,
        *,
        transport: Sends,
        signer: Signer,
        provider: CredentialsProvider,
        policy: RetryPolicy,
        budget: RetryBudget,
        timeout: tuple[float, float],
        deadline: float | None,
        logger: Logger,
        read_error: Callable[[bytes], tuple[str, str] | None],
        present: Callable[[OTSConfigError], OTSConfigError],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._signer = signer
        self._provider = provider
        self._policy = policy
        self._budget = budget
        self._timeout = timeout
        self._first_timeout = _cut(timeout, deadline)
        self._deadline = deadline
        self._logger = logger
        self._read_error = read_error
        self._present = present
        self._sleep = sleep
        self._clock_offset = 0.0
        self._get_credentials: Callable[..., Any] = provider.get_credentials
        self._takes_timeout = "timeout" in signature(provider.get_credentials).parameters
        self._official_snapshot: tuple[Any, Credentials | None] = (None, None)

    def call(self, operation: Operation, body: bytes, repeatable: Callable[[], bool]) -> Answer:
        """Carry out one operation.

        Args:
            operation: What to call.
            body: The encoded request.
            repeatable: Tells whether sending it twice leaves what sending it once does; asked only after a failure.

        Returns:
            The verified answer, of a status that means success.

        Raises:
            RequestError: If the operation failed, after what retries there were.
            CredentialsError: If no credentials could be had.
        """
        started = time.monotonic()
        self._budget.count_call()
        outcome, used = self._attempt(operation, body, self._first_timeout, self._deadline)
        if not isinstance(outcome, OTSConfigError):
            return outcome
        return self._recover(operation, body, repeatable, started, outcome, used)

    def _recover(
        self,
        operation: Operation,
        body: bytes,
        repeatable: Callable[[], bool],
        started: float,
        failed: OTSConfigError,
        used: Credentials | None,
    ) -> Answer:
        recovery = Recovery(
            operation,
            repeatable=repeatable(),
            policy=self._policy,
            budget=self._budget,
            started=started,
            deadline=self._deadline,
        )
        outcome: Answer | OTSConfigError = failed
        while isinstance(outcome, OTSConfigError):
            error = self._present(outcome)
            try:
                if not isinstance(error, RequestError):
                    raise error
                step = recovery.after(error)
            except OTSConfigError:
                self._logger.error("%s failed: %s", operation.name, error)
                raise
            self._logger.debug("%s is tried again in %.3f s: %s", operation.name, step.delay, error)
            if step.clock_offset is not None:
                self._correct_clock(step.clock_offset)
            if step.refresh and not self._refresh(used, error):
                self._logger.error("%s failed: %s", operation.name, error)
                raise error
            if step.delay:
                self._sleep(step.delay)
            left = recovery.remaining
            outcome, used = self._attempt(operation, body, _cut(self._timeout, left), left)
        return outcome

    # --- one attempt ---

    def _attempt(
        self, operation: Operation, body: bytes, timeout: tuple[float, float], left: float | None
    ) -> tuple[Answer | OTSConfigError, Credentials | None]:
        """Sign, send and verify once; return the outcome and the credentials that it had.

        Failures are returned, not raised: the frames below hold keys and signatures, and a traceback would keep them.
        """
        try:
            credentials = self._credentials(left)
        except OTSConfigError as error:
            return without_frames(error), None
        try:
            now = time.time() + self._clock_offset
            headers, key = self._signer.sign(operation.path, body, credentials, now)
            answer = self._transport.send(operation.path, headers, body, timeout)
            refused = None if 200 <= answer.status < 300 else self._error_of(operation, answer)
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
            refused = error
        if self._logger.isEnabledFor(DEBUG):
            told = (
                f"HTTP {answer.status}, request id {answer.headers.get('x-ots-requestid', '')}"
                if refused is None
                else refused
            )
            self._logger.debug("%s with key %s: %s", operation.name, credentials.masked_id, told)
        if refused is None:
            return answer, credentials
        refused.access_key_id = credentials.masked_id
        refused.source = credentials.source
        return without_frames(refused), credentials

    def _credentials(self, left: float | None) -> Credentials:
        """Return the provider's snapshot as one of ours, within what is left of the call's deadline."""
        try:
            snapshot = self._get_credentials(left) if self._takes_timeout else self._get_credentials()
        except OTSConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a foreign provider raises; its text may hold secrets
            kind = type(error).__name__
        else:
            if type(snapshot) is Credentials:
                return snapshot
            return self._from_foreign(snapshot)
        raise CredentialsRefused(f"{type(self._provider).__name__} failed with {kind}")

    def _from_foreign(self, foreign: Any) -> Credentials:
        known, ours = self._official_snapshot
        if known is foreign and ours is not None:
            return ours
        name = type(self._provider).__name__
        try:
            ours = Credentials(
                foreign.get_access_key_id(),
                foreign.get_access_key_secret(),
                foreign.get_security_token(),
                source=name,
            )
        except (AttributeError, TypeError, ValueError) as error:
            failure = CredentialsRefused(f"{name} returned no usable credentials: {type(error).__name__}")
        else:
            self._official_snapshot = (foreign, ours)
            return ours
        raise failure

    def _error_of(self, operation: Operation, answer: Answer) -> RequestError:
        """Make an error of an answer that is no success."""
        status, headers = answer.status, answer.headers
        request_id = headers.get("x-ots-requestid", "")
        read = self._read_error(answer.body)
        if read is None:
            error: RequestError = ResponseInvalid(
                f"HTTP {status} {answer.reason}: the answer is not the service's own", http_status=status
            )
            error.request_id = request_id
            return error
        code, message = read
        kind: type[ServiceError] = ServiceError
        if code == "OTSAuthFailed":
            kind = AuthenticationFailed
        else:
            candidate = ServiceError(status, code, message)
            if classify(candidate) in (Failure.REFUSED, Failure.THROTTLED):
                kind = Throttled
        service_error = kind(status, code, message, request_id, operation=operation.name)
        if isinstance(service_error, AuthenticationFailed) and "x-ots-date" in headers:
            service_error.clock_offset = server_offset(headers["x-ots-date"], time.time())
        service_error.retry_after = _seconds(headers.get("retry-after"))
        return service_error

    # --- healing ---

    def _correct_clock(self, offset: float) -> None:
        if abs(offset - self._clock_offset) > 1:
            self._logger.warning(
                "the local clock differs from the service's by %.0f s; requests are dated by the service's",
                offset,
            )
        self._clock_offset = offset

    def _refresh(self, rejected: Credentials | None, error: RequestError) -> bool:
        """Ask for other credentials than those that were refused; tell whether there are any."""
        refresh = getattr(self._provider, "force_refresh", None)
        try:
            current = refresh(rejected) if refresh is not None else self._credentials(None)
        except OTSConfigError as failure:
            error.add_note(f"The credentials could not be refreshed: {failure}")
            return False
        return bool(current != rejected)


def _cut(timeout: tuple[float, float], left: float | None) -> tuple[float, float]:
    """Cut an attempt's timeouts to what is left of the call."""
    if left is None:
        return timeout
    left = max(left, 0.001)
    return min(timeout[0], left), min(timeout[1], left)


def _seconds(text: str | None) -> float | None:
    """Read ``Retry-After`` in seconds; its other form, a date, is not used by the service."""
    return float(text) if text is not None and text.isascii() and text.isdecimal() else None
