"""Two retry policies of your own: a subclass that decides itself, and one composed of tenacity's strategies."""

from typing import Any

from ots_config import Emulator, OTSClient, RetryPolicy, Throttled
from tenacity import stop_after_attempt, stop_after_delay, wait_exponential_jitter


class PatientWithThrottles(RetryPolicy):
    """Tries five times more when throttled, and never otherwise."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Say whether to try again after an error."""
        print(f"  {api_name}: {exception.code}, {retry_times} retries so far")
        return isinstance(exception, Throttled) and retry_times < 5

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Wait a little longer each time."""
        return 0.01 * (retry_times + 1)


composed = RetryPolicy(
    stop=stop_after_attempt(4) | stop_after_delay(10), wait=wait_exponential_jitter(multiplier=0.01, max=0.1)
)

with Emulator() as emulator:
    for policy in (PatientWithThrottles(), composed):
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=3)
        with OTSClient(settings=emulator.settings, retry_policy=policy) as client:
            print(type(policy).__name__, "listed", client.list_table())
