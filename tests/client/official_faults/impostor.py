"""A server that responds as a test says."""

import http.server
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ots_config.request.signing import content_md5, header_lines, sign_response
from ots_config.sdk import pb2

Respond = Callable[[str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


class Impostor:
    """A server that answers as a test says, and keeps what it was asked: where, with which headers, and what."""

    def __init__(self) -> None:
        self.respond: Respond = signed
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        impostor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", "0")))
                impostor.asked.append((self.path, headers, body))
                status, response_headers, content = impostor.respond(self.path, headers, body)
                self.send_response(status)
                for name, value in response_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def signed_headers(path: str, body: bytes, at: datetime | None = None) -> dict[str, str]:
    """Return the headers of an answer as the service signs it."""
    headers = {
        "x-ots-requestid": "0006573a-714c-05d9-12a2-ca0b0fffafe6",
        "x-ots-date": (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "x-ots-contenttype": "protocol buffer",
        "x-ots-contentmd5": content_md5(body),
    }
    signature = sign_response(b"testsecret", path, header_lines(headers.items()))
    return {**headers, "Authorization": f"OTS testid:{signature}"}


def signed(path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Respond to a ListTable, or a JSON operation, properly."""
    content = pb2.ListTableResponse(table_names=["t"]).SerializeToString() if path == "/ListTable" else b'{"a":1}'
    return 200, signed_headers(path, content), content
