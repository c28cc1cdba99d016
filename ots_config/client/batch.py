"""Which rows of an answered batch are sent again, the request that holds just those, and how the answers join.

A batch that the service answers with 200 may hold rows that failed. Those that were refused before anything was done
are sent again, and so are reads and repeatable writes whose outcome is open; the others stay in the result. In the
end the result looks as if there had been one call; items that failed also tell ``may_have_happened``.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from ots_config.errors import OTSConfigError, RequestError, ServiceError
from ots_config.request.idempotency import is_item_repeatable
from ots_config.request.retry_decision import FailureKind, classify
from ots_config.request.retry_policy import RetryPolicy

BATCHES = frozenset({"BatchGetRow", "BatchWriteRow"})

Place = tuple[str, int]
"""A row's table, and its index in that table's part of the request."""


def fits(request: Any, result: dict[str, list[Any]]) -> bool:
    """Tell whether an answer has an item for each row of the request.

    Args:
        request: The SDK's request object.
        result: What the SDK's decoder made of the answer.
    """
    asked = {table: len(_rows_of(part)) for table, part in request.items.items()}
    return asked == {table: len(items) for table, items in result.items()}


class Batch:
    """A batch and what became of its rows.

    Args:
        api_name: ``BatchGetRow`` or ``BatchWriteRow``.
        request: The SDK's request object.
        result: What the SDK's decoder made of the answer, the rows' items by table, which fits the request; changed
            in place.
    """

    def __init__(self, api_name: str, request: Any, result: dict[str, list[Any]]) -> None:
        self._api_name = api_name
        self._request = request
        self._reads = api_name == "BatchGetRow"
        self.result = result

    def unfinished(self, policy: RetryPolicy, retries: int) -> tuple[list[Place], ServiceError | None]:
        """Return the rows that failed and are to be sent again, and the error that asks for the longest wait.

        Args:
            policy: Asked once for each kind of error.
            retries: How many retries there were.
        """
        places: list[Place] = []
        chosen: ServiceError | None = None
        verdicts: dict[tuple[str, str, bool], bool] = {}
        for table, items in self.result.items():
            for index, item in enumerate(items):
                error = None if item.is_ok else self._error_of(table, index, item)
                if error is None:
                    continue
                kind = (error.code, error.message, error.repeatable)
                if kind not in verdicts:
                    verdicts[kind] = policy.should_retry(retries, error, self._api_name)
                if verdicts[kind]:
                    places.append((table, index))
                    if chosen is None or classify(error) is FailureKind.THROTTLED:
                        chosen = error
        return places, chosen

    def _error_of(self, table: str, index: int, item: Any) -> ServiceError | None:
        error = ServiceError(200, item.error_code, item.error_message or "", operation=self._api_name)
        error.reads = self._reads
        error.repeatable = self._reads or is_item_repeatable(self._request.items[table].row_items[index])
        open_ = classify(error) is FailureKind.UNCERTAIN
        item.may_have_happened = open_ and not self._reads
        return error if error.repeatable or not open_ else None

    def request_of(self, places: list[Place]) -> Any:
        """Return a request of just these rows, in the order of the first one."""
        wanted = set(places)
        request = copy(self._request)
        request.items = {}
        for table, whole in self._request.items.items():
            part = copy(whole)
            rows = _rows_of(whole)
            chosen = [index for index in range(len(rows)) if (table, index) in wanted]
            setattr(part, "primary_keys" if self._reads else "row_items", [rows[index] for index in chosen])
            if self._reads and whole.token is not None:
                part.token = [whole.token[index] for index in chosen]
            if chosen:
                request.items[table] = part
        return request

    def take(self, places: list[Place], again: dict[str, list[Any]]) -> None:
        """Put the new items of these rows in the places of the old ones."""
        news = {table: iter(items) for table, items in again.items()}
        for table, index in sorted(places, key=lambda place: place[1]):
            self.result[table][index] = next(news[table])

    def give_up(self, places: list[Place], error: OTSConfigError) -> None:
        """Tell in the rows that sending them again failed as a whole, if they may have been carried out."""
        if not isinstance(error, RequestError) or not error.may_have_happened:
            return
        for table, index in places:
            item = self.result[table][index]
            item.error_code = error.code if isinstance(error, ServiceError) else type(error).__name__
            item.error_message = str(error)
            item.may_have_happened = True


def _rows_of(part: Any) -> list[Any]:
    """Return the rows of one table's part of a request."""
    rows: list[Any] = part.primary_keys if hasattr(part, "primary_keys") else part.row_items
    return rows
