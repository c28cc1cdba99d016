"""How many retries one client may make."""

from __future__ import annotations

import time
from itertools import count
from threading import Lock


class RetryBudget:
    """Bounds the retries of one client, so that many clients never multiply the load of an outage.

    Args:
        share: How many retries each call allows, 0.1 for one in ten.
        per_second: How many retries a second are allowed besides, so that a few threads get through a throttle.
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

    def reserve(self, within: float) -> float | None:
        """Reserve one retry, now or later.

        Args:
            within: How many seconds the call can wait at most.

        Returns:
            The seconds until the retry may be made; None if that is too long, and then nothing was reserved.
        """
        with self._lock:
            now, calls = time.monotonic(), next(self._calls)
            earned = (now - self._seen_at) * self._per_second + (calls - self._seen_calls) * self._share
            self._seen_at, self._seen_calls = now, calls + 1
            self._tokens = min(self._tokens + earned, max(self._per_second, 1.0))
            missing = 1.0 - self._tokens
            wait = 0.0 if missing <= 0 else missing / self._per_second if self._per_second else float("inf")
            if wait > (within if self._waits else 0.0):
                return None
            self._tokens -= 1.0
            return wait
