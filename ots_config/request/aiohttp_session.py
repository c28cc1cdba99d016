"""The one door to aiohttp: sends through a session of the user's, and translates aiohttp's errors.

The session decides about connections, proxies and certificates. aiohttp reports all failures of a connection alike
and goes on sending what it has in its buffer when a request times out, so only a request of which it never asked for
the body is known to be unsent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from ots_config.error_frames import without_frames
from ots_config.errors import (
    ConnectFailed,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    UntrustedServer,
)
from ots_config.request.async_connection import CLIENT_CLOSED
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import MAX_BODY, HTTPResponse
from ots_config.request.tls import not_tls
from ots_config.shown_text import system_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ots_config.request.pool import PoolStatus

_UNTIMED = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)  # the body has a clock


class _Body(aiohttp.Payload):
    """The body of one request, which records whether aiohttp began to send it.

    Attributes:
        clock: Ends the wait for a connection, and from the first byte sent the wait for the response.
        is_begun: Whether a connection may have got any of it.
    """

    clock: asyncio.Timeout

    def __init__(self, body: bytes, read_timeout: float, ends: float) -> None:
        super().__init__(body, content_type="application/octet-stream")
        self._read_timeout = read_timeout
        self._ends = ends
        self.is_begun = False

    @property
    def size(self) -> int:
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    async def write(self, writer: Any) -> None:
        """Send it; aiohttp calls this once there is a connection."""
        self.is_begun = True
        self.clock.reschedule(min(asyncio.get_running_loop().time() + self._read_timeout, self._ends))
        await writer.write(self._value)

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:  # noqa: ARG002 - all of it
        await self.write(writer)


class SessionTransport:
    """Sends the requests of one client through a session, which is not closed here.

    Args:
        endpoint: ``https://host[:port]``, without a trailing slash.
        session: The session.
        user_agent: What the ``User-Agent`` header says.
    """

    def __init__(self, endpoint: str, session: aiohttp.ClientSession, *, user_agent: str = "ots-config") -> None:
        url = urlsplit(endpoint)
        self._endpoint = URL(endpoint)
        self._host = url.hostname or ""
        self._where = f"{self._host}:{self._endpoint.port}"
        self._session = session
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._closed = False

    async def send(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: tuple[float, float],
        deadline: Deadline = NEVER,
    ) -> HTTPResponse:
        """Send one request and return the response, whatever its status; see ``AsyncTransport.send``."""
        if self._closed:
            raise RequestInvalid(CLIENT_CLOSED)
        connect_timeout, read_timeout = deadline.clamp_timeouts(timeouts)
        request = _Body(body, read_timeout, asyncio.get_running_loop().time() + deadline.remaining())
        try:
            async with asyncio.timeout(connect_timeout) as request.clock:
                return await self._exchange(path, headers, request)
        except Exception as error:  # whatever aiohttp raises is translated here
            if type(error) is TimeoutError and not request.clock.expired():
                raise  # a time limit of the caller's
            # Raised outside this block: the foreign error holds the request, and that holds the signature.
            failure = self._translate(error, request, connect_timeout, read_timeout)
        except BaseException as error:  # above all a cancellation: it passes, but not with aiohttp's frames
            error.__traceback__ = error.__cause__ = error.__context__ = None
            raise
        raise failure

    async def _exchange(self, path: str, headers: Mapping[str, str], request: _Body) -> HTTPResponse:
        async with self._session.post(
            self._endpoint.with_path(path),
            data=request,
            headers={**self._headers, **headers},
            allow_redirects=False,
            timeout=_UNTIMED,
        ) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > MAX_BODY:
                    raise ResponseInvalid(f"{self._host} sent a body without bounds")
                parts.append(part)
        lower: dict[str, str] = {}
        for raw_name, raw_value in response.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
            lower[name] = f"{lower[name]}, {value}" if name in lower else value
        return HTTPResponse(response.status, response.reason or "", lower, b"".join(parts))

    def pool_status(self) -> PoolStatus | None:
        """Return None: the session keeps the connections."""
        return None

    async def close(self) -> None:
        """Refuse later requests."""
        self._closed = True

    # --- foreign errors ---

    def _translate(self, error: Exception, request: _Body, connect_timeout: float, read_timeout: float) -> RequestError:
        """Translate an error; what is not known to be unsent may have happened."""
        if isinstance(error, RequestError):
            without_frames(error)
            return error
        # aiohttp never asks for an empty body (ListTable's), so only its errors of connecting say that it was not sent.
        if not request.is_begun if request.size else isinstance(error, aiohttp.ClientConnectorError):
            return self._not_connected(error, request, connect_timeout)
        if request.clock.expired():
            return ResponseLost(f"{self._host} did not answer within {read_timeout:g} s")
        if isinstance(error, aiohttp.ClientResponseError):
            return ResponseInvalid(f"{self._host} did not answer in HTTP/1.1")
        return ResponseLost(f"no whole response came from {self._host}: {_error_text(error)}")

    def _not_connected(self, error: Exception, request: _Body, timeout: float) -> RequestError:
        if request.clock.expired():
            return ConnectFailed(f"no connection to {self._where} within {timeout:g} s")
        match error:
            case aiohttp.ClientConnectorCertificateError():
                reason = getattr(error.certificate_error, "verify_message", "")
                return UntrustedServer(f"the certificate of {error.host}:{error.port} is not trusted: {reason}")
            case aiohttp.ClientConnectorSSLError():
                return not_tls(error.os_error, self._where) or ConnectFailed(
                    f"the TLS handshake with {self._where} failed: {_error_text(error)}"
                )
            case aiohttp.ClientConnectionError() | aiohttp.ClientHttpProxyError() | OSError():
                return ConnectFailed(f"no connection to {self._where}: {_error_text(error)}")
            case _:
                return RequestInvalid(f"the request cannot be sent: {type(error).__name__}")


def _error_text(error: BaseException) -> str:
    """Return what the system reported, in a few words; aiohttp's own texts may hold parts of the response."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    elif isinstance(error.__cause__, OSError):
        error = error.__cause__
    return system_text(error) if isinstance(error, OSError) else type(error).__name__
