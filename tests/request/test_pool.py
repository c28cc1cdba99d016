"""The pool of connections: how many, which one, and when one is given up."""

import os
import threading
from typing import Any

import pytest

from ots_config.errors import ConnectFailed, RequestInvalid
from ots_config.request import pool as pool_module
from ots_config.request.connection import request_head
from ots_config.request.pool import ConnectionPool
from ots_config.request.route import Route

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = request_head("/PutRow", "h", {"Content-Length": "0"})


def pool_to(server: Any, *, limit: int = 2, idle_timeout: float = 60.0) -> ConnectionPool:
    """Return a pool to a scripted server."""
    return ConnectionPool(Route("127.0.0.1", server.port), limit=limit, idle_timeout=idle_timeout)


def exchange(pool: ConnectionPool, timeout: float = 5.0) -> bytes:
    """Send one empty request."""
    return pool.exchange(HEAD, b"", (timeout, timeout)).body


def test_a_connection_is_kept(server: Any) -> None:
    """Calls one after the other share one connection."""
    server.set_scripts(server.answering(*[OK] * 5))
    pool = pool_to(server)
    for _ in range(5):
        exchange(pool)
    assert (server.connections, pool.status().open) == (1, 1)
    pool.close()


def test_a_connection_that_the_server_closed_is_noticed(server: Any) -> None:
    """A connection closed while it was idle is replaced before anything is sent on it."""
    server.set_scripts(server.answering(OK, then_close=True), server.answering(OK))
    pool = pool_to(server)
    exchange(pool)
    idle = pool._idle[0]
    while idle.is_usable():
        pass
    assert exchange(pool) == b"hi"
    assert server.connections == 2
    pool.close()


@pytest.mark.parametrize("attribute", ["idle_since", "opened_at"])
def test_an_idle_or_old_connection_is_replaced(server: Any, attribute: str) -> None:
    """A connection that was idle for too long, or has become too old for a changed DNS entry, is not used again."""
    server.set_scripts(server.answering(OK))
    pool = pool_to(server)
    exchange(pool)
    setattr(pool._idle[0], attribute, -10_000.0)
    exchange(pool)
    assert server.connections == 2
    pool.close()


def test_long_idle_connections_are_closed(server: Any) -> None:
    """Giving one connection back closes those that have been idle for too long."""
    server.set_scripts(server.answering(OK, OK))
    pool = pool_to(server)
    both = [pool._take(1), pool._take(1)]
    for connection in both:
        connection.exchange(HEAD, b"", (5, 5))
        pool._give_back(connection)
    del both, connection
    pool._idle[0].idle_since = -10_000.0
    exchange(pool)
    assert pool.status().open == 1
    assert len(pool._idle) == 1
    pool.close()


def test_a_full_pool_makes_callers_wait(server: Any) -> None:
    """A caller waits for a busy connection, and gets it when it is given back."""
    server.set_scripts(server.answering(OK))
    pool = pool_to(server, limit=1)
    busy = pool._take(1)
    got: list[bytes] = []
    waiter = threading.Thread(target=lambda: got.append(exchange(pool)))
    waiter.start()
    while not pool.status().waiting:
        pass
    pool._give_back(busy)
    waiter.join(5)
    assert got == [b"hi"]
    pool.close()


def test_a_full_pool_says_so(server: Any) -> None:
    """A caller that gets no connection in time learns why, and that nothing was sent."""
    pool = pool_to(server, limit=1)
    busy = pool._take(1)
    with pytest.raises(ConnectFailed, match="max_connection"):
        exchange(pool, timeout=0.05)
    assert pool.status() == (1, 1, 0, 0)
    del busy


def test_many_threads_share_few_connections(server: Any) -> None:
    """32 threads on 3 connections all get their answers, and there are never more than 3."""
    server.set_scripts(server.answering(*[OK] * 1000))
    pool = pool_to(server, limit=3)
    answers: list[bytes] = []

    def work() -> None:
        answers.extend(exchange(pool, timeout=30) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [b"hi"] * 640
    assert server.connections <= 3
    pool.close()


def test_a_broken_exchange_does_not_use_up_the_pool(server: Any) -> None:
    """Failed exchanges give their place back."""
    server.set_scripts(server.answering(b"nonsense\r\n\r\n"))
    pool = pool_to(server, limit=1)
    for _ in range(5):
        with pytest.raises(Exception, match="HTTP"):
            exchange(pool)
    assert pool.status().open == 1
    pool.close()


def test_a_closed_pool_refuses(server: Any) -> None:
    """After close() a call fails at once, with words that say why."""
    server.set_scripts(server.answering(OK))
    pool = pool_to(server)
    exchange(pool)
    pool.close()
    with pytest.raises(RequestInvalid, match="closed"):
        exchange(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_opens_its_own_connections(server: Any) -> None:
    """After a fork the child does not speak on the parent's connection."""
    server.set_scripts(server.answering(*[OK] * 3))
    pool = pool_to(server)
    exchange(pool)
    pool_module._forget_connections_after_fork()  # what the interpreter runs in the child
    assert pool.status().open == 0
    exchange(pool)
    assert server.connections == 2
    pool.close()
