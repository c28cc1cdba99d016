"""A small HTTP proxy, forward and CONNECT, that connects to one server under any name and has faults."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self


class HTTPProxy:
    """Serves each connection in a thread.

    Args:
        port: The server on loopback that every request is passed to, whatever host it names.
        authorization: What ``Proxy-Authorization`` must say; None asks for nothing.

    Attributes:
        heads: The heads of the requests that were received.
        lose: How a response is lost: ``reset`` or ``eof`` in place of its first byte; ``drip`` sends a byte at a time
    """

    def __init__(self, port: int, *, authorization: str | None = None) -> None:
        self._port = port
        self._authorization = authorization
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads: list[bytes] = []
        self.lose: str | None = None
        self.stop = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or accept() would go on with the closed socket
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                if not (part := client.recv(65536)):
                    return
                data += part
            head, _, rest = data.partition(b"\r\n\r\n")
            self.heads.append(head)
            if self._authorization and f"\r\nProxy-Authorization: {self._authorization}".encode() not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                self._open.append(server)
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if head.startswith(b"CONNECT "):
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    server.sendall(rest)
                else:
                    server.sendall(data)
                threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
                self._pass_responses(server, client)

    @staticmethod
    def _pass_requests(client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := client.recv(65536):
                server.sendall(part)
            server.shutdown(socket.SHUT_WR)

    def _pass_responses(self, server: socket.socket, client: socket.socket) -> None:
        while part := server.recv(65536):
            match self.lose:
                case None:
                    client.sendall(part)
                case "drip":
                    for byte in part:
                        client.sendall(bytes((byte,)))
                        if self.stop.wait(0.02):
                            return
                case how:
                    if how == "reset":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    with contextlib.suppress(OSError):
                        client.shutdown(socket.SHUT_RD)
                    return
