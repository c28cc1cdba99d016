"""Many calls while things fail: what is acknowledged is stored exactly once, and retries never multiply an outage."""

import asyncio
import logging
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config import (
    AsyncOTSClient,
    ConnectFailed,
    Credentials,
    DefaultRetryPolicy,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    OTSConfigError,
    RequestError,
    RetryPolicy,
    Throttled,
    WriteRetryPolicy,
)
from ots_config.emulator.http import Limits
from ots_config.request import call as calls_module
from ots_config.request import deadline, retry_budget, retry_decision
from ots_config.request.attempt import Authenticator
from ots_config.request.call import Caller
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_policy import RetryEvent
from ots_config.request.signing import Signer, content_md5, header_lines, sign_response
from ots_config.sdk import tablestore as ts

KEYS = ("testid", "testsecret", "demo")
WORKERS = 8
UNBOUNDED = {"budget_rate": 1e6}
"""A budget that never ends: these runs are about what is stored, others about the budget."""


class NoDelayWrites(WriteRetryPolicy):
    """The policy for writes without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


POLICIES: dict[str, type[DefaultRetryPolicy]] = {"default": NoDelayRetryPolicy, "write": NoDelayWrites}
KINDS: dict[str, dict[str, Any]] = {
    "OTSServerBusy": {"kind": "error", "code": "OTSServerBusy"},
    "OTSInternalServerError": {"kind": "error", "code": "OTSInternalServerError"},
    "502": {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "truncate": {"kind": "truncate"},
    "corrupt_md5": {"kind": "corrupt_md5"},
    "corrupt_signature": {"kind": "corrupt_signature"},
}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as emulator:
        yield emulator


def make_table(emulator: Emulator) -> None:
    """Make the empty table ``t``, with the key ``k``."""
    with OTSClient(emulator.endpoint, *KEYS) as client:
        meta = ts.TableMeta("t", [("k", "INTEGER")])
        client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    emulator.clear_log()


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """Return the emulator with an empty table ``t`` and nothing else."""
    running.reset()
    make_table(running)
    yield running
    running.clear_faults()


# --- the calls: each works with both kinds of client, and has a row of its own -------------------------------------

Call = Callable[[Any, int], Any]


def increment(client: Any, number: int) -> Any:
    """Add one to a row; twice would show."""
    return client.update_row("t", ts.Row([("k", number)], {"INCREMENT": [("n", 1)]}), None)


def insert(client: Any, number: int) -> Any:
    """Put a row where there must be none."""
    return client.put_row("t", ts.Row([("k", number)], [("n", 1)]), ts.Condition("EXPECT_NOT_EXIST"))


def put(client: Any, number: int) -> Any:
    """Put a row whatever is there."""
    return client.put_row("t", ts.Row([("k", number)], [("n", 1)]))


def read(client: Any, number: int) -> Any:
    """Read a row."""
    return client.get_row("t", [("k", number)], max_version=1)


UNSAFE = (increment, insert)
SHARE = 12
CALLS: list[tuple[Call, int]] = [
    (call, at * SHARE + place) for place in range(SHARE) for at, call in enumerate((increment, insert, put, read))
]

Outcome = RequestError | None
Shell = Callable[..., list[Outcome]]


def by_threads(endpoint: str, calls: list[tuple[Call, int]], workers: int = WORKERS, **options: Any) -> list[Outcome]:
    """Carry calls out from some threads that share a client; return the error of each, or None."""
    with OTSClient(endpoint, *KEYS, **options) as client, ThreadPoolExecutor(workers) as threads:

        def carry_out(call: Call, number: int) -> Outcome:
            try:
                call(client, number)
            except RequestError as error:
                return error
            return None

        return [done.result() for done in [threads.submit(carry_out, *call) for call in calls]]


def by_tasks(endpoint: str, calls: list[tuple[Call, int]], workers: int = WORKERS, **options: Any) -> list[Outcome]:
    """Carry calls out from some tasks that share a client; return the error of each, or None."""

    async def run() -> list[Outcome]:
        turns = asyncio.Semaphore(workers)
        async with AsyncOTSClient(endpoint, *KEYS, **options) as client:

            async def carry_out(call: Call, number: int) -> Outcome:
                async with turns:
                    try:
                        await call(client, number)
                    except RequestError as error:
                        return error
                    return None

            return await asyncio.gather(*(carry_out(*call) for call in calls))

    return asyncio.run(run())


SHELLS: dict[str, Shell] = {"threads": by_threads, "tasks": by_tasks}


def stored(emulator: Emulator) -> dict[int, int]:
    """Return what is in the table: ``n`` by ``k``."""
    with OTSClient(emulator.endpoint, *KEYS) as client:
        low, high = ([("k", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
        rows = client.get_range("t", "FORWARD", low, high, max_version=1)[2]
    return {row.primary_key[0][1]: row.attribute_columns[0][1] for row in rows}


def check_each_call(calls: list[tuple[Call, int]], outcomes: list[Outcome], rows: dict[int, int]) -> None:
    """Check that each write is stored as it was told: once if acknowledged, at most once and owned up to if not."""
    for (call, number), outcome in zip(calls, outcomes, strict=True):
        found = rows.get(number)
        if call is read:
            assert outcome is None or not outcome.may_have_happened
        elif outcome is None:
            assert found == 1, f"{call.__name__} {number} was acknowledged, and there is {found}"
        elif found is not None:
            assert found == 1, f"{call.__name__} {number} was applied {found} times"
            assert outcome.may_have_happened, f"{call.__name__} {number} was applied: {outcome}"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_acknowledged_is_stored_once(
    emulator: Emulator, kind: str, rate: float, policy: str, shell: str
) -> None:
    """Under every kind of fault each write is applied at most once, if acknowledged exactly once, and else owned up to.

    What may be repeated succeeds at every rate below one; what may not be sent twice is sent once.
    """
    for operation in ("UpdateRow", "PutRow", "GetRow"):
        emulator.fault(operation=operation, rate=rate, seed=11, **KINDS[kind])
    retries = 20 if rate < 1 else 2
    outcomes = SHELLS[shell](emulator.endpoint, CALLS, retry_policy=POLICIES[policy](retries), retry=UNBOUNDED)
    fired = {shown["operation"]: shown["fired"] for shown in emulator.server.faults.describe()}
    log = emulator.log()
    emulator.clear_faults()
    rows = stored(emulator)
    check_each_call(CALLS, outcomes, rows)

    failed = {
        call: [o for (done, _), o in zip(CALLS, outcomes, strict=True) if done is call and o] for call, _ in CALLS
    }
    sent = sum(entry["operation"] != "GetRange" for entry in log)
    refused = kind == "OTSServerBusy"
    if rate < 1:
        assert sum(fired.values()) > 0
        assert failed[read] == []
        assert policy == "default" or failed[put] == []
        assert not refused or not any(failed.values())
        if not refused:
            assert len(failed[increment]) == fired["UpdateRow"]  # one failure for each fault: none was sent again
            assert all(error.attempts == 1 for call in UNSAFE for error in failed[call])
            assert all(error.may_have_happened for call in UNSAFE for error in failed[call])
    else:
        repeated = {read, put} if policy == "write" else {read}
        repeated = set(failed) if refused else repeated
        assert all(len(errors) == SHARE for errors in failed.values())
        for call, errors in failed.items():
            assert {error.attempts for error in errors} == {1 + retries if call in repeated else 1}
        assert sent == sum(SHARE * (1 + retries if call in repeated else 1) for call in failed)
        assert refused or all(error.may_have_happened for error in failed[increment])
        assert rows == {} or kind in ("reset_after", "truncate", "corrupt_md5", "corrupt_signature")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_retried_insert_that_meets_its_own_row_says_so(emulator: Emulator, shell: str) -> None:
    """An insert that a user's policy throttles into a failed condition is told as one that may have been applied."""
    emulator.fault(operation="PutRow", kind="reset_after", count=1)

    class Everything(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            return retry_times < 3

        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            return 0.0

    (outcome,) = SHELLS[shell](emulator.endpoint, [(insert, 1)], retry_policy=Everything())
    assert isinstance(outcome, RequestError)
    assert outcome.may_have_happened
    assert outcome.attempts == 1  # whatever the policy says, it was not sent twice
    assert stored(emulator) == {1: 1}


# --- outages and throttles, by a clock that jumps -------------------------------------------------------------------


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
        """HTTPResponse, or fail as ordered."""
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
        for module in (calls_module, deadline, retry_budget, retry_decision):
            monkeypatch.setattr(module, "time", clock)
        logger = logging.getLogger("simulated")
        monkeypatch.setattr(logger, "disabled", True)
        invoker = Caller(
            io=service,
            authenticator=Authenticator(signer=Signer("demo"), read_error=lambda _: None, logger=logger),
            policy=DefaultRetryPolicy(),
            budget=RetryBudget(**budget),
            deadline=60.0,
            logger=logger,
            present=lambda error: error,
        )
        operation = OPERATIONS["GetRow"]
        runner.run(script(lambda: invoker.call(operation, b"", lambda: True)))


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


def test_a_throttle_is_ridden_out_in_real_time(emulator: Emulator) -> None:
    """Four threads meet a dozen refusals of a real server, wait as documented, and every call succeeds."""
    emulator.fault(kind="error", code="OTSServerBusy", count=12)
    calls = [(increment, number) for number in range(12)]
    assert by_threads(emulator.endpoint, calls, workers=4) == [None] * 12
    assert stored(emulator) == dict.fromkeys(range(12), 1)


# --- restarts, idle connections, slowness ---------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Return when a condition holds; fail if it does not in time."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends, "this does not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_server_that_restarts(shell: str) -> None:
    """A server that is stopped and started three times costs no read, and no increment is applied twice."""
    numbers = iter(range(10**6))
    calls: list[tuple[Call, int]] = []
    outcomes: list[Outcome] = []
    retries: list[RetryEvent] = []
    over = Event()
    with Emulator() as emulator:
        make_table(emulator)

        def work() -> None:
            """Call until the restarts are over."""
            policy = DefaultRetryPolicy(on_retry=retries.append)
            while not over.is_set():
                some = [(call, next(numbers)) for _ in range(10) for call in (increment, read)]
                outcomes.extend(SHELLS[shell](emulator.endpoint, some, retry=UNBOUNDED, retry_policy=policy))
                calls.extend(some)

        with ThreadPoolExecutor(1) as thread:
            working = thread.submit(work)
            try:
                for _ in range(3):
                    answered, retried = len(calls), len(retries)
                    wait_until(lambda seen=answered: len(calls) > seen + 20 or working.done())
                    emulator.stop()
                    wait_until(lambda seen=retried: len(retries) > seen or working.done())
                    emulator.start()
                answered = len(calls)
                wait_until(lambda: len(calls) > answered or working.done())
            finally:
                over.set()
            working.result()
        rows = stored(emulator)
    check_each_call(calls, outcomes, rows)
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []
    assert sum(rows.values()) == len(rows)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_server_that_closes_idle_connections(shell: str) -> None:
    """Pauses about as long as the server keeps connections cost no read, and no increment is applied twice."""
    idle = 0.04
    with Emulator(limits=Limits(idle=idle)) as emulator:
        make_table(emulator)

        def paused(call: Call) -> Call:
            def blocking(client: Any, number: int) -> Any:
                time.sleep(idle * (0.8 + number % 10 / 20))
                return call(client, number)

            async def suspending(client: Any, number: int) -> Any:
                await asyncio.sleep(idle * (0.8 + number % 10 / 20))
                return await call(client, number)

            return blocking if shell == "threads" else suspending

        kinds = (increment, read)
        calls = [(kinds[number % 2], number) for number in range(120)]
        outcomes = SHELLS[shell](
            emulator.endpoint, [(paused(call), number) for call, number in calls], retry=UNBOUNDED, idle_timeout=60
        )
        rows = stored(emulator)
    check_each_call(calls, outcomes, rows)
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_connection_that_the_server_has_closed_is_not_used(shell: str) -> None:
    """After the server has closed an idle connection the next write goes through at its first attempt."""
    with Emulator(limits=Limits(idle=0.02)) as emulator:
        make_table(emulator)
        listener = emulator._listener
        assert listener is not None

        def blocking(client: Any, number: int) -> Any:
            wait_until(lambda: not listener._connections)
            return increment(client, number)

        async def suspending(client: Any, number: int) -> Any:
            await asyncio.to_thread(wait_until, lambda: not listener._connections)
            return await increment(client, number)

        call = blocking if shell == "threads" else suspending
        calls = [(call, number) for number in range(5)]
        # One call at a time, so that each finds its connection closed.
        outcomes = SHELLS[shell](emulator.endpoint, calls, workers=1, retry_policy=NoRetryPolicy())
        assert outcomes == [None] * 5
        assert stored(emulator) == dict.fromkeys(range(5), 1)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_slow_server(emulator: Emulator, shell: str) -> None:
    """A server that answers some requests too late costs no read, and what it does too late it does once."""
    emulator.fault(operation="*", kind="delay", seconds=0.5, rate=0.25, seed=3)
    calls = [((increment, read)[number % 2], number) for number in range(60)]
    outcomes = SHELLS[shell](
        emulator.endpoint, calls, retry=UNBOUNDED, retry_policy=NoDelayRetryPolicy(), socket_timeout=0.1
    )
    emulator.clear_faults()
    late = [o for (call, _), o in zip(calls, outcomes, strict=True) if call is increment and o]
    assert late
    assert all(error.may_have_happened and error.attempts == 1 for error in late)
    wait_until(lambda: sum(entry["operation"] == "UpdateRow" for entry in emulator.log()) == 30)
    check_each_call(calls, outcomes, stored(emulator))
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []


def test_every_outcome_is_an_error_of_ours() -> None:
    """A host that is not there ends each call in one error of ours, from threads and from tasks."""
    with Emulator() as emulator:
        endpoint = emulator.endpoint
    for shell in SHELLS.values():
        for outcome in shell(endpoint, CALLS[:4], retry_policy=NoDelayRetryPolicy(1), retry=UNBOUNDED):
            assert isinstance(outcome, ConnectFailed)
            assert isinstance(outcome, OTSConfigError)
            assert (outcome.attempts, outcome.may_have_happened) == (2, False)
