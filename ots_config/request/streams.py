"""Bytes over a non-blocking socket, plain or through TLS, until a moment that the caller names.

All waiting is done by ``poll``. A socket with a timeout of its own would raise ``TimeoutError``, which looks exactly
like the one that a program's signal handler raises to end the call; here time that is over is a return value.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from ots_config.request.interruptions import is_from_system

if TYPE_CHECKING:
    from ots_config.request.addresses import Address

_CHUNK = 256 * 1024
_MAX_WAIT = 3600.0  # of one poll(), whose milliseconds are a C integer
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
_IN = getattr(select, "POLLIN", 1)
_OUT = getattr(select, "POLLOUT", 4)


class Stream(Protocol):
    """Bytes in both directions."""

    def send_all(self, data: bytes, ends: float) -> bool:
        """Send, and return whether the system took the last byte before the moment ``ends``.

        Raises:
            OSError: If the connection broke before that.
        """
        ...

    def receive(self, ends: float) -> bytes | None:
        """Return the next bytes, empty at the end of the stream; None if there are none before the moment ``ends``.

        Raises:
            OSError: If the connection broke.
        """
        ...

    def is_quiet(self) -> bool:
        """Return whether nothing waits to be read, neither bytes nor the end of the stream."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


class _SelectPoll:
    """``select`` in the form of a poll object, where there is no ``poll`` (Windows)."""

    def __init__(self) -> None:
        self._socket: socket.socket
        self._events = 0

    def register(self, connected: socket.socket, events: int) -> None:
        self._socket, self._events = connected, events

    modify = register

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        watched = [self._socket]
        reads = watched if self._events & _IN else []
        writes = watched if self._events & _OUT else []
        # There a connection that failed is reported as an exception and not as writable.
        ready = select.select(reads, writes, writes, milliseconds / 1000)
        return [(self._socket.fileno(), self._events)] if any(ready) else []


class PlainStream:
    """A connected socket.

    Args:
        connected: The socket, which does not block.
    """

    __slots__ = ("_poll", "_socket")

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._poll = select.poll() if hasattr(select, "poll") else _SelectPoll()
        self._poll.register(connected, _IN)

    @classmethod
    def open(cls, address: Address, ends: float) -> PlainStream | None:
        """Connect to an address; return None if that did not succeed before the moment ``ends``.

        Raises:
            OSError: If the connection was refused.
        """
        plain = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            plain.settimeout(0.0)  # it never blocks
            code = plain.connect_ex(address.address)
            stream = cls(plain)
            if code in _IN_PROGRESS:
                if not stream._wait(_OUT, ends):
                    plain.close()
                    return None
                code = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))  # noqa: TRY301 - connect_ex() is connect() without that
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except BaseException:
            plain.close()
            raise
        return stream

    def send_all(self, data: bytes, ends: float) -> bool:
        """Send, and return whether the system took the last byte in time."""
        rest: bytes | memoryview = data
        while True:
            try:
                sent = self._socket.send(rest)
            except BlockingIOError:
                sent = 0
            if sent == len(rest):
                return True
            rest = memoryview(rest)[sent:]
            if not self._wait(_OUT, ends):
                return False

    def receive(self, ends: float) -> bytes | None:
        """Return the next bytes, empty at the end; None if there are none in time."""
        while (left := ends - monotonic()) > 0:
            if self._poll.poll(int(min(left, _MAX_WAIT) * 1000) + 1):
                try:
                    return self._socket.recv(_CHUNK)
                except BlockingIOError:
                    continue
        return None

    def receive_now(self) -> bytes | None:
        """Return what has arrived already, empty at the end of the stream or of the connection; None if nothing has."""
        try:
            return self._socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if not is_from_system(error):
                raise
        return b""

    def is_quiet(self) -> bool:
        """Return whether nothing waits to be read."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _wait(self, events: int, ends: float) -> bool:
        """Wait for other events than bytes to read, and return whether they came in time."""
        self._poll.modify(self._socket, events)
        ready = False
        while not ready and (left := ends - monotonic()) > 0:
            ready = bool(self._poll.poll(int(min(left, _MAX_WAIT) * 1000) + 1))
        self._poll.modify(self._socket, _IN)
        return ready


class TLSStream:
    """TLS over a socket.

    The socket is not wrapped: while ``SSLSocket`` takes it over, two objects would close it if they were interrupted.
    This also sends nothing but what ``send_all`` was given and handshakes need, and reads many records at a time.

    Args:
        plain: The connected socket.
        context: The TLS context.
        host: The name that the certificate must be for.
    """

    __slots__ = ("_incoming", "_outgoing", "_plain", "_tls")

    def __init__(self, plain: PlainStream, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # As bytes: the codec for names is written in Python, and wraps the exception of a signal handler.
        name = host.encode("ascii") if host.isascii() else host
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    def handshake(self, ends: float) -> bool:
        """Shake hands, and return whether that was done in time.

        Raises:
            OSError: If the connection broke, or either side refuses the other; then also an ``ssl.SSLError``.
        """
        while True:
            is_done = True
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                is_done = False
            except ssl.SSLError:
                self._send_alert()
                raise
            if not self._flush(ends):
                return False
            if is_done:
                return True
            data = self._plain.receive(ends)
            if data is None:
                return False
            self._take(data)

    def send_all(self, data: bytes, ends: float) -> bool:
        """Send, and return whether the system took the last byte of the last record in time."""
        self._tls.write(data)  # to memory, which takes it all
        return self._plain.send_all(self._outgoing.read(), ends)

    def receive(self, ends: float) -> bytes | None:
        """Return the next bytes, empty at the end; None if there are none in time."""
        while True:
            if self._incoming.pending:
                data = self._decrypted()
                if data is not None:
                    return data
                if self._outgoing.pending and not self._flush(ends):
                    return None
            data = self._plain.receive(ends)
            if data is None:
                return None
            self._take(data)
            if not data:
                return self._decrypted() or b""

    def is_quiet(self) -> bool:
        """Return whether nothing waits to be read but records of TLS itself, such as tickets for later sessions."""
        if not self._plain.is_quiet():
            data = self._plain.receive_now()
            if not data:
                return data is None
            self._take(data)
        return not self._incoming.pending or self._decrypted() is None

    def close(self) -> None:
        """Close the socket, without a farewell that might block."""
        self._plain.close()

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decrypted(self) -> bytes | None:
        """Return the bytes of the records that came, empty at the end of the stream, None if they are not whole."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_CHUNK):
                parts.append(part)
                if not self._incoming.pending:
                    break
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return b"".join(parts)

    def _send_alert(self) -> None:
        """Tell the other end why the handshake failed, if there is room for that and it still listens."""
        try:
            self._plain.send_all(self._outgoing.read(), 0.0)
        except OSError as error:
            if not is_from_system(error):
                raise

    def _flush(self, ends: float) -> bool:
        return not self._outgoing.pending or self._plain.send_all(self._outgoing.read(), ends)
