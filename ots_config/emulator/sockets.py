"""Sockets: listening on each address of a host, resetting a connection, letting go of them in a forked child."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

BACKLOG = 1024
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # close() sends RST


def listen(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Open a listening socket on each address of a host, all on one port.

    Raises:
        OSError: If the host is unknown, or its first address is not available on that port.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    listening: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sock = socket.create_server((address[0], port, *address[2:]), family=family, backlog=BACKLOG)
        except OSError:
            if not listening:
                raise
            continue  # a host whose IPv6 addresses are not configured is served on the others
        port = sock.getsockname()[1]
        listening.append(sock)
    return listening, port


def descriptor(transport: asyncio.BaseTransport | None) -> int:
    """Return the file descriptor of a connection's socket, -1 if it is closed."""
    sock = None if transport is None else transport.get_extra_info("socket")
    return -1 if sock is None else sock.fileno()


def reset(transport: asyncio.Transport) -> None:
    """Close a connection with RST."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def disown(descriptors: Iterable[int]) -> None:
    """In a forked child: let go of the parent's sockets, so that they close when the parent closes them."""
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        # Replaced, not closed: the objects that own these numbers live on in the child.
        for number in descriptors:
            if number >= 0:
                os.dup2(nothing, number, inheritable=False)
        os.close(nothing)
