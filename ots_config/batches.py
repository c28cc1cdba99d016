"""Which rows of an answered batch are sent again, the request that holds just those, and how the answers join.

A batch that the service answers with 200 may hold rows that failed. Those that were refused before anything was done
are sent again, and so are reads and repeatable writes whose outcome is open; the others stay in the result. In the
end the result looks as if there had been one call.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from ots_config.errors import RequestError, ServiceError
from ots_config.request.repeat import is_item_repeatable
from ots_config.request.retry import Failure, RetryPolicy, classify

BATCHES = frozenset({"BatchGetRow", "BatchWriteRow"})

Place = tuple[str, int]
"""A row's table, and its index in that table's part of the request."""


class Batch:
    """A batch and what became of its rows.

    Args:
        api_name: ``BatchGetRow`` or ``BatchWriteRow``.
        request: The SDK's request object.
        result: What the SDK's decoder made of the answer: the rows' items by table; changed in place.
    """

    def __init__(self, api_name: str, request: Any, result: dict[str, list[Any]]) -> None:
        self._api_name = api_name
        self._request = request
        self._reads = api_name == "BatchGetRow"
        self.result = result

    def failures(self) -> dict[Place, ServiceError]:
        """Return the rows that failed and may be sent again, each with its error."""
        return {
            (table, index): error
            for table, items in self.result.items()
            for index, item in enumerate(items)
            if not item.is_ok and (error := self._error_of(table, index, item)) is not None
        }

    def _error_of(self, table: str, index: int, item: Any) -> ServiceError | None:
        error = ServiceError(200, item.error_code, item.error_message or "", operation=self._api_name)
        error.reads = self._reads
        error.repeatable = self._reads or is_item_repeatable(self._request.items[table].row_items[index])
        failure = classify(error)
        if failure is Failure.UNCERTAIN:
            return error if error.repeatable else None
        return error if failure in (Failure.REFUSED, Failure.THROTTLED) else None

    def request_of(self, places: list[Place]) -> Any:
        """Return a request of just these rows, in the order of the first one."""
        wanted = set(places)
        request = copy(self._request)
        request.items = {}
        for table, whole in self._request.items.items():
            part = copy(whole)
            name = "primary_keys" if self._reads else "row_items"
            rows = getattr(whole, name)
            chosen = [index for index in range(len(rows)) if (table, index) in wanted]
            setattr(part, name, [rows[index] for index in chosen])
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

    def give_up(self, places: list[Place], error: RequestError) -> None:
        """Tell in the rows that their second sending failed as a whole, and may have been carried out."""
        if not error.may_have_happened:
            return
        for table, index in places:
            item = self.result[table][index]
            item.error_code = error.code or type(error).__name__
            item.error_message = str(error)


def worst(errors: list[ServiceError]) -> ServiceError:
    """Return the error that asks for the longest wait: a throttle, if there is one."""
    return next((error for error in errors if classify(error) is Failure.THROTTLED), errors[0])


def willing(policy: RetryPolicy, retries: int, failures: dict[Place, ServiceError], api_name: str) -> list[Place]:
    """Return the rows that the policy would send again."""
    verdicts: dict[tuple[str, str, bool], bool] = {}
    places = []
    for place, error in failures.items():
        kind = (error.code, error.message, error.repeatable)
        if kind not in verdicts:
            verdicts[kind] = policy.should_retry(retries, error, api_name)
        if verdicts[kind]:
            places.append(place)
    return places
