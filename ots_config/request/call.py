"""One call of an operation: the attempt, and the loop around it once an attempt has failed.

It is written once for threads and for tasks: the object that does the waiting is an argument. ``CallState`` decides
without waiting or sending. Each attempt takes one snapshot of the credentials, signs with it and verifies the response
with the same one, so a retry has a fresh date and may have fresh keys.
"""

from __future__ import annotations

import time
from logging import DEBUG, Logger
from typing import TYPE_CHECKING

from ots_config.errors import OTSConfigError, RequestError, without_frames
from ots_config.request.deadline import Deadline
from ots_config.request.retry_decision import CallState, add_policy_failure
from ots_config.request.retry_policy import RetryEvent, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

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
        logger: Gets a DEBUG record for each request and an ERROR record for each failed call.
        present: Gives an error the types that the caller expects.
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
    ) -> None:
        self._io = io
        self._authenticator = authenticator
        self._policy = policy
        self._budget = budget
        self._seconds = float("inf") if deadline is None else deadline
        self._logger = logger
        self._present = present

    def begin(self, operation: Operation) -> CallState:
        """Begin a call of several parts; each is sent by ``call``, and they share retries and deadline.

        Args:
            operation: What all of them call.
        """
        self._budget.count_call()
        started = time.monotonic()
        return CallState(operation, self._policy, self._budget, started, Deadline(started + self._seconds))

    async def call(
        self, operation: Operation, body: bytes, repeatable: Callable[[], bool], state: CallState | None = None
    ) -> HTTPResponse:
        """Carry out one operation.

        Args:
            operation: What to call.
            body: The encoded request.
            repeatable: Returns whether sending it twice has the effect of sending it once; asked only after a failure.
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
        state.repeatable = repeatable()
        while isinstance(outcome, OTSConfigError):
            error = self._present(outcome)
            try:
                await self.recover(state, error, used)
            except OTSConfigError:
                self._logger.error("%s failed: %s", operation.name, error)
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
        self._logger.debug("%s is tried again in %.3f s: %s", error.operation, step.delay, error)
        if step.clock_offset is not None:
            self._authenticator.correct_clock(step.clock_offset)
        if step.refresh and not await self._refresh(used, error, state.deadline):
            raise error
        if self._policy.on_retry is not None:
            try:
                self._policy.on_retry(RetryEvent(error.operation, error.attempts, step.delay, error))
            except Exception as failure:  # noqa: BLE001 - a user's code, which may raise anything
                add_policy_failure(error, "on_retry", failure)
            if error.policy_failed:
                raise error
        if step.delay:
            await self._io.sleep(step.delay)

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
            self._logger.debug("%s with key %s: %s", operation.name, credentials.masked_id, text)
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
        return current != rejected


def _shown(response: HTTPResponse) -> str:
    return f"HTTP {response.status}, request id {response.headers['x-ots-requestid']}"
