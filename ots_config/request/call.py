"""One call of an operation: the attempt, and the loop around it once an attempt has failed.

It is written once for threads and for tasks: the object that does the waiting is an argument. ``CallState`` decides
without waiting or sending. Each attempt takes one snapshot of the credentials, signs with it and verifies the response
with the same one, so a retry has a fresh date and may have fresh keys.
"""

from __future__ import annotations

import time
from logging import DEBUG, Logger
from typing import TYPE_CHECKING

from ots_config.error_frames import without_frames
from ots_config.errors import OTSConfigError, RequestError
from ots_config.request.deadline import Deadline
from ots_config.request.logs import FailureLog, fields_of
from ots_config.request.retry_decision import CallState, NextStep, add_policy_failure
from ots_config.request.retry_policy import RetryEvent, RetryPolicy
from ots_config.shown_text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ots_config.credentials.credentials import Credentials
    from ots_config.request.attempt import Authenticator
    from ots_config.request.http_parser import HTTPResponse
    from ots_config.request.io import CallIO
    from ots_config.request.operations import Operation
    from ots_config.request.retry_budget import RetryBudget


class Caller:
    """Calls operations for one client.

    Args:
        io: Gets credentials, sends and sleeps, blocking a thread or suspending a task.
        authenticator: Signs requests and verifies responses.
        policy: Decides about retries.
        budget: Bounds them.
        deadline: Seconds that a whole call may take, with its retries; None sets no limit.
        logger: Gets a DEBUG record for each request and an ERROR record for failed calls; see ``FailureLog``.
        present: Gives an error the types that the caller expects.
        keeps_one_version: Returns whether a table is known to keep one version of each cell, within a deadline; it
            may ask the service with ``attempt_once`` of the caller that it gets.
    """

    def __init__(
        self,
        *,
        io: CallIO,
        authenticator: Authenticator,
        policy: RetryPolicy,
        budget: RetryBudget,
        deadline: float | None,
        logger: Logger,
        present: Callable[[OTSConfigError], OTSConfigError],
        keeps_one_version: Callable[[Caller, str, Deadline], Awaitable[bool]],
    ) -> None:
        self._io = io
        self._authenticator = authenticator
        self._policy = policy
        self._budget = budget
        self._seconds = float("inf") if deadline is None else deadline
        self._logger = logger
        self._failures = FailureLog(logger)
        self._present = present
        self._keeps_one_version = keeps_one_version

    def begin(self, operation: Operation) -> CallState:
        """Begin a call of several parts; each is sent by ``call``, and they share retries and deadline.

        Args:
            operation: What all of them call.
        """
        self._budget.count_call()
        started = time.monotonic()
        return CallState(operation, self._policy, self._budget, started, Deadline(started + self._seconds))

    async def call(
        self,
        operation: Operation,
        body: bytes,
        repeatable: Callable[[], frozenset[str] | None],
        state: CallState | None = None,
    ) -> HTTPResponse:
        """Carry out one operation.

        Args:
            operation: What to call.
            body: The encoded request.
            repeatable: Returns whether sending it twice has the effect of sending it once, as the tables that must
                keep one version for that, or None for never; asked only after a failure.
            state: What ``begin`` returned, if this is a part of a call.

        Returns:
            The verified response, of a status that means success.

        Raises:
            RequestError: If the operation failed, after what retries there were.
            CredentialsError: If there are no credentials.
        """
        if state is None:
            self._budget.count_call()
            started = time.monotonic()
            deadline = Deadline(started + self._seconds)
        else:
            started, deadline = 0.0, state.deadline
        outcome, used = await self._attempt(operation, body, deadline)
        if not isinstance(outcome, OTSConfigError):
            return outcome
        if state is None:
            state = CallState(operation, self._policy, self._budget, started, deadline)
        tables = repeatable()
        state.repeatable, state.tables = tables is not None, tables or frozenset()
        while isinstance(outcome, OTSConfigError):
            error = self._present(outcome)
            try:
                await self.recover(state, error, used)
            except OTSConfigError as failure:
                self._failures.add(operation.name, failure)
                raise
            outcome, used = await self._attempt(operation, body, deadline)
        return outcome

    async def recover(self, state: CallState, error: OTSConfigError, used: Credentials | None = None) -> None:
        """Do what is needed between a failed attempt and the next one, and wait for its time.

        Args:
            state: The call's.
            error: What the attempt ended with.
            used: The credentials that it had.

        Raises:
            OTSConfigError: The error itself, if there is no next one.
        """
        if not isinstance(error, RequestError):
            raise error
        step = state.after(error, used)
        if self._logger.isEnabledFor(DEBUG):
            text = "%s is tried again in %.3f s: %s"
            self._logger.debug(text, error.operation, step.delay, error, extra=fields_of(error))
        if step.clock_offset is not None:
            self._authenticator.correct_clock(step.clock_offset)
        if step.refresh and not await self._refresh(used, error, state.deadline):
            raise error
        delay = step.delay if not step.tables else await self._confirm(step, state, error)
        if self._policy.on_retry is not None:
            self._notify(self._policy.on_retry, RetryEvent(error.operation, error.attempts, delay, error))
        if delay:
            await self._io.sleep(delay)

    async def _confirm(self, step: NextStep, state: CallState, error: RequestError) -> float:
        """Return how long to wait yet if each table keeps one version, else raise the error."""
        began = time.monotonic()
        for table in step.tables:
            if not await self.keeps_one_version(table, state.deadline):
                error.repeatable = False
                raise error
        state.is_confirmed = True
        return max(step.delay - (time.monotonic() - began), 0.0)

    def _notify(self, on_retry: Callable[[RetryEvent], object], event: RetryEvent) -> None:
        """Call a user's function; if it fails, raise the request's error."""
        try:
            on_retry(event)
        except Exception as failure:  # noqa: BLE001 - a user's code, which may raise anything
            add_policy_failure(event.error, "on_retry", failure)
        if event.error.policy_failed:
            raise event.error

    async def keeps_one_version(self, table: str, deadline: Deadline) -> bool:
        """Return whether a table is known to keep one version of each cell; the deadline bounds the question."""
        return await self._keeps_one_version(self, table, deadline)

    async def attempt_once(
        self, operation: Operation, body: bytes, deadline: Deadline
    ) -> HTTPResponse | OTSConfigError:
        """Send a request once, without retries, and return the verified response or the error."""
        return (await self._attempt(operation, body, deadline))[0]

    async def credentials(self) -> Credentials:
        """Return the credentials that a call would use now.

        Raises:
            CredentialsError: If there are none within a call's deadline.
        """
        try:
            return await self._io.credentials(Deadline.after(self._seconds))
        except OTSConfigError as error:
            failure = self._present(without_frames(error))
        raise failure

    async def _attempt(
        self, operation: Operation, body: bytes, deadline: Deadline
    ) -> tuple[HTTPResponse | OTSConfigError, Credentials | None]:
        """Sign, send and verify once; return the outcome and the credentials that it had.

        Failures are returned, not raised: the frames below hold keys and signatures, and a traceback would keep them.
        """
        try:
            credentials = await self._io.credentials(deadline)
        except OTSConfigError as error:
            return without_frames(error), None
        headers, key, now = self._authenticator.sign(operation, body, credentials)
        outcome: HTTPResponse | RequestError
        try:
            response = await self._io.send(operation.path, headers, body, deadline)
        except RequestError as error:
            outcome = error
        else:
            outcome = self._authenticator.verify(operation, response, credentials, key, now)
        if self._logger.isEnabledFor(DEBUG):
            text = outcome if isinstance(outcome, RequestError) else _shown(outcome)
            if isinstance(outcome, RequestError):
                fields = {"ots_code": outcome.code, "ots_request_id": outcome.request_id}
            else:
                fields = {"ots_code": "", "ots_request_id": printable(outcome.headers["x-ots-requestid"], 100)}
            fields["ots_operation"] = operation.name
            self._logger.debug("%s with key %s: %s", operation.name, credentials.masked_id, text, extra=fields)
        if isinstance(outcome, RequestError):
            without_frames(outcome)
        return outcome, credentials

    async def _refresh(self, rejected: Credentials | None, error: RequestError, deadline: Deadline) -> bool:
        """Ask for other credentials than those that were refused, and return whether there are any."""
        if rejected is None:
            return False
        try:
            current = await self._io.refresh(rejected, deadline)
        except OTSConfigError as failure:
            error.add_note(f"The credentials could not be refreshed: {failure}")
            return False
        if current == rejected:
            error.add_note(f"{rejected.source} was asked for credentials again and returned the same key.")
        return current != rejected


def _shown(response: HTTPResponse) -> str:
    return f"HTTP {response.status}, request id {printable(response.headers['x-ots-requestid'], 100)}"
