"""BatchGetRow and BatchWriteRow: which failed rows are sent again, and how the responses are merged.

A response of status 200 may hold rows that failed. Those that were refused before anything was done are sent again,
and so are reads and repeatable writes that may have happened; the others stay in the result. In the end the result
looks as if there had been one call; each failed row also has ``may_have_happened``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial
from typing import Any, TypeAlias

from ots_config.client.codec import Codec, undecodable
from ots_config.errors import OTSConfigError, RequestError, ServiceError
from ots_config.request.call import Caller
from ots_config.request.idempotency import Repeatable, item_repeatable, tables_to_check
from ots_config.request.operations import Operation
from ots_config.request.retry_decision import LONG_WAITS, MAY_HAVE_HAPPENED, asks_retry, classify
from ots_config.request.retry_policy import RetryPolicy
from ots_config.sdk import as_sdk_error
from ots_config.shown_text import printable

BATCH_OPERATIONS = frozenset({"BatchGetRow", "BatchWriteRow"})

Result: TypeAlias = dict[str, list[Any]]
"""The decoder's result: the items of a response, by table."""
RowIndex: TypeAlias = tuple[str, int]
"""A row's table, and its index in that table's part of the request."""


async def call_batch(
    caller: Caller, codec: Codec, policy: RetryPolicy, operation: Operation, body: bytes, request: Any
) -> Result:
    """Send a batch, and its failed rows again as long as that is safe and the policy wants it.

    The body is the encoded form of the request, which is the SDK's object.
    """
    state = caller.begin(operation)

    async def send(request: Any, body: bytes) -> Result:
        repeatable = partial(tables_to_check, operation.name, (request,))
        state.uncertain = False  # of these rows; BatchState knows of the others
        response = await caller.call(operation, body, repeatable, state)
        result: Result = codec.decode(operation.name, response)
        if not has_an_item_per_row(result, request):
            raise undecodable(operation.name, response)
        return result

    result = await send(request, body)
    batch = BatchState(operation.name, request, result, uncertain=state.uncertain)
    while True:
        rows, row_error = await batch.rows_to_retry(
            policy, state.retries, partial(caller.keeps_one_version, deadline=state.deadline)
        )
        if row_error is None:
            return batch.result
        state.repeatable, state.tables = True, frozenset()  # it is known of each of these rows
        try:
            await caller.recover(state, as_sdk_error(row_error))
        except RequestError as error:
            batch.add_notes(rows, error)
            return batch.result  # in which each row has its own error
        part = batch.request_of(rows)
        try:
            result = await send(part, codec.encode(operation.name, (part,), {})[1])
            batch.replace(rows, result, uncertain=state.uncertain)
        except OTSConfigError as error:
            batch.mark_uncertain(rows, error)
            batch.add_notes(rows, error)
            return batch.result


class BatchState:
    """A batch and the latest result of each row.

    Args:
        api_name: ``BatchGetRow`` or ``BatchWriteRow``.
        request: The SDK's request object.
        result: The first response's items, one for each row of the request; changed in place.
        uncertain: Whether an attempt before this response may have been carried out.
    """

    def __init__(self, api_name: str, request: Any, result: Result, *, uncertain: bool = False) -> None:
        self._api_name = api_name
        self._request = request
        self._reads = api_name == "BatchGetRow"
        self.result = result
        self._uncertain: set[RowIndex] = set()
        if uncertain:
            self._uncertain.update((table, index) for table, items in result.items() for index in range(len(items)))

    async def rows_to_retry(
        self, policy: RetryPolicy, retries: int, keeps_one_version: Callable[[str], Awaitable[bool]]
    ) -> tuple[list[RowIndex], ServiceError | None]:
        """Return the failed rows to send again, and of their errors the one that needs the longest wait.

        The policy is asked once for each kind of error, and about a table only if the policy wants to repeat a row
        that is safe in a table with one version.
        """
        rows: list[RowIndex] = []
        longest: ServiceError | None = None
        confirmed: dict[str, bool] = {}
        decisions: dict[tuple[str, str, bool], tuple[bool, ServiceError]] = {}
        for table, items in self.result.items():
            for index, item in enumerate(items):
                error = None if item.is_ok else self._retryable_error(table, index, item)
                if error is None:
                    continue
                kind = (error.code, error.message, error.repeatable)
                if kind not in decisions:
                    decisions[kind] = asks_retry(policy, retries, error, self._api_name), error
                wanted, asked_about = decisions[kind]
                if not wanted:
                    _add_notes(item, asked_about)
                    continue
                if item.may_have_happened and self._needs_one_version(table, index):
                    if table not in confirmed:
                        confirmed[table] = await keeps_one_version(table)
                    if not confirmed[table]:
                        continue
                rows.append((table, index))
                if longest is None or classify(error) in LONG_WAITS:
                    longest = error
        return rows, longest

    def _retryable_error(self, table: str, index: int, item: Any) -> ServiceError | None:
        """Return a failed row's error, None if the row may have happened and is not safe to repeat."""
        item.error_code, item.error_message = printable(item.error_code, 100), printable(item.error_message or "")
        error = ServiceError(200, item.error_code, item.error_message, operation=self._api_name)
        error.reads = self._reads
        error.repeatable = self._reads or self._repeatable(table, index) is not Repeatable.NO
        uncertain = classify(error) in MAY_HAVE_HAPPENED
        if uncertain:
            self._uncertain.add((table, index))
        item.may_have_happened = not self._reads and (table, index) in self._uncertain
        return error if error.repeatable or not uncertain else None

    def _repeatable(self, table: str, index: int) -> Repeatable:
        return item_repeatable(self._request.items[table].row_items[index])

    def _needs_one_version(self, table: str, index: int) -> bool:
        return self._repeatable(table, index) is Repeatable.IN_ONE_VERSION

    def request_of(self, rows: list[RowIndex]) -> Any:
        """Return a request of just these rows, in the order of the first request."""
        wanted = set(rows)
        request = copy(self._request)
        request.items = {}
        for table, whole in self._request.items.items():
            part = copy(whole)
            all_rows = _rows_of(whole)
            chosen = [index for index in range(len(all_rows)) if (table, index) in wanted]
            setattr(part, "primary_keys" if self._reads else "row_items", [all_rows[index] for index in chosen])
            if self._reads and whole.token is not None:
                part.token = [whole.token[index] for index in chosen]
            if chosen:
                request.items[table] = part
        return request

    def replace(self, rows: list[RowIndex], result: Result, *, uncertain: bool = False) -> None:
        """Replace the items of these rows by those of a later response; ``uncertain`` is as for the first one."""
        if uncertain:
            self._uncertain.update(rows)
        latest = {table: iter(items) for table, items in result.items()}
        for table, index in sorted(rows, key=lambda row: row[1]):
            self.result[table][index] = next(latest[table])

    def mark_uncertain(self, rows: list[RowIndex], error: OTSConfigError) -> None:
        """Put the error of a failed later request into its rows, if it may have been carried out."""
        if not isinstance(error, RequestError) or not error.may_have_happened:
            return
        for table, index in rows:
            item = self.result[table][index]
            item.error_code = error.code if isinstance(error, ServiceError) else type(error).__name__
            item.error_message = str(error)
            item.may_have_happened = True

    def add_notes(self, rows: list[RowIndex], error: OTSConfigError) -> None:
        """Add what ended the retries of these rows, a failure of the retry policy, to their messages."""
        for table, index in rows:
            _add_notes(self.result[table][index], error)


def _add_notes(item: Any, error: OTSConfigError) -> None:
    for note in getattr(error, "__notes__", ()):
        item.error_message = f"{item.error_message or ''} ({note})"


def has_an_item_per_row(result: Result, request: Any) -> bool:
    """Return whether a response has an item for each row of the request."""
    expected = {table: len(_rows_of(part)) for table, part in request.items.items()}
    return expected == {table: len(items) for table, items in result.items()}


def _rows_of(part: Any) -> list[Any]:
    """Return the rows of one table's part of a request."""
    rows: list[Any] = part.primary_keys if hasattr(part, "primary_keys") else part.row_items
    return rows
