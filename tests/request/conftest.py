"""A server that does exactly what a test's script says, byte for byte."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

Script = Callable[[socket.socket], None]


class ScriptedServer:
    """Accepts connections on loopback and hands each to the next script; the last one serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _serve(script: Script, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            script(connection)

    def read_request(self, connection: socket.socket) -> bytes:
        """Read one request with its declared body; empty at the end of the stream."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def answering(self, *answers: bytes, then_close: bool = False) -> Script:
        """Return a script that answers each request with the next bytes."""

        def script(connection: socket.socket) -> None:
            for answer in answers:
                if not self.read_request(connection):
                    return
                connection.sendall(answer)
            if not then_close:
                connection.recv(1)

        return script

    @staticmethod
    def reset(connection: socket.socket) -> None:
        """Close a connection with a TCP reset."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def set_scripts(self, *scripts: Script) -> None:
        """Replace what the next connections are served with."""
        self._scripts = list(scripts)
        self.connections = 0

    def close(self) -> None:
        """Stop accepting."""
        self._listener.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A scripted server without a script."""
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
