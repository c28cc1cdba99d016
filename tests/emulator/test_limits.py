"""What many or bad clients can make the emulator hold is bounded, and good clients are served beside them."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from ots_config.emulator import Emulator, ServerLimits
from ots_config.emulator.faults import Faults, OrderInvalid
from ots_config.emulator.pending_bytes import PendingBytes
from tests.emulator.test_http import REGION, Wire, encode

HEAD = b"POST /PutRow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000000\r\n\r\n"
KIB = 1024


class FakeSender:
    """A connection that is heard when a test says so."""

    def __init__(self, heard_at: float) -> None:
        self.heard_at = heard_at
        self.aborted = False

    def abort(self) -> None:
        """Record."""
        self.aborted = True


def pending(emulator: Emulator) -> PendingBytes:
    """Return the account of unfinished requests of a running emulator."""
    assert emulator._http is not None
    return emulator._http._pending


def test_unfinished_bodies_are_bounded_together() -> None:
    """Hundreds of bodies that never end hold no more than the limit allows, and small requests are answered."""
    limits = ServerLimits(pending=1024 * KIB)
    with Emulator(limits=limits) as emulator, ExitStack() as stack:
        for _ in range(220):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", emulator.port))))
            client.settimeout(0)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.send(HEAD + b"x" * 64 * KIB)
        with Wire(emulator) as wire:
            wire.send(encode("/ListTable", b""))
            assert wire.read()[0] == 200
        account = pending(emulator)
        assert 0 < account.total <= 2 * limits.pending
        assert account.total == sum(account._held.values())


def test_large_bodies_wait_for_each_other() -> None:
    """More good bodies than the limit allows at once are all read, one after the other."""
    limits = ServerLimits(pending=4096 * KIB)

    def upload(emulator: Emulator) -> int:
        with Wire(emulator) as wire:
            wire.send(encode("/ListTable", b"x" * 1024 * KIB))
            return wire.read()[0]

    with Emulator(limits=limits) as emulator, ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(upload, [emulator] * 8))
        assert pending(emulator).total == 0
    assert statuses == [200] * 8


def test_only_the_oldest_is_read_beyond_the_limit() -> None:
    """The others wait in their order; the end of one lets the next go on."""

    async def run() -> list[str]:
        account = PendingBytes(limit=10)
        first, second = FakeSender(1), FakeSender(2)
        account.add(first, 8)
        account.add(second, 8)
        seen: list[str] = []

        async def turn(name: str, sender: FakeSender) -> None:
            await account.turn(sender)
            seen.append(name)

        tasks = [asyncio.create_task(turn("second", second)), asyncio.create_task(turn("first", first))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert account.waits(second)
        assert not account.waits(first)
        account.release(first)
        await asyncio.gather(*tasks)
        assert not account.waits(second)
        return seen

    assert asyncio.run(run()) == ["first", "second"]


def test_beyond_twice_the_limit_the_most_silent_is_dropped() -> None:
    """The bound holds whatever arrives, and the connection that sends is not the one that pays."""
    account = PendingBytes(limit=10)
    senders = [FakeSender(heard_at) for heard_at in (5, 1, 9)]
    for sender in senders:
        account.add(sender, 8)
    assert [sender.aborted for sender in senders] == [False, True, False]
    assert account.total == 16


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process the sockets of both ends of a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_are_served(many_files: None) -> None:
    """A thousand clients that stay connected are all answered, and again."""
    with Emulator() as emulator, ExitStack() as stack:
        clients = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", emulator.port), timeout=20)))
            for _ in range(1000)
        ]
        for _ in range(2):
            for client in clients:
                client.sendall(REGION)
            for client in clients:
                assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_one_connection_too_many_takes_the_place_of_an_unused_one() -> None:
    """The connection unused for longest is closed; one whose request is not complete stays."""
    with Emulator(limits=ServerLimits(connections=3)) as emulator, ExitStack() as stack:
        wires = [stack.enter_context(Wire(emulator)) for _ in range(3)]
        wires[0].send(REGION[:10])
        time.sleep(0.02)
        for wire in wires[1:]:
            wire.send(REGION)
            assert wire.read()[0] == 200
        fourth = stack.enter_context(Wire(emulator))
        fourth.send(REGION)
        assert fourth.read()[0] == 200
        assert wires[1].ended()
        wires[0].send(REGION[10:])
        assert wires[0].read()[0] == 200
        assert not pending(emulator)._held


def test_a_new_connection_is_closed_where_all_are_busy() -> None:
    """Connections in use are not closed for new ones."""
    with Emulator(limits=ServerLimits(connections=2)) as emulator, ExitStack() as stack:
        wires = [stack.enter_context(Wire(emulator)) for _ in range(2)]
        for wire in wires:
            wire.send(REGION[:10])
        time.sleep(0.05)
        assert stack.enter_context(Wire(emulator)).ended()
        for wire in wires:
            wire.send(REGION[10:])
            assert wire.read()[0] == 200


def test_a_trickling_body_is_given_up() -> None:
    """A whole body must come in time, however steadily its bytes arrive."""
    with Emulator(limits=ServerLimits(request=0.2, upload=0.4)) as emulator, Wire(emulator) as wire:
        wire.send(HEAD)
        wire.socket.settimeout(0.02)
        data = b""
        for _ in range(500):
            try:
                wire.send(b"x")
                data = wire.socket.recv(4096)
                break
            except TimeoutError:
                continue
        assert data.startswith(b"HTTP/1.1 408")


def test_a_head_without_end_is_refused() -> None:
    """Headers are not read without limit, many small ones included."""
    with Emulator(limits=ServerLimits(head=64 * KIB)) as emulator, Wire(emulator) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                wire.send(b"a: b\r\n" * 2000)
        with contextlib.suppress(ConnectionError):
            assert wire.read()[0] in {400, 431}
        assert pending(emulator).total == 0


def test_requests_ahead_of_a_slow_response_are_bounded() -> None:
    """While a request is delayed no more than a part of what its client sends is read; all are answered in the end."""
    with Emulator() as emulator, Wire(emulator) as wire:
        emulator.fault(operation="metadata", kind="delay", seconds=0.5, count=1)
        wire.socket.settimeout(0.2)
        ahead = REGION * 100_000
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(ahead):
                sent += wire.socket.send(ahead[sent : sent + 65_536])
        assert 0 < sent < len(ahead)
        wire.socket.settimeout(20)
        whole = sent // len(REGION)
        for _ in range(min(whole, 1000)):
            assert wire.read()[0] == 200


def test_faults_are_bounded() -> None:
    """A program that orders faults in a loop is told, and the memory is kept."""
    faults = Faults()
    for _ in range(1000):
        faults.install({"operation": "*", "kind": "truncate"})
    with pytest.raises(OrderInvalid, match="1000 faults already"):
        faults.install({"operation": "*", "kind": "truncate"})


def test_the_log_keeps_no_long_text(emulator: Emulator) -> None:
    """What a sender writes into its headers is cut in the log."""
    with Wire(emulator) as wire:
        head = f"POST /{'Q' * 5000} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-ots-accesskeyid: {'k' * 9000}\r\n"
        wire.send((head + f"x-ots-date: {'d' * 9000}\r\nContent-Length: 0\r\n\r\n").encode())
        assert wire.read()[0] == 400
    entry = emulator.log()[-1]
    assert {len(str(entry[name])) for name in ("operation", "access_key_id", "x_ots_date")} == {200}
