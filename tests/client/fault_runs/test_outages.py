"""Outages and throttles, by a clock that jumps: retries never multiply the load."""

import asyncio
import logging
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config import ConnectFailed, Credentials, DefaultRetryPolicy, RequestError, Throttled
from ots_config.request import call as call_module
from ots_config.request import deadline, retry_budget, retry_decision
from ots_config.request.attempt import Authenticator
from ots_config.request.call import Caller
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.signing import Signer, content_md5, header_lines, sign_response


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while all tasks sleep, and then at once."""

    def __init__(self) -> None:
        self._now = 1000.0
        loop = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> Any:
                if timeout is not None and timeout > 0:
                    loop._now += timeout
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        """Return the simulated time."""
        return self._now


class Service:
    """What a call waits for, simulated: the service answers at once, with success or with an error.

    Attributes:
        times: When each attempt came.
        failing: Makes the error of an attempt from its time; None is success.
    """

    def __init__(self, failing: Callable[[float], RequestError | None]) -> None:
        self.times: list[float] = []
        self.failing = failing

    async def credentials(self, left: float | None) -> Credentials:
        """Return the same key each time."""
        return Credentials("testid", "testsecret")

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Return it again."""
        return await self.credentials(left)

    async def sleep(self, seconds: float) -> None:
        """Let the simulated time pass."""
        await asyncio.sleep(seconds)

    async def send(self, path: str, headers: Any, body: bytes, left: float | None) -> HTTPResponse:
        """Respond, or fail as ordered."""
        now = asyncio.get_running_loop().time()
        self.times.append(now)
        error = self.failing(now)
        if error is not None:
            raise error
        answer = {
            "x-ots-requestid": "id",
            "x-ots-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "x-ots-contenttype": "protocol buffer",
            "x-ots-contentmd5": content_md5(b""),
        }
        answer["authorization"] = f"OTS testid:{sign_response(b'testsecret', path, header_lines(answer.items()))}"
        return HTTPResponse(200, "OK", answer, b"")


def simulate(
    monkeypatch: pytest.MonkeyPatch,
    service: Service,
    script: Callable[[Callable[[], Coroutine[Any, Any, HTTPResponse]]], Coroutine[Any, Any, None]],
    **budget: Any,
) -> None:
    """Run a script with a call to make as often as it likes, by the simulated clock."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        clock = SimpleNamespace(monotonic=runner.get_loop().time)
        for module in (call_module, deadline, retry_budget, retry_decision):
            monkeypatch.setattr(module, "time", clock)
        logger = logging.getLogger("simulated")
        monkeypatch.setattr(logger, "disabled", True)
        caller = Caller(
            io=service,
            authenticator=Authenticator(signer=Signer("demo"), read_error=lambda _: None, logger=logger),
            policy=DefaultRetryPolicy(),
            budget=RetryBudget(**budget),
            deadline=60.0,
            logger=logger,
            present=lambda error: error,
            keeps_one_version=never_asked,
        )
        operation = OPERATIONS["GetRow"]
        runner.run(script(lambda: caller.call(operation, b"", frozenset)))


async def never_asked(*_: object) -> bool:
    """Fail the test: whether a read may be repeated depends on no table."""
    raise AssertionError


def refused_connection(_: float) -> RequestError:
    """Fail as a host that is down does."""
    return ConnectFailed("no connection")


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "failing"])
def test_an_outage_is_not_multiplied(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    """With 200 calls a second and every attempt refused, the load is at most 1.2 times that of the calls alone.

    At every moment of a minute, retries are at most one in ten calls and ten a second, beyond the first ten.
    """
    per_second, seconds = 200, 60
    service = Service(refused_connection)
    arrivals: list[float] = []

    async def outage(call: Callable[[], Coroutine[Any, Any, HTTPResponse]]) -> None:
        loop = asyncio.get_running_loop()

        async def arrive() -> None:
            arrivals.append(loop.time())
            with pytest.raises(ConnectFailed):
                await call()

        async with asyncio.TaskGroup() as calls:
            for _ in range(per_second * seconds):
                calls.create_task(arrive())
                await asyncio.sleep(1 / per_second)

    simulate(monkeypatch, service, outage, waits=waits)
    began, ended = arrivals[0], arrivals[-1]
    assert len(arrivals) == per_second * seconds
    for moment in (began + second for second in (1, 2, 5, 10, 20, 30, 40, 50, 60)):
        calls = sum(arrival <= moment for arrival in arrivals)
        retries = sum(at <= moment for at in service.times) - calls
        assert retries <= 10 + 0.1 * calls + 10 * (moment - began) + 1
    beyond_the_first = sum(at <= ended for at in service.times) - 10
    assert beyond_the_first / len(arrivals) <= 1.2
    # and there are retries: the budget is not met by giving up
    assert len(service.times) > len(arrivals) * 1.1
    if waits:
        assert max(service.times) > ended + 30  # calls wait for their turn as long as their deadlines allow


def test_a_few_threads_ride_out_a_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight workers that are throttled for twenty seconds all succeed, with no more than the budget's retries."""
    service = Service(lambda now: Throttled(503, "OTSServerBusy", "Server is busy.") if now < 1020 else None)
    done: list[float] = []

    async def throttled(call: Callable[[], Coroutine[Any, Any, HTTPResponse]]) -> None:
        async def work() -> None:
            while asyncio.get_running_loop().time() < 1025:
                await call()
                done.append(asyncio.get_running_loop().time())
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as workers:
            for _ in range(8):
                workers.create_task(work())

    simulate(monkeypatch, service, throttled)
    assert min(done) >= 1020
    assert len(done) > 8 * 10
    during = [at for at in service.times if at < 1020]
    assert 8 + 8 * 5 < len(during) <= 8 + 10 + 10 * 20 + 1
