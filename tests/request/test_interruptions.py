"""An exception at any line of a request: it arrives unchanged, and neither a place nor a response is mixed up.

Each line that the transport runs, down to the lines of requests and of the standard library, raises once: what a
signal handler, ``PyThreadState_SetAsyncExc`` or a green thread's timeout does.
"""

from __future__ import annotations

import gc
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import requests

from ots_config import NoDelayRetryPolicy, OTSClient
from ots_config.emulator.tls import make_authority
from ots_config.errors import RequestError, ResponseLost
from ots_config.request.interruptions import raised_by_signal_handler
from ots_config.request.pool import ConnectionPool
from ots_config.request.transport import Transport
from ots_config.sdk import tablestore
from tests.request.http_proxy import HTTPProxy

TIMEOUTS = (5.0, 5.0)


class Stopped(BaseException):
    """As gevent and eventlet end a green thread."""


class SoftTimeLimit(Exception):
    """As Celery ends a task."""


KINDS: list[type[BaseException]] = [Stopped, SoftTimeLimit, TimeoutError]


class Injector:
    """Raises an exception at one line event of a function, counted from its start.

    Attributes:
        lines: The lines at which it could, each once.
    """

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self.last = ("", 0)

    def run(self, function: Callable[[], object], at: int, raised: BaseException) -> bool:
        """Run a function, and return whether it had a line event of that number."""
        counted = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal counted
            if event == "line":
                counted += 1
                if counted > at:
                    sys.settrace(before)
                    self.last = (frame.f_code.co_filename, frame.f_lineno)
                    self.lines.add(self.last)
                    raise raised
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            function()
        finally:
            sys.settrace(before)
        assert counted <= at, f"swallowed at {self.last}"
        return False


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Allow a socket to be closed by the death of its object: after an interruption nobody is left to close it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.disable()  # what it runs is not part of a request, and could not pass an exception on
        yield
        gc.enable()
        gc.collect()


def echo(server: Any) -> Callable[[socket.socket], None]:
    """Return a script that answers each request with its own body."""

    def script(connection: socket.socket) -> None:
        while request := server.read_request(connection):
            body = request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return script


def send(transport: Transport, body: bytes) -> bytes:
    """Send a request and return the body of its response."""
    return transport.send("/PutRow", {}, body, TIMEOUTS).body


def interrupt_everywhere(
    transport: Transport,
    prepare: Callable[[], object] = bool,
    settle: Callable[[], object] = bool,
    *,
    fails: type[RequestError] | None = None,
) -> set[tuple[str, int]]:
    """Interrupt a request at each of its lines, and check after each that the next one has a place and its response.

    Args:
        transport: Has one connection at most, so one place that is lost fails the next request.
        prepare: Brings the transport into the state to begin with.
        settle: Ends what ``prepare`` began.
        fails: The error that the request ends with if it is not interrupted.
    """
    injector = Injector()

    def interrupt() -> None:
        at = 0
        reached = True
        while reached:
            prepare()
            raised = KINDS[at % len(KINDS)]()
            caught: BaseException | None = None
            try:
                reached = injector.run(partial(send, transport, b"interrupted %d" % at), at, raised)
            except BaseException as error:  # noqa: BLE001 - what was raised at a line
                caught = error
                error.__traceback__ = error.__context__ = None  # as when whoever caught it has let go of it
            reached = reached and (fails is None or not isinstance(caught, fails))
            assert caught is raised or not reached
            settle()
            assert send(transport, b"%d" % at) == b"%d" % at
            assert transport.pool_status() == (1, 1, 1, 0)
            at += 1

    # In a thread of its own: raised by a trace function between two steps of one line, an exception can leave the one
    # that is being handled there as the thread's current exception.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(interrupt).result()
    return injector.lines


def names(lines: set[tuple[str, int]]) -> set[str]:
    """Return the names of the files that some lines are of."""
    return {Path(file).name for file, _ in lines}


def batch() -> Any:
    """Return a request for one row."""
    request = tablestore.BatchGetRowRequest()
    request.add(tablestore.TableInBatchGetRowItem("t", [[("k", "a")]], max_version=1))
    return request


def pool_of(transport: Transport) -> ConnectionPool:
    """Return the pool of a transport."""
    assert transport._pool is not None
    return transport._pool


def test_a_request_on_a_kept_connection(server: Any) -> None:
    """The usual request, from the transport to the parser and back."""
    server.set_scripts(echo(server))
    transport = Transport(server.endpoint, max_connection=1)
    lines = interrupt_everywhere(transport)
    assert {"transport.py", "pool.py", "connection.py", "streams.py", "http_parser.py", "sessions.py"} <= names(lines)
    assert len(lines) > 150
    transport.close()


def test_a_request_on_a_new_connection(server: Any) -> None:
    """The look-up of the host, each of its addresses, and the first request."""
    server.set_scripts(echo(server))
    transport = Transport(f"http://localhost:{server.port}", max_connection=1)
    pool = pool_of(transport)
    lines = interrupt_everywhere(transport, pool._close_idle)
    assert {"addresses.py", "streams.py", "connection.py"} <= names(lines)
    transport.close()


def test_a_request_on_a_stale_connection(server: Any) -> None:
    """A connection that was idle for too long is closed and opened anew."""
    server.set_scripts(echo(server))
    transport = Transport(server.endpoint, max_connection=1)
    pool = pool_of(transport)

    def grow_old() -> None:
        for connection in pool._idle:
            connection.idle_since = -10_000.0

    interrupt_everywhere(transport, grow_old)
    transport.close()


def test_a_request_that_waits_for_a_connection(server: Any) -> None:
    """The only connection is busy, and another thread gives it back while the caller waits."""
    server.set_scripts(echo(server))
    transport = Transport(server.endpoint, max_connection=1)
    pool = pool_of(transport)
    over = threading.Event()
    threads: list[threading.Thread] = []

    def occupy() -> None:
        over.clear()
        threads.append(threading.Thread(target=give_back, args=(pool._take(1),)))
        threads[0].start()

    def give_back(connection: Any) -> None:
        while not pool.status().waiting and not over.is_set():
            pass
        pool._give_back(connection)

    def settle() -> None:
        over.set()
        threads.pop().join()

    lines = interrupt_everywhere(transport, occupy, settle)
    waits = {line for file, line in lines if file.endswith("pool.py")}
    assert len(waits) > 40
    transport.close()


def test_a_request_whose_response_is_lost(server: Any) -> None:
    """What is done after a failure is as safe as the rest."""

    def script(connection: socket.socket) -> None:
        while request := server.read_request(connection):
            body = request.partition(b"\r\n\r\n")[2]
            if body.startswith(b"interrupted"):
                return server.reset(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return None

    server.set_scripts(script)
    transport = Transport(server.endpoint, max_connection=1)
    interrupt_everywhere(transport, fails=ResponseLost)
    transport.close()


def test_a_request_through_a_tunnel(server: Any, tmp_path: Path) -> None:
    """CONNECT, the TLS handshake and the request in the tunnel."""
    context, authority = make_authority(tmp_path, "demo.example")
    answer = echo(server)

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(connection, server_side=True) as secure:
            answer(secure)

    server.set_scripts(script)
    with HTTPProxy(server.port) as proxy:
        transport = Transport(
            "https://demo.example", max_connection=1, ca_bundle=authority, proxies={"https": proxy.url}
        )
        pool = pool_of(transport)
        lines = interrupt_everywhere(transport, pool._close_idle)
        assert {"proxies.py", "streams.py", "ssl.py"} <= names(lines)
        transport.close()


# --- what a signal handler raises ---


class Alarm:
    """Raises an exception in a signal handler once a request has reached the server."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised

    def __call__(self, *_: object) -> None:
        """Raise it."""
        raise self.raised

    def silent(self, server: Any) -> Callable[[socket.socket], None]:
        """Return a script that never answers, and raises the alarm when it has read the request."""

        def script(connection: socket.socket) -> None:
            server.read_request(connection)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            connection.recv(1)

        return script


@pytest.fixture(
    params=[TimeoutError, SoftTimeLimit, Stopped, partial(OSError, "own")], ids=["timeout", "soft", "stop", "os"]
)
def alarm(request: Any) -> Iterator[Alarm]:
    """Handle SIGUSR1 by raising an exception."""
    made = Alarm(request.param())
    before = signal.signal(signal.SIGUSR1, made)
    yield made
    signal.signal(signal.SIGUSR1, before)


def test_a_time_limit_of_the_program_ends_a_call_at_once(server: Any, alarm: Alarm) -> None:
    """It passes through transport, retries and client as the object that was raised, and nothing is sent again."""
    server.set_scripts(alarm.silent(server))
    with OTSClient(server.endpoint, "id", "secret", "demo", retry_policy=NoDelayRetryPolicy()) as client:
        for call in (client.list_table, partial(client.batch_get_row, batch())):
            with pytest.raises(type(alarm.raised)) as caught:
                call()
            assert caught.value is alarm.raised
    assert len(server.requests) == 2


def test_a_time_limit_passes_through_urllib3_too(server: Any, alarm: Alarm) -> None:
    """urllib3 takes a ``TimeoutError`` for one of its socket: the one of the handler is found again and raised."""
    server.set_scripts(alarm.silent(server))
    with requests.Session() as session:
        with pytest.raises(type(alarm.raised)) as caught:
            send(Transport(server.endpoint, max_connection=1, session=session), b"")
        assert caught.value is alarm.raised


def test_a_timeout_of_the_socket_is_nobody_elses() -> None:
    """An error of the system is not taken for one of a handler, whatever handlers there are."""
    handlers = [Alarm(OSError()), Alarm(OSError()).__call__, partial(Alarm(OSError()))]
    before = signal.getsignal(signal.SIGUSR1)
    try:
        for handler in handlers:
            signal.signal(signal.SIGUSR1, handler)
            assert raised_by_signal_handler([TimeoutError("timed out"), KeyboardInterrupt()]) is None
            with pytest.raises(OSError) as caught:  # noqa: PT011 - any
                signal.raise_signal(signal.SIGUSR1)
            assert raised_by_signal_handler([ValueError(), caught.value]) is caught.value
    finally:
        signal.signal(signal.SIGUSR1, before)
