"""The emulator inside another program: its server in a daemon thread with its own event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ots_config.emulator.cloud.metadata import LIFETIME, ROLE
from ots_config.emulator.cloud.sts import credentials
from ots_config.emulator.http import HTTPServer
from ots_config.emulator.limits import ServerLimits
from ots_config.emulator.server import EmulatorServer
from ots_config.emulator.tablestore.errors import MessageStyle

if TYPE_CHECKING:
    import ssl

    from ots_config.emulator.request_log import LogEntry
    from ots_config.settings import OTSSettings

_T = TypeVar("_T")
_LOCAL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  what is listened on is the user's choice
_CALL_TIMEOUT = 30.0  # seconds; the server's thread never takes that long


class Emulator:
    """Tablestore, STS and the ECS metadata service on one port of this machine.

    Use it as a context manager, or call ``start`` and ``stop``. Stored data and the port are kept when it is stopped
    and started again. Several emulators may run at once.

    Args:
        host: The host name or address to listen on.
        port: The port, 0 for any free one.
        instance: The name of the instance.
        instances: The names of several instances, in place of ``instance``; ``settings`` are for the first.
        access_key_id: The permanent key that is accepted.
        access_key_secret: Its secret.
        tls: Whether to use https, with a new certificate unless one is given.
        certificate: The file of a certificate; implies ``tls``.
        key: The file of its private key, if that is a separate file.
        messages: Which messages errors have where the service's documents (``docs``) and recordings (``2026``) differ.
        require_transaction_flag: Whether only tables created with local transactions enabled have them.
        limit_throughput_changes: Whether reserved throughput can be changed only once in two minutes.
        metadata_v1: Whether the metadata service answers requests without a token.
        limits: What is accepted from clients, and how long the server waits for them.
        data: A file that keeps tables and keys; without one they are in memory only.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        instance: str = "demo",
        instances: Sequence[str] | None = None,
        access_key_id: str = "testid",
        access_key_secret: str = "testsecret",
        tls: bool = False,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        messages: MessageStyle = "docs",
        require_transaction_flag: bool = False,
        limit_throughput_changes: bool = False,
        metadata_v1: bool = True,
        limits: ServerLimits | None = None,
        data: str | os.PathLike[str] | None = None,
    ) -> None:
        names = list(instances or [instance])
        self.instance_name = names[0]
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self._host = host
        self._port = port
        self._tls = tls or certificate is not None
        self._certificate = None if certificate is None else Path(certificate)
        self._key = None if key is None else Path(key)
        self._limits = limits
        self._data = None if data is None else Path(data)
        self._context: ssl.SSLContext | None = None
        self._bundle: Path | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._http: HTTPServer | None = None
        self.server = EmulatorServer(
            instances=names,
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            messages=messages,
            require_transaction_flag=require_transaction_flag,
            limit_throughput_changes=limit_throughput_changes,
            metadata_v1=metadata_v1,
            host=host,
        )

    # --- running ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start serving; return when connections are accepted.

        Raises:
            OSError: If the host or port is not available, or a certificate or the data file cannot be used.
            RuntimeError: If it is running already.
        """
        if self._running:
            raise RuntimeError("the emulator is running already")
        self._prepare_tls()
        if self._data is not None:
            self.server.open_data(self._data)
        ready: Future[None] = Future()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="ots-emulator", daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            self.server.close_data()
            raise
        return self

    def stop(self) -> None:
        """Stop serving; return when every connection is closed and the port is free.

        A forked child does nothing: the server is the parent's.
        """
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if not self._running or thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        self.server.close_data()
        self._thread = self._loop = self._stopping = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _running(self) -> bool:
        return self._thread is not None and self._process == os.getpid()

    def _run(self, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[None]) -> None:
        self._http = http = HTTPServer(
            self.server, host=self._host, port=self._port, limits=self._limits, tls=self._context
        )
        await http.start()
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._port = http.port
        ready.set_result(None)
        try:
            await self._stopping.wait()
        finally:
            await http.close()

    def _prepare_tls(self) -> None:
        if not self._tls or self._context is not None:
            return
        from ots_config.emulator.tls import make_authority, server_context

        if self._certificate is not None:
            self._context = server_context(self._certificate, self._key)
            self._bundle = self._certificate
            return
        folder = Path(tempfile.mkdtemp(prefix="ots-emulator-"))
        weakref.finalize(self, _remove, folder, os.getpid())
        self._context, self._bundle = make_authority(folder, self._host)

    def _call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run a function in the server's thread, between requests."""
        loop = self._loop
        if not self._running or loop is None or threading.current_thread() is self._thread:
            return function(*arguments)

        async def run() -> _T:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), loop).result(_CALL_TIMEOUT)

    # --- how to reach it --------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port listened on; 0 before the first start if any free one was requested."""
        return self._port

    @property
    def endpoint(self) -> str:
        """The endpoint for clients, such as ``http://127.0.0.1:8087``."""
        scheme = "https" if self._tls else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    @property
    def ca_bundle(self) -> str | None:
        """The file of the authority to trust, None without TLS; a given certificate is its own authority."""
        return None if self._bundle is None else str(self._bundle)

    @property
    def settings(self) -> OTSSettings:
        """Settings of a client for the first instance."""
        return self.settings_for(self.instance_name)

    def settings_for(self, instance: str, **others: Any) -> OTSSettings:
        """Return settings of a client.

        Args:
            instance: The name of the instance.
            **others: Further settings.
        """
        from ots_config.settings import OTSSettings

        if self._bundle is not None:
            others.setdefault("tls", {"ca_bundle": self._bundle})
        given = {
            "endpoint": self._local_endpoint,
            "instance_name": instance,
            "access_key_id": self.access_key_id,
            "access_key_secret": self.access_key_secret,
            "sts_endpoint": self._local_endpoint,
            "ecs_endpoint": self._local_endpoint,
        }
        return OTSSettings.explicit(**{**given, **others})

    def environment_for(self, instance: str) -> dict[str, str]:
        """Return the environment variables of an application that shall use the emulator.

        Args:
            instance: The name of the instance.
        """
        variables = {
            "OTS_ENDPOINT": self._local_endpoint,
            "OTS_INSTANCE_NAME": instance,
            "OTS_ACCESS_KEY_ID": self.access_key_id,
            "OTS_ACCESS_KEY_SECRET": self.access_key_secret,
            "OTS_STS_ENDPOINT": self._local_endpoint,
            "OTS_ECS_ENDPOINT": self._local_endpoint,
        }
        if self._bundle is not None:
            variables["OTS_TLS__CA_BUNDLE"] = str(self._bundle)
        return variables

    @property
    def _local_endpoint(self) -> str:
        """The endpoint for clients on this machine; an address that stands for all is none that clients can use."""
        local = _LOCAL.get(self._host)
        return self.endpoint if local is None else f"{self.endpoint.partition('://')[0]}://{local}:{self._port}"

    # --- control ----------------------------------------------------------------------------------------------

    def add_instance(self, name: str) -> None:
        """Add an empty instance, in place of the one of that name if there is one."""
        self._call(self.server.add_instance, name)

    def drop_instance(self, name: str) -> None:
        """Drop an instance and its tables."""
        self._call(self.server.drop_instance, name)

    def reset(self) -> None:
        """Empty every instance, clear faults, STS orders and log; keys stay."""
        self._call(self.server.reset)

    def fault(self, *, operation: str = "*", kind: str, **order: Any) -> None:
        """Put a fault in force, as ``POST /_emulator/faults`` does.

        Args:
            operation: The operation that it hits, ``sts``, ``metadata``, ``uri``, or ``*`` for any request.
            kind: What happens: ``error`` (code, status, message), ``status`` (status, body), ``delay`` (seconds),
                ``reset_before``, ``reset_after``, ``truncate``, ``corrupt_signature``, ``corrupt_md5``, ``skew``
                (seconds) or ``rows`` (code, message).
            **order: The arguments of the kind, and ``rate``, ``count``, ``seed``.

        Raises:
            ValueError: If the order is invalid.
        """
        self._call(self.server.faults.install, {"operation": operation, "kind": kind, **order})

    def clear_faults(self) -> None:
        """Remove every fault."""
        self._call(self.server.faults.clear)

    def log(self) -> list[dict[str, Any]]:
        """Return an entry for each request since the start or the last ``clear_log``, oldest first."""
        return self._call(self.server.log.entries)

    def requests(self) -> list[LogEntry]:
        """Return the entries of ``log`` with everything that is known: table, duration, fault, number of the call."""
        return self._call(self.server.log.newest)

    def clear_log(self) -> None:
        """Clear the log."""
        self._call(self.server.log.clear)

    def watch(self, watcher: Callable[[LogEntry], None]) -> None:
        """Call a function with the log's entry of each request from now on; it runs in the server's thread."""
        self._call(self.server.log.watchers.append, watcher)

    def unwatch(self, watcher: Callable[[LogEntry], None]) -> None:
        """Call a function of ``watch`` no more."""

        def remove() -> None:
            self.server.log.watchers[:] = [other for other in self.server.log.watchers if other != watcher]

        self._call(remove)

    def sts(self, *, lifetime: float | None = None, reject: str | None = None) -> None:
        """Change how the STS responds from now on.

        Args:
            lifetime: The lifetime in seconds of each temporary key; None for the requested one.
            reject: The error code for every request; None to respond normally.
        """

        def change() -> None:
            self.server.keys.lifetime = lifetime
            self.server.sts.reject = reject

        self._call(change)

    def add_key(self, access_key_id: str, access_key_secret: str) -> None:
        """Accept another permanent key."""
        self._call(self.server.keys.add, access_key_id, access_key_secret)

    def revoke(self, access_key_id: str) -> bool:
        """Revoke a permanent or temporary key; return whether it is known."""
        return self._call(self.server.keys.revoke, access_key_id)

    def issue_key(self, lifetime: float = LIFETIME, *, role: str = ROLE) -> dict[str, str]:
        """Return a new temporary key named as by the STS: AccessKeyId, AccessKeySecret, SecurityToken, Expiration."""
        clock = self.server.clock
        issue = self.server.keys.issue
        return credentials(self._call(lambda: issue(clock(), lifetime, role=role, session="embedded")))


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child has a copy of this finalizer; the folder is the parent's
        shutil.rmtree(folder, ignore_errors=True)
