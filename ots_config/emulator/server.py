"""Routes requests to Tablestore, STS, metadata, credentials URI and control surface; applies faults; keeps the log."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ots_config.emulator.cloud.access_keys import AccessKeys
from ots_config.emulator.cloud.metadata import MetadataService
from ots_config.emulator.cloud.openapi import ApiError, error_response, read_call
from ots_config.emulator.cloud.sts import SecurityTokenService
from ots_config.emulator.console import Console
from ots_config.emulator.control import ControlSurface
from ots_config.emulator.faults import Fault, Faults
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse, Ending, text_response
from ots_config.emulator.request_log import LogEntry, RequestLog, table_named
from ots_config.emulator.tablestore.authentication import INSTANCE_NAME, RequestAuthentication
from ots_config.emulator.tablestore.compression import decompress
from ots_config.emulator.tablestore.errors import WORDINGS, MessageStyle, TablestoreError
from ots_config.emulator.tablestore.model import Instance
from ots_config.emulator.tablestore.service import OperationResult, execute, failure
from ots_config.emulator.web_pages import from_browser, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from ots_config.emulator.data_file import DataFile

_logger = logging.getLogger("ots_config.emulator")
_MAX_NAME = 200
_MAX_PERMANENT = 1000
_UNREADABLE = frozenset({"truncate", "corrupt_md5", "corrupt_signature"})
"""Faults whose responses clients do not accept."""

Response = EmulatorResponse | Coroutine[Any, Any, EmulatorResponse]
"""A response, or a coroutine that returns it after a delay."""


class _Subject(NamedTuple):
    """What the log shows of a request before it is carried out; `since` is when it came, `digest` that of its body."""

    since: float
    operation: str
    access_key_id: str | None = None
    token: str | None = None
    x_ots_date: str | None = None
    instance: str | None = None
    table: str | None = None
    digest: str | None = None


class _Outcome(NamedTuple):
    """The response to a request, its error code, and whether the operation took effect."""

    response: EmulatorResponse
    code: str | None
    applied: bool


_Perform = Callable[[Fault | None, float], _Outcome]
"""Carries a request out under a fault, with a clock that is wrong by so many seconds."""
_Refuse = Callable[[Fault], EmulatorResponse]
"""Responds with the error of a fault."""


class EmulatorServer:
    """Every service of the emulator behind one function, without sockets.

    Args:
        instances: The names of the instances.
        access_key_id: The permanent key that is accepted.
        access_key_secret: Its secret.
        messages: Which messages errors have where the service's documents and recordings disagree.
        require_transaction_flag: Whether only tables created with local transactions enabled have them.
        limit_throughput_changes: Whether reserved throughput can be changed only once in two minutes.
        metadata_v1: Whether the metadata service answers requests without a token.
        host: The host listened on, the only name besides localhost by which a browser may reach unsigned services.
        clock: The time of day.

    Attributes:
        keys: The access keys.
        faults: The faults in force.
        log: The log of requests.
        sts: The STS.
    """

    def __init__(
        self,
        *,
        instances: Iterable[str] = ("demo",),
        access_key_id: str = "testid",
        access_key_secret: str = "testsecret",
        messages: MessageStyle = "docs",
        require_transaction_flag: bool = False,
        limit_throughput_changes: bool = False,
        metadata_v1: bool = True,
        host: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._host = host
        self._data: DataFile | None = None
        self.keys = AccessKeys()
        self.keys.add(access_key_id, access_key_secret)
        self.faults = Faults()
        self.log = RequestLog()
        self.sts = SecurityTokenService(self.keys)
        self._metadata = MetadataService(self.keys, v1=metadata_v1)
        self._authenticator = RequestAuthentication(self.keys)
        self._wording = WORDINGS[messages]
        self._require_transaction_flag = require_transaction_flag
        self._limit_throughput_changes = limit_throughput_changes
        self._instances: dict[str, Instance] = {}
        self._control = ControlSurface(
            faults=self.faults,
            log=self.log,
            keys=self.keys,
            sts=self.sts,
            console=Console(self._instances, self.log, self.faults),
            reset=self.reset,
        )
        for name in instances:
            self.add_instance(name)

    # --- instances --------------------------------------------------------------------------------------------

    def add_instance(self, name: str, *, keep: bool = False) -> None:
        """Add an empty instance, in place of the one of that name if there is one.

        Args:
            name: The name.
            keep: Whether the instance has what the data file has of it.

        Raises:
            ValueError: If the name is invalid.
        """
        if not INSTANCE_NAME.fullmatch(name):
            raise ValueError(f"an instance's name is letters, digits, - and _, not {name!r}")
        # Names are not case-sensitive.
        instance = Instance(
            clock=self.clock,
            wording=self._wording,
            require_transaction_flag=self._require_transaction_flag,
            limit_throughput_changes=self._limit_throughput_changes,
        )
        name = name.lower()
        if self._data is not None:
            if not keep:
                self._data.drop(name)
            self._data.attach(name, instance)
        self._instances[name] = instance

    def drop_instance(self, name: str) -> None:
        """Drop an instance and its tables."""
        self._instances.pop(name.lower(), None)
        if self._data is not None:
            self._data.drop(name.lower())

    def reset(self) -> None:
        """Empty every instance, clear faults, STS orders and log; keys stay."""
        for name in list(self._instances):
            self.add_instance(name)
        self.faults.clear()
        self.log.clear()
        self.keys.lifetime = None
        self.sts.reject = None

    # --- data file --------------------------------------------------------------------------------------------

    def open_data(self, path: Path) -> None:
        """Take tables and keys from a file, in place of those in memory, and store every change there.

        Raises:
            OSError: If the file cannot be used.
        """
        from ots_config.emulator.data_file import DataFile

        self._data = data = DataFile(path)
        permanent = [key for key in self.keys.newest(_MAX_PERMANENT) if key.token is None]
        for key in data.keys(self.clock()):
            self.keys.restore(key)
        self.keys.on_change = data.save_key
        for key in reversed(permanent):
            known = self.keys.find(key.id)
            if known is None or known.secret != key.secret or known is key:
                self.keys.add(key.id, key.secret)
        for name in dict.fromkeys((*self._instances, *data.instances())):
            self.add_instance(name, keep=True)

    def close_data(self) -> None:
        """Close the file; what it has stays in memory as well."""
        if self._data is not None:
            self.keys.on_change = lambda _: None
            self._data.close()
            self._data = None

    # --- requests ---------------------------------------------------------------------------------------------

    def __call__(self, request: EmulatorRequest) -> Response:
        """Respond to a request."""
        path = request.path
        if path == "/":
            return self._respond_sts(request)
        if path.startswith("/_emulator/"):
            return self._control.respond(request, refusal(request, self._host))
        if path == "/credentials":
            return self._respond_plain(request, "uri", self._metadata.credentials_uri)
        if path.startswith("/latest/"):
            return self._respond_plain(request, "metadata", self._metadata.respond)
        return self._respond_tablestore(request)

    def _respond_tablestore(self, request: EmulatorRequest) -> Response:
        headers = request.headers
        operation = request.path[1:]
        get = headers.get
        subject = _Subject(
            time.perf_counter(),
            operation,
            get("x-ots-accesskeyid"),
            get("x-ots-ststoken"),
            get("x-ots-date"),
            get("x-ots-instancename"),
            table_named(operation, request.body),
            get("x-ots-contentmd5"),
        )
        if not self.faults:
            outcome = self._operate(request, operation, None, 0.0)
            self._log_outcome(subject, outcome)
            return outcome.response

        def perform(fault: Fault | None, skew: float) -> _Outcome:
            return self._operate(request, operation, fault, skew)

        def refuse(fault: Fault) -> EmulatorResponse:
            error = TablestoreError(fault.code, fault.message or None, fault.status)
            return self._authenticator.error_response(request.path, headers, error, self.clock())

        return self._under_fault(self.faults.choose(operation), subject, perform, refuse)

    def _operate(self, request: EmulatorRequest, operation: str, fault: Fault | None, skew: float) -> _Outcome:
        now = self.clock() + skew
        path, headers = request.path, request.headers
        kind = None if fault is None else fault.kind
        try:
            instance, body = self._admit(request, now)
        except TablestoreError as error:
            response = self._authenticator.error_response(path, headers, error, now)
            return _Outcome(response, error.code, applied=False)
        row_fault = fault.rows() if fault is not None and kind == "rows" else None
        result = execute(instance, operation, body, row_fault=row_fault)
        if self._data is not None:
            result = self._saved(self._data, instance, operation, result)
        response = self._authenticator.response(
            path,
            headers,
            result.status,
            result.body,
            now,
            md5="AAAAAAAAAAAAAAAAAAAAAA==" if kind == "corrupt_md5" else None,
            signature="AAAAAAAAAAAAAAAAAAAAAAAAAAA=" if kind == "corrupt_signature" else None,
        )
        return _Outcome(response, result.code, result.applied)

    @staticmethod
    def _saved(data: DataFile, instance: Instance, operation: str, result: OperationResult) -> OperationResult:
        """Store what an operation changed, and return its result if that is possible."""
        try:
            data.save(instance)
        except Exception:
            _logger.exception("the data file cannot be written")
            return failure(operation, TablestoreError("OTSInternalServerError"))
        return result

    def _admit(self, request: EmulatorRequest, now: float) -> tuple[Instance, bytes]:
        """Return the instance that a request may work on, and its body."""
        if request.method != "POST":
            raise TablestoreError("OTSMethodNotAllowed")
        if request.unread:
            raise TablestoreError("OTSRequestBodyTooLarge" if request.unread == 413 else "OTSRequestTimeout")
        name = self._authenticator.check(request.path, request.headers, request.body, now)
        instance = self._instances.get(name.lower())
        if instance is None:
            raise TablestoreError("OTSAuthFailed", "The instance is not found.")
        return instance, decompress(request.headers, request.body)

    def _respond_sts(self, request: EmulatorRequest) -> Response:
        call = read_call(request)

        def perform(_: Fault | None, skew: float) -> _Outcome:
            if from_browser(request) and (why := refusal(request, self._host)):
                return _Outcome(text_response(403, why + "\n"), None, applied=False)
            now = self.clock() + skew
            try:
                return _Outcome(self.sts.respond(request, call, now, skew), None, applied=True)
            except ApiError as error:
                return _Outcome(error_response(error, now), error.code, applied=False)

        def refuse(fault: Fault) -> EmulatorResponse:
            return error_response(ApiError(fault.code, fault.message or None, fault.status), self.clock())

        fault = self.faults.choose(call.action, "sts") if self.faults else None
        subject = _Subject(time.perf_counter(), "sts", call.access_key_id or None, call.token or None)
        return self._under_fault(fault, subject, perform, refuse)

    def _respond_plain(
        self,
        request: EmulatorRequest,
        service: str,
        respond: Callable[[EmulatorRequest, float, float], EmulatorResponse],
    ) -> Response:
        def perform(_: Fault | None, skew: float) -> _Outcome:
            if why := refusal(request, self._host):
                return _Outcome(text_response(403, why + "\n"), None, applied=False)
            if request.unread:
                return _Outcome(text_response(request.unread, "The body was not read.\n"), None, applied=False)
            response = respond(request, self.clock(), skew)
            return _Outcome(response, None, response.status == 200)

        def refuse(fault: Fault) -> EmulatorResponse:
            error = {"Code": fault.code, "Message": fault.message or fault.code}
            return text_response(fault.status or 500, json.dumps(error) + "\n", kind="application/json")

        fault = self.faults.choose("", service) if self.faults else None
        return self._under_fault(fault, _Subject(time.perf_counter(), service), perform, refuse)

    # --- faults and log ---------------------------------------------------------------------------------------

    def _under_fault(self, fault: Fault | None, subject: _Subject, perform: _Perform, refuse: _Refuse) -> Response:
        kind = None if fault is None else fault.kind
        if fault is None or kind in {"corrupt_signature", "corrupt_md5", "rows"}:
            outcome = perform(fault, 0.0)
        elif kind == "delay":
            return self._perform_later(fault.seconds, subject, perform)
        elif kind == "reset_before":
            outcome = _Outcome(EmulatorResponse(0, ending=Ending.RESET), None, applied=False)
        elif kind == "status":
            outcome = _Outcome(text_response(fault.status or 500, fault.body, kind="text/html"), None, applied=False)
        elif kind == "error":
            outcome = _Outcome(refuse(fault), fault.code, applied=False)
        else:
            outcome = perform(fault, fault.seconds if kind == "skew" else 0.0)
            if kind == "reset_after":
                outcome = _Outcome(EmulatorResponse(0, ending=Ending.RESET), None, outcome.applied)
            elif kind == "truncate":
                outcome.response.ending = Ending.TRUNCATED
        self._log_outcome(subject, outcome, kind)
        return outcome.response

    async def _perform_later(self, seconds: float, subject: _Subject, perform: _Perform) -> EmulatorResponse:
        await asyncio.sleep(seconds)
        outcome = perform(None, 0.0)
        self._log_outcome(subject, outcome, "delay")
        return outcome.response

    def _log_outcome(self, subject: _Subject, outcome: _Outcome, fault: str | None = None) -> None:
        log, status = self.log, outcome.response.status
        delivered = 200 <= status < 300 and fault not in _UNREADABLE
        log.add(
            LogEntry(
                subject.operation[:_MAX_NAME],
                time.time(),
                _short(subject.access_key_id),
                log.hash_token(subject.token),
                _short(subject.x_ots_date),
                status or None,
                outcome.code,
                outcome.applied,
                _short(subject.instance),
                subject.table,
                time.perf_counter() - subject.since,
                fault,
                log.number((subject.operation, subject.instance, subject.digest), delivered=delivered),
            )
        )


def _short(text: str | None) -> str | None:
    """Return what the log keeps of a text, which is as long as its sender wants."""
    return None if text is None else text[:_MAX_NAME]
