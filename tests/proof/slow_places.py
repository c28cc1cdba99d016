"""Places where a call can wait: each is slow for much longer than any deadline of these proofs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from ots_config import Credentials, Emulator, NoDelayRetryPolicy
from tests.proof.certificates import HOST
from tests.proof.fault_proxy import FOREVER, FaultProxy, NetworkFault

SLOW = 9.0
"""Seconds that a place takes: far beyond a deadline, and the end of a call that does not keep it."""

ROLE = "acs:ram::123456789012****:role/proof".replace("****", "0000")


@dataclass(slots=True)
class Place:
    """Where calls are sent, and how.

    Attributes:
        endpoint: The endpoint.
        options: The client's.
        callers: How many callers there are at once.
        succeeds: Whether a call must succeed in spite of it.
        official: Whether the official client can be sent there.
        large: Whether the request is large.
    """

    endpoint: str
    options: dict[str, Any] = field(default_factory=dict)
    callers: int = 1
    succeeds: bool = False
    official: bool = False
    large: bool = False


class Silent:
    """Accepts connections and says nothing, or reads nothing either."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    def close(self) -> None:
        """Close it; connections that were never accepted end with it."""
        self._listener.close()


class Deaf:
    """Addresses of this machine that do not even respond to a request for a connection."""

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        self.port = 0
        self.addresses = [f"127.0.0.{number + 2}" for number in range(count)]
        for address in self.addresses:
            listener = socket.socket()
            listener.bind((address, self.port))
            self.port = listener.getsockname()[1]
            listener.listen(0)
            self._sockets.append(listener)
            for _ in range(3):  # more than the queue holds: the system drops what comes now
                filler = socket.socket()
                filler.setblocking(False)  # noqa: FBT003 - the standard library's argument
                with contextlib.suppress(BlockingIOError):
                    filler.connect((address, self.port))
                self._sockets.append(filler)

    def close(self) -> None:
        """Close everything."""
        for each in self._sockets:
            each.close()


class SlowProvider:
    """Any program's provider: it blocks, and knows of no timeout."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def get_credentials(self) -> Credentials:
        """Return after a long time."""
        self.released.wait(SLOW)
        return Credentials("testid", "testsecret")


@contextmanager
def resolving(resolve: Callable[..., Any]) -> Iterator[None]:
    """Have ``dead.test`` resolved by a function; other names are as ever."""
    genuine = socket.getaddrinfo

    def getaddrinfo(host: Any, *others: Any, **named: Any) -> Any:
        flags = named.get("flags", others[4] if len(others) > 4 else 0)
        if host not in {"dead.test", b"dead.test"} or flags & socket.AI_NUMERICHOST:  # that asks no resolver
            return genuine(host, *others, **named)
        return resolve(*others, **named)

    with patch.object(socket, "getaddrinfo", getaddrinfo):
        yield


def _answers(addresses: list[str]) -> Callable[..., Any]:
    def resolve(port: Any, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in addresses]

    return resolve


Enter = Callable[[Any], Any]


def _relay(enter: Enter, emulator: Emulator, fault: NetworkFault, *, speaks_http: bool = False) -> FaultProxy:
    proxy: FaultProxy = enter(FaultProxy(emulator.port, speaks_http=speaks_http, plan=lambda: fault))
    return proxy


STALL = NetworkFault("stall", "response", 0, FOREVER)
DRIP = NetworkFault("drip", "response", 0, SLOW / 40)


def _via(proxy: FaultProxy, **options: Any) -> dict[str, Any]:
    return {"proxies": {"http": proxy.url, "https": proxy.url}, "allow_http": True, **options}


class Places:
    """Makes each place; what it needs is closed when the place is left.

    Args:
        emulator: A server.
        tls: A server that speaks TLS.
        bundle: The authority of its certificate.
        deadline: The deadline of the calls.
    """

    def __init__(self, emulator: Emulator, tls: Emulator, bundle: Any, deadline: float) -> None:
        self._deadline = deadline
        self._emulator = emulator
        self._tls = tls
        self._bundle = bundle

    def names(self) -> list[str]:
        """Return the name of every place."""
        return [name for name in vars(type(self)) if not name.startswith("_") and name not in {"names", "make"}]

    @contextmanager
    def make(self, name: str) -> Iterator[Place]:
        """Yield a place."""
        with ExitStack() as stack:
            yield getattr(self, name)(stack.enter_context, stack.callback)

    def silent_server(self, enter: Enter, _: Any) -> Place:
        """Return the place: silent server."""
        return Place(_relay(enter, self._emulator, STALL).url, official=True)

    def full_pool_then_silent_server(self, enter: Enter, _: Any) -> Place:
        """Return the place: full pool then silent server."""
        proxy = _relay(enter, self._emulator, STALL)
        proxy.plan = self._one_slow_response()
        return Place(proxy.url, {"max_connection": 1}, callers=3)

    def http_proxy_full_pool_then_silent_server(self, enter: Enter, _: Any) -> Place:
        """Return the place: http proxy full pool then silent server."""
        proxy = _relay(enter, self._emulator, STALL, speaks_http=True)
        proxy.plan = self._one_slow_response()
        return Place(f"http://{HOST}", _via(proxy, max_connection=1), callers=3)

    def _one_slow_response(self) -> Callable[[], NetworkFault]:
        """Return a plan: the first caller has a response late, those that wait for its connection have none."""
        faults = iter([NetworkFault("stall", "response", 0, self._deadline * 0.7)])
        return lambda: next(faults, STALL)

    def dripping_response(self, enter: Enter, _: Any) -> Place:
        """Return the place: dripping response."""
        return Place(_relay(enter, self._emulator, DRIP).url, official=True)

    def server_that_reads_nothing(self, enter: Enter, _: Any) -> Place:
        """Return the place: server that reads nothing."""
        fault = NetworkFault("stall", "request", 0, FOREVER)
        return Place(_relay(enter, self._emulator, fault).url, large=True, official=True)

    def http_proxy_dripping_response(self, enter: Enter, _: Any) -> Place:
        """Return the place: http proxy dripping response."""
        proxy = _relay(enter, self._emulator, DRIP, speaks_http=True)
        return Place(f"http://{HOST}", _via(proxy))

    def http_proxy_one_connection_four_callers(self, enter: Enter, _: Any) -> Place:
        """Return the place: http proxy one connection four callers."""
        proxy = _relay(enter, self._emulator, STALL, speaks_http=True)
        return Place(f"http://{HOST}", _via(proxy, max_connection=1), callers=4)

    def proxy_that_never_answers_connect(self, _: Enter, later: Any) -> Place:
        """Return the place: proxy that never answers connect."""
        silent = Silent()
        later(silent.close)
        proxies = {"https": f"http://127.0.0.1:{silent.port}"}
        return Place(f"https://{HOST}", {"proxies": proxies, "ca_bundle": self._bundle})

    def tls_stall_behind_connect(self, enter: Enter, _: Any) -> Place:
        """Return the place: tls stall behind connect."""
        proxy = _relay(enter, self._tls, STALL, speaks_http=True)
        return Place(f"https://{HOST}", _via(proxy, ca_bundle=self._bundle))

    def connect_dripping_response(self, enter: Enter, _: Any) -> Place:
        """Return the place: connect dripping response."""
        proxy = _relay(enter, self._tls, DRIP, speaks_http=True)
        return Place(f"https://{HOST}", _via(proxy, ca_bundle=self._bundle))

    def tls_stall(self, _: Enter, later: Any) -> Place:
        """Return the place: tls stall."""
        silent = Silent()
        later(silent.close)
        return Place(f"https://localhost:{silent.port}", {"ca_bundle": self._bundle}, official=True)

    def host_with_dead_addresses(self, enter: Enter, later: Any) -> Place:
        """Return the place: host with dead addresses."""
        deaf = Deaf(24)
        later(deaf.close)
        enter(resolving(_answers(deaf.addresses)))
        return Place(f"http://dead.test:{deaf.port}", {"allow_http": True}, official=True)

    def slow_dns(self, enter: Enter, later: Any) -> Place:
        """Return the place: slow dns."""
        released = threading.Event()
        later(released.set)

        def resolve(*_: Any, **__: Any) -> Any:
            released.wait(SLOW)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        enter(resolving(resolve))
        return Place("http://dead.test", {"allow_http": True}, official=True)

    def slow_provider(self, _: Enter, later: Any) -> Place:
        """Return the place: slow provider."""
        provider = SlowProvider()
        later(provider.released.set)
        return Place(self._emulator.endpoint, {"credentials_provider": provider}, callers=3)

    def silent_sts(self, enter: Enter, _: Any) -> Place:
        """Return the place: silent sts."""
        sts = _relay(enter, self._emulator, STALL)
        return Place(self._emulator.endpoint, {"role_arn": ROLE, "sts_endpoint": sts.url})

    def dripping_sts(self, enter: Enter, _: Any) -> Place:
        """Return the place: dripping sts."""
        sts = _relay(enter, self._emulator, DRIP)
        return Place(self._emulator.endpoint, {"role_arn": ROLE, "sts_endpoint": sts.url})

    def server_that_is_always_busy(self, _: Enter, later: Any) -> Place:
        """Return the place: server that is always busy."""
        later(self._emulator.clear_faults)
        self._emulator.fault(kind="error", code="OTSServerBusy")
        return Place(self._emulator.endpoint, {"retry_policy": NoDelayRetryPolicy(10**6)})

    def a_dead_address_before_one_that_lives(self, enter: Enter, later: Any) -> Place:
        """Return the place: a dead address before one that lives."""
        deaf = Deaf(1)
        later(deaf.close)
        alive = socket.create_server(("127.0.0.9", deaf.port))
        later(alive.close)
        relay = threading.Thread(target=_serve_once, args=(alive, self._emulator.port), daemon=True)
        relay.start()
        enter(resolving(_answers([*deaf.addresses, "127.0.0.9"])))
        return Place(f"http://dead.test:{deaf.port}", {"allow_http": True}, succeeds=True)


def _serve_once(listener: socket.socket, port: int) -> None:
    """Relay one connection, request and response."""
    with contextlib.suppress(OSError):
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall(client.recv(65536))
            while data := server.recv(65536):
                client.sendall(data)
