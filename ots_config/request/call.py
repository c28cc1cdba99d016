"""One call of an operation: the attempt, and the loop around it once an attempt has failed.

It is written once for threads and for tasks: what a call waits for is handed in, and so is the way to wait.
``CallState`` decides, without waiting or sending anything. Each attempt takes one snapshot of the credentials, signs
with it and verifies the answer with the same one, so a retry has a fresh date and may have fresh keys.
"""

from __future__ import annotations

import time
from logging import DEBUG, Logger
from typing import TYPE_CHECKING

from ots_config.credentials.credentials import Credentials
from ots_config.errors import OTSConfigError, RequestError, without_frames
from ots_config.request.attempt import Authenticator
from ots_config.request.io import CallIO
from ots_config.request.operations import Operation
from ots_config.request.retry_decision import CallState, RetryBudget
from ots_config.request.retry_policy import RetryEvent, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ots_config.request.connection import HTTPResponse


class Caller:
    """Calls operations for one client.

    Args:
        waiting: Fetches credentials, sends and sleeps, blocking a thread or suspending a task.
        authenticator: Signs requests and judges answers.
        policy: Decides about retries.
        budget: Bounds them.
        deadline: Seconds that a whole call may take, retries and all; None sets no limit.
        logger: Gets a DEBUG record for each request and an ERROR record for each failed call.
        present: Gives an error the types that the caller expects.
    """

    def __init__(
        self,
        *,
        waiting: CallIO,
        authenticator: Authenticator,
        policy: RetryPolicy,
        budget: RetryBudget,
        deadline: float | None,
        logger: Logger,
        present: Callable[[OTSConfigError], OTSConfigError],
    ) -> None:
        self._waiting = waiting
        self._authenticator = authenticator
        self._policy = policy
        self._budget = budget
        self._deadline = deadline
        self._logger = logger
        self._present = present

    def begin(self, operation: Operation) -> CallState:
        """Begin a call of several parts; each is sent by ``call``, and they share retries and deadline.

        Args:
            operation: What all of them call.
        """
        self._budget.count_call()
        return self._recovery(operation, time.monotonic())

    async def call(
        self, operation: Operation, body: bytes, repeatable: Callable[[], bool], recovery: CallState | None = None
    ) -> HTTPResponse:
        """Carry out one operation.

        Args:
            operation: What to call.
            body: The encoded request.
            repeatable: Tells whether sending it twice leaves what sending it once does; asked only after a failure.
            recovery: What ``begin`` returned, if this is a part of a call.

        Returns:
            The verified answer, of a status that means success.

        Raises:
            RequestError: If the operation failed, after what retries there were.
            CredentialsError: If no credentials could be had.
        """
        if recovery is None:
            self._budget.count_call()
            started = time.monotonic()
            ends = None if self._deadline is None else started + self._deadline
        else:
            started, ends = recovery.started, recovery.ends
        outcome, used = await self._attempt(operation, body, ends)
        if not isinstance(outcome, OTSConfigError):
            return outcome
        if recovery is None:
            recovery = self._recovery(operation, started)
        recovery.repeatable = repeatable()
        while isinstance(outcome, OTSConfigError):
            error = self._present(outcome)
            try:
                await self.recover(recovery, error, used)
            except OTSConfigError:
                self._logger.error("%s failed: %s", operation.name, error)
                raise
            outcome, used = await self._attempt(operation, body, ends)
        return outcome

    def _recovery(self, operation: Operation, started: float) -> CallState:
        return CallState(operation, policy=self._policy, budget=self._budget, started=started, deadline=self._deadline)

    async def recover(self, recovery: CallState, error: OTSConfigError, used: Credentials | None = None) -> None:
        """Do what is to be done between a failed attempt and the next one, and wait for its time.

        Args:
            recovery: What decides about the call.
            error: What the attempt ended with.
            used: The credentials that it had.

        Raises:
            OTSConfigError: The error itself, if there is no next one.
        """
        if not isinstance(error, RequestError):
            raise error
        step = recovery.after(error)
        self._logger.debug("%s is tried again in %.3f s: %s", error.operation, step.delay, error)
        if step.clock_offset is not None:
            self._authenticator.correct_clock(step.clock_offset)
        if step.refresh and not await self._refresh(used, error, recovery.ends):
            raise error
        if self._policy.on_retry is not None:
            self._policy.on_retry(RetryEvent(error.operation, error.attempts, step.delay, error))
        if step.delay:
            await self._waiting.sleep(step.delay)

    async def credentials(self) -> Credentials:
        """Return the credentials that a call would use now.

        Raises:
            CredentialsError: If none could be had within a call's deadline.
        """
        try:
            return await self._waiting.credentials(self._deadline)
        except OTSConfigError as error:
            failure = self._present(without_frames(error))
        raise failure

    async def _attempt(
        self, operation: Operation, body: bytes, ends: float | None
    ) -> tuple[HTTPResponse | OTSConfigError, Credentials | None]:
        """Sign, send and verify once; return the outcome and the credentials that it had.

        Failures are returned, not raised: the frames below hold keys and signatures, and a traceback would keep them.
        """
        try:
            credentials = await self._waiting.credentials(_left(ends))
        except OTSConfigError as error:
            return without_frames(error), None
        headers, key, now = self._authenticator.sign(operation, body, credentials)
        outcome: HTTPResponse | RequestError
        try:
            answer = await self._waiting.send(operation.path, headers, body, _left(ends))
        except RequestError as error:
            outcome = error
        else:
            outcome = self._authenticator.verify(operation, answer, credentials, key, now)
        if self._logger.isEnabledFor(DEBUG):
            told = outcome if isinstance(outcome, RequestError) else _told(outcome)
            self._logger.debug("%s with key %s: %s", operation.name, credentials.masked_id, told)
        if isinstance(outcome, RequestError):
            outcome.access_key_id = credentials.masked_id
            outcome.source = credentials.source
            without_frames(outcome)
        return outcome, credentials

    async def _refresh(self, rejected: Credentials | None, error: RequestError, ends: float | None) -> bool:
        """Ask for other credentials than those that were refused; tell whether there are any."""
        try:
            current = await self._waiting.refresh(rejected, _left(ends))
        except OTSConfigError as failure:
            error.add_note(f"The credentials could not be refreshed: {failure}")
            return False
        return current != rejected


def _left(ends: float | None) -> float | None:
    """Return the seconds left until a moment; never none at all, as an attempt begun is an attempt made."""
    if ends is None:
        return None
    left = ends - time.monotonic()
    return max(0.001, left)


def _told(answer: HTTPResponse) -> str:
    return f"HTTP {answer.status}, request id {answer.headers['x-ots-requestid']}"
