"""What the tests of the official client's faults share.

Ours does not have the fault, and where it shows, the official client does. What is asserted of the official client
holds for the version that ``SEEN`` names; with another one it is left out, and what is asserted of ours stays.
"""

from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from ots_config import Emulator, NoDelayRetryPolicy, WriteRetryPolicy
from ots_config.sdk import tablestore as ts

SEEN = version("tablestore") == "6.4.8"
"""Whether the official client is the one in which these faults were seen."""

NATIVE = getattr(ts.encoder, "NATIVE_ENCODER_AVAILABLE", False)
"""Whether its encoder in C++ runs here; that of 6.4.8 is built for CPython 3.12."""

KEY = [("gid", 1), ("uid", "a")]
ROW = ts.Row(KEY, [("n", 1)])
FAST = NoDelayRetryPolicy()
Make = Callable[..., Any]


class FastWrites(WriteRetryPolicy):
    """Our policy for writes, without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


class OfficialFastWrites(ts.WriteRetryPolicy):  # type: ignore[misc] # the SDK has no types
    """The official policy for writes, without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


def requests_of(emulator: Emulator, call: Callable[[], Any]) -> int:
    """Return how many requests reach the server during a call that may fail."""
    emulator.clear_log()
    with suppress(Exception):
        call()
    return len(emulator.log())
