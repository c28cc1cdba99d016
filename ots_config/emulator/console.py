"""What the web console shows: the page itself, tables and rows as JSON, and requests as they come."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from ots_config.emulator.faults import Faults, OrderInvalid
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse
from ots_config.emulator.request_log import LogEntry, RequestLog
from ots_config.emulator.tablestore.model import Instance, Table
from ots_config.emulator.tablestore.sorted_keys import ABOVE, Key

_PAGE = Path(__file__).with_name("console.html")
_MAX_ROWS = 200
_MAX_STREAMS = 20
_SHOWN_AT_START = 300
_MAX_WAITING = 1000
_PAUSE = 0.25  # seconds between two parts of a stream
_QUIET_PARTS = 40  # without news, until one is sent that only shows that the client is there
_SAFE_INTEGER = 2**53  # JavaScript knows larger ones only in part


class Console:
    """Responds to what the page asks for.

    Args:
        instances: The instances by name; the first one is shown unless another is named.
        log: The log of requests.
        faults: The faults in force.
    """

    def __init__(self, instances: Mapping[str, Instance], log: RequestLog, faults: Faults) -> None:
        self._instances = instances
        self._log = log
        self._faults = faults
        self._streams = 0

    def find(self, path: str) -> Callable[[EmulatorRequest], EmulatorResponse | Any] | None:
        """Return what responds to a GET of a path, None if it is not the console's.

        What it returns for a request is a response, or a value to be sent as JSON. It raises ``OrderInvalid`` if the
        request makes no sense, and ``LookupError`` if what it names does not exist.
        """
        head, *rest = path.split("/")
        if path == "":
            return lambda _: page()
        if path == "events":
            return lambda _: self._events()
        if head == "tables" and not rest:
            return self._tables
        if head == "tables" and len(rest) == 1 and rest[0]:
            return lambda request: describe(self._table(request, rest[0]))
        if head == "tables" and len(rest) == 2 and rest[1] == "rows":
            return lambda request: self._rows(request, rest[0])
        return None

    # --- tables -----------------------------------------------------------------------------------------------

    def _instance(self, request: EmulatorRequest) -> tuple[str, Instance]:
        name = _query(request).get("instance", next(iter(self._instances), ""))
        instance = self._instances.get(name.lower())
        if instance is None:
            raise LookupError(f"there is no instance {name!r}")
        return name, instance

    def _tables(self, request: EmulatorRequest) -> Any:
        name, instance = self._instance(request)
        tables = [instance.tables[table] for table in sorted(instance.tables)]
        return {"instance": name, "instances": list(self._instances), "tables": [describe(table) for table in tables]}

    def _table(self, request: EmulatorRequest, name: str) -> Table:
        table = self._instance(request)[1].tables.get(unquote(name))
        if table is None:
            raise LookupError(f"there is no table {unquote(name)!r}")
        return table

    def _rows(self, request: EmulatorRequest, name: str) -> Any:
        table, query = self._table(request, name), _query(request)
        limit = query.get("limit", "50")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _MAX_ROWS):
            raise OrderInvalid(f"limit must be a whole number from 1 to {_MAX_ROWS}")
        start = _bound(table, query.get("start", "[]"))
        end = _bound(table, query["end"]) if query.get("end") else (ABOVE,)
        found = list(islice(table.scan(start, end, backward=False), int(limit) + 1))
        shown, following = found[: int(limit)], found[int(limit) :]
        return {
            "table": table.name,
            "rows": [
                {
                    "key": [_shown(value) for value in key],
                    "columns": [
                        {"name": name, "type": _type_of(value), "value": _shown(value), "version": version}
                        for name, value, version, _ in row
                    ],
                }
                for key, row in shown
            ],
            "next": [_shown(value) for value in following[0][0]] if following else None,
        }

    # --- events -----------------------------------------------------------------------------------------------

    def _events(self) -> EmulatorResponse:
        if self._streams >= _MAX_STREAMS:
            raise OrderInvalid(f"there are {_MAX_STREAMS} streams of events already")
        headers = {"Content-Type": "text/event-stream"}
        return EmulatorResponse(200, headers, stream=self._stream())

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events: each request, and the faults whenever they change."""
        waiting: deque[LogEntry] = deque(self._log.newest(_SHOWN_AT_START), maxlen=_MAX_WAITING)
        self._log.watchers.append(waiting.append)
        self._streams += 1
        faults: Any = None
        quiet = 0
        try:
            while True:
                parts = [_event("request", entry._asdict()) for entry in list(waiting)]
                waiting.clear()
                if faults != (now := self._faults.describe()):
                    faults = now
                    parts.append(_event("faults", now))
                quiet = 0 if parts else quiet + 1
                if parts or quiet % _QUIET_PARTS == 0:
                    yield b"".join(parts) or b":\n\n"
                await asyncio.sleep(_PAUSE)
        finally:
            self._streams -= 1
            self._log.watchers[:] = [watch for watch in self._log.watchers if watch != waiting.append]


def describe(table: Table) -> dict[str, Any]:
    """Return what the console shows of a table."""
    return {
        "name": table.name,
        "index_of": None if table.main is None else table.main.name,
        "rows": len(table.rows),
        "key": [
            {"name": column.name, "type": column.python_type.__name__, "auto_increment": column.increments}
            for column in table.schema
        ],
        "indexes": sorted(table.indexes),
        "max_versions": table.options.max_versions,
        "time_to_live": table.options.time_to_live,
    }


@cache
def page() -> EmulatorResponse:
    """Return the page, which may run its own script and style and load nothing else."""
    text = _PAGE.read_text(encoding="utf-8")

    def digest(element: str) -> str:
        inside = text.partition(f"<{element}>")[2].partition(f"</{element}>")[0]
        return f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'"

    policy = (
        f"default-src 'none'; script-src {digest('script')}; style-src {digest('style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }
    return EmulatorResponse(200, headers, text.encode())


def _event(name: str, value: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()


def _query(request: EmulatorRequest) -> dict[str, str]:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def _type_of(value: Any) -> str:
    return type(value).__name__


def _shown(value: Any) -> Any:
    """Return a value as JSON has it: what JSON cannot have is an object that names its type."""
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _SAFE_INTEGER:
        return {"int": str(value)}
    return value


def _bound(table: Table, text: str) -> Key:
    """Return a bound of a range, given as a JSON list of the key's first values."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) > len(table.schema):
        raise OrderInvalid(f"a bound is a JSON list of at most {len(table.schema)} values")
    key = tuple(map(_read, values))
    for value, kind in zip(key, table.key_types, strict=False):
        if type(value) is not kind:
            raise OrderInvalid(f"the key has {', '.join(kind.__name__ for kind in table.key_types)}")
    return key


def _read(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, text),) = value.items()
        try:
            if kind == "bytes":
                return b64decode(text, validate=True)
            if kind == "int":
                return int(text)
        except (Base64Error, TypeError, ValueError):
            raise OrderInvalid(f"{value!r} is no value of a key") from None
    return value
