"""What a request means: Tablestore, STS, metadata, credentials URI or control surface, told apart by the path."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

from ots_config.emulator.cloud.access_keys import Keys
from ots_config.emulator.cloud.metadata import Metadata
from ots_config.emulator.cloud.openapi import ApiError, error_answer, read_call
from ots_config.emulator.cloud.sts import SecurityTokenService
from ots_config.emulator.control import Control
from ots_config.emulator.faults import Fault, Faults, default_message
from ots_config.emulator.messages import Answer, Ending, Request, plain
from ots_config.emulator.request_log import Entry, Journal
from ots_config.emulator.tablestore.authentication import INSTANCE_NAME, Authentication, refused
from ots_config.emulator.tablestore.compression import inflated
from ots_config.emulator.tablestore.errors import MessageFashion, ServiceFault
from ots_config.emulator.tablestore.service import Tablestore

_LONGEST_NAME = 200


class Subject(NamedTuple):
    """What the log tells of a request before it is answered."""

    operation: str
    access_key_id: str | None = None
    token: str | None = None
    x_ots_date: str | None = None


class Done(NamedTuple):
    """A request that was carried out, or refused.

    Attributes:
        answer: What is sent.
        code: The error code that it tells, None if it tells none.
        applied: Whether the operation took effect.
    """

    answer: Answer
    code: str | None
    applied: bool


Perform = Callable[[Fault | None, float], Done]
"""Carries a request out, under a fault and with a clock that is wrong by so many seconds."""
Refuse = Callable[[Fault], Answer]
"""Answers a request with the error of a fault."""


class Server:
    """Every service of the emulator; no sockets, so it is called with requests and gives answers.

    Args:
        instances: The names of the instances.
        access_key_id: The permanent key that is accepted.
        access_key_secret: Its secret.
        messages: Whose words are used where the service's documents and recordings of it disagree.
        require_transaction_flag: Whether only tables created with local transactions enabled have them.
        limit_throughput_changes: Whether reserved throughput can be changed only once in two minutes.
        metadata_v1: Whether the metadata service answers requests without a token.
        clock: The time of day.

    Attributes:
        keys: The keys in force.
        faults: The faults in force.
        journal: The log.
        sts: The STS.
    """

    def __init__(
        self,
        *,
        instances: Iterable[str] = ("demo",),
        access_key_id: str = "testid",
        access_key_secret: str = "testsecret",
        messages: MessageFashion = "docs",
        require_transaction_flag: bool = False,
        limit_throughput_changes: bool = False,
        metadata_v1: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.keys = Keys()
        self.keys.add(access_key_id, access_key_secret)
        self.faults = Faults()
        self.journal = Journal()
        self.sts = SecurityTokenService(self.keys)
        self._metadata = Metadata(self.keys, v1=metadata_v1)
        self._authentication = Authentication(self.keys)
        self._control = Control(self)
        self._messages: MessageFashion = messages
        self._require_transaction_flag = require_transaction_flag
        self._limit_throughput_changes = limit_throughput_changes
        self._instances: dict[str, Tablestore] = {}
        for name in instances:
            self.add_instance(name)

    # --- instances --------------------------------------------------------------------------------------------

    def add_instance(self, name: str) -> None:
        """Add an empty instance, in place of the one of that name if there is one.

        Raises:
            ValueError: If no instance can have that name.
        """
        if not INSTANCE_NAME.fullmatch(name):
            raise ValueError(f"an instance's name is letters, digits, - and _, not {name!r}")
        # One store each: names are not case-sensitive, and what one instance does cannot touch another.
        self._instances[name.lower()] = Tablestore(
            [name],
            clock=self.clock,
            messages=self._messages,
            require_transaction_flag=self._require_transaction_flag,
            limit_throughput_changes=self._limit_throughput_changes,
        )

    def drop_instance(self, name: str) -> None:
        """Forget an instance and its tables."""
        self._instances.pop(name.lower(), None)

    def reset(self) -> None:
        """Empty every instance, lift the faults and the orders to the STS, forget the log; keys stay."""
        for name in list(self._instances):
            self.add_instance(name)
        self.faults.clear()
        self.journal.clear()
        self.keys.lifetime = None
        self.sts.reject = None

    # --- requests ---------------------------------------------------------------------------------------------

    def __call__(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer a request, or say who will."""
        path = request.path
        if path == "/":
            return self._sts(request)
        if path.startswith("/_emulator/"):
            return self._control.answer(request)
        if path == "/credentials":
            return self._plain_service(request, "uri", self._metadata.credentials_uri)
        if path.startswith("/latest/"):
            return self._plain_service(request, "metadata", self._metadata.answer)
        return self._tablestore(request)

    def _tablestore(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        headers = request.headers
        operation = request.path[1:]
        get = headers.get
        subject = Subject(operation, get("x-ots-accesskeyid"), get("x-ots-ststoken"), get("x-ots-date"))
        if not self.faults:
            done = self._operate(request, operation, None, 0.0)
            self._log(subject, done)
            return done.answer

        def perform(fault: Fault | None, skew: float) -> Done:
            return self._operate(request, operation, fault, skew)

        def refuse(fault: Fault) -> Answer:
            message = fault.message or default_message(fault.code)
            error = ServiceFault(fault.code, message, fault.status)
            return self._authentication.fault(request.path, headers, error, self.clock())

        return self._under_fault(self.faults.choose(operation), subject, perform, refuse)

    def _operate(self, request: Request, operation: str, fault: Fault | None, skew: float) -> Done:
        now = self.clock() + skew
        authentication = self._authentication
        path, headers = request.path, request.headers
        md5 = signature = None
        kind = None if fault is None else fault.kind
        if kind == "corrupt_md5":
            md5 = "AAAAAAAAAAAAAAAAAAAAAA=="
        elif kind == "corrupt_signature":
            signature = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        try:
            name, instance, body = self._admit(request, now)
        except ServiceFault as error:
            return Done(authentication.fault(path, headers, error, now), error.code, applied=False)
        row_fault = fault.rows() if fault is not None and kind == "rows" else None
        reply = instance.handle(name, operation, body, row_fault=row_fault)
        answer = authentication.answer(path, headers, reply.status, reply.body, now, md5=md5, signature=signature)
        return Done(answer, reply.code, reply.applied)

    def _admit(self, request: Request, now: float) -> tuple[str, Tablestore, bytes]:
        """Return the name and the instance that a request may work on, and what it asks for."""
        if request.method != "POST":
            raise ServiceFault("OTSMethodNotAllowed", "Only POST method for requests is supported.")
        if request.unread:
            code = "OTSRequestBodyTooLarge" if request.unread == 413 else "OTSRequestTimeout"
            raise ServiceFault(code, default_message(code))
        name = self._authentication.check(request.path, request.headers, request.body, now)
        instance = self._instances.get(name.lower())
        if instance is None:
            raise refused("The instance is not found.")
        return name, instance, inflated(request.headers, request.body)

    def _sts(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        call = read_call(request)
        subject = Subject("sts", call.access_key_id or None, call.token or None)

        def perform(_: Fault | None, skew: float) -> Done:
            now = self.clock() + skew
            try:
                return Done(self.sts.answer(request, call, now, skew), None, applied=True)
            except ApiError as error:
                return Done(error_answer(error, now), error.code, applied=False)

        def refuse(fault: Fault) -> Answer:
            return error_answer(ApiError(fault.code, fault.message or None, fault.status), self.clock())

        fault = self.faults.choose(call.action, "sts") if self.faults else None
        return self._under_fault(fault, subject, perform, refuse)

    def _plain_service(
        self, request: Request, service: str, answer: Callable[[Request, float, float], Answer]
    ) -> Answer | Coroutine[Any, Any, Answer]:
        def perform(_: Fault | None, skew: float) -> Done:
            if request.unread:
                return Done(plain(request.unread, "The body cannot be taken.\n"), None, applied=False)
            given = answer(request, self.clock(), skew)
            return Done(given, None, given.status == 200)

        def refuse(fault: Fault) -> Answer:
            told = {"Code": fault.code, "Message": fault.message or fault.code}
            return plain(fault.status or 500, json.dumps(told) + "\n", kind="application/json")

        fault = self.faults.choose("", service) if self.faults else None
        return self._under_fault(fault, Subject(service), perform, refuse)

    # --- faults and log ---------------------------------------------------------------------------------------

    def _under_fault(
        self, fault: Fault | None, subject: Subject, perform: Perform, refuse: Refuse
    ) -> Answer | Coroutine[Any, Any, Answer]:
        kind = None if fault is None else fault.kind
        if fault is None or kind in {"corrupt_signature", "corrupt_md5", "rows"}:
            done = perform(fault, 0.0)
        elif kind == "delay":
            return self._delayed(fault.seconds, subject, perform)
        elif kind == "reset_before":
            done = Done(Answer(0, ending=Ending.RESET), None, applied=False)
        elif kind == "status":
            done = Done(plain(fault.status or 500, fault.body, kind="text/html"), None, applied=False)
        elif kind == "error":
            done = Done(refuse(fault), fault.code, applied=False)
        else:
            done = perform(fault, fault.seconds if kind == "skew" else 0.0)
            if kind == "reset_after":
                done = Done(Answer(0, ending=Ending.RESET), None, done.applied)
            elif kind == "truncate":
                done.answer.ending = Ending.TRUNCATED
        self._log(subject, done)
        return done.answer

    async def _delayed(self, seconds: float, subject: Subject, perform: Perform) -> Answer:
        await asyncio.sleep(seconds)
        done = perform(None, 0.0)
        self._log(subject, done)
        return done.answer

    def _log(self, subject: Subject, done: Done) -> None:
        self.journal.add(
            Entry(
                subject.operation[:_LONGEST_NAME],
                time.time(),
                subject.access_key_id,
                self.journal.fingerprint(subject.token),
                subject.x_ots_date,
                done.answer.status or None,
                done.code,
                done.applied,
            )
        )
