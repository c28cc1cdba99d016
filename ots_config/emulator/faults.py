"""The faults that a test has ordered: which requests they hit, and what happens to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from reprlib import repr  # noqa: A004  what was sent may be long
from types import MappingProxyType
from typing import Any, Final

from ots_config.emulator.cloud.sts import ACTIONS
from ots_config.emulator.tablestore.errors import ERRORS
from ots_config.request.operations import OPERATIONS

BATCHES = frozenset({"BatchGetRow", "BatchWriteRow"})
SERVICES = ("sts", "metadata", "uri")
"""Names for every request to the STS, the metadata service and the credentials URI."""

# kind -> what must be given, what may be given
KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {
        "error": (("code",), ("status", "message")),
        "status": (("status",), ("body",)),
        "delay": (("seconds",), ()),
        "reset_before": ((), ()),
        "reset_after": ((), ()),
        "truncate": ((), ()),
        "corrupt_signature": ((), ()),
        "corrupt_md5": ((), ()),
        "skew": (("seconds",), ()),
        "rows": (("code",), ("message",)),
    }
)
_COMMON = ("operation", "kind", "rate", "count", "seed")
_SIGNED_ONLY = frozenset({"corrupt_signature", "corrupt_md5", "rows"})
_MAX_DELAY = 3600.0
_MAX_FAULTS = 1000


class OrderInvalid(ValueError):
    """An invalid order to the control surface; the message says why in one sentence."""


@dataclass(slots=True)
class Fault:
    """One fault that was ordered.

    Attributes:
        operation: The operation it hits: a name, ``sts``, ``metadata``, ``uri`` or ``*``.
        kind: What it does, one of ``KINDS``.
        rate: The probability that it hits a request; of the kind ``rows``, the share of a batch's rows that fail.
        count: How many requests it hits before it is spent, None for no limit.
        code: The error code of its response.
        message: The error message, empty for the usual one.
        status: The HTTP status of its response, None for that of the code.
        body: The body of a plain response.
        seconds: The delay, or how far the clock is moved.
        seed: The seed of its randomness, None for a random one.
        fired: How many times it has hit.
    """

    operation: str
    kind: str
    rate: float = 1.0
    count: int | None = None
    code: str = ""
    message: str = ""
    status: int | None = None
    body: str = ""
    seconds: float = 0.0
    seed: int | None = None
    fired: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    @property
    def spent(self) -> bool:
        """Whether it has hit as often as ordered."""
        return self.count is not None and self.fired >= self.count

    def fires(self) -> bool:
        """Return whether it hits now, and count it if so."""
        if self.spent or (self.rate < 1.0 and self._random.random() >= self.rate):
            return False
        self.fired += 1
        return True

    def rows(self) -> Callable[[], tuple[str, str] | None]:
        """Begin a batch, and count it.

        Returns:
            A function to call for each row in turn: the code and message of its error, None if it is not hit. Of ``n``
            rows ``rate * n`` fail, rounded up or down at random; which ones is random as well.
        """
        self.fired += 1
        error = (self.code, self.message or ERRORS.get(self.code, (0, ""))[1] or self.code)
        due = self._random.random()

        def row() -> tuple[str, str] | None:
            nonlocal due
            due += self.rate
            if due < 1.0:
                return None
            due -= 1.0
            return error

        return row

    def describe(self) -> dict[str, Any]:
        """Return the order as understood, and how often it has hit."""
        shown: dict[str, Any] = {"operation": self.operation, "kind": self.kind, "rate": self.rate}
        required, optional = KINDS[self.kind]
        names = ("count", "seed", *required, *optional)
        shown.update({name: getattr(self, name) for name in names if getattr(self, name) is not None})
        return {**shown, "fired": self.fired}


class Faults:
    """The faults in force, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._faults)

    def install(self, order: object) -> Fault:
        """Put a fault in force.

        Raises:
            OrderInvalid: If the order is invalid.
        """
        fault = read_order(order)
        if len(self._faults) >= _MAX_FAULTS:
            raise OrderInvalid(f"there are {_MAX_FAULTS} faults already; remove them first")
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove every fault."""
        self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults in force, spent ones included."""
        return [fault.describe() for fault in self._faults]

    def choose(self, operation: str, service: str | None = None) -> Fault | None:
        """Return the first fault that hits a request, None if none does.

        Args:
            operation: The operation, or the STS action.
            service: ``sts``, ``metadata`` or ``uri`` for a request to one of those.
        """
        for fault in self._faults:
            if fault.operation not in (operation, service, "*"):
                continue
            if fault.kind == "rows":
                # Its rate is that of the rows.
                if operation in BATCHES and not fault.spent:
                    return fault
            elif (service is None or fault.kind not in _SIGNED_ONLY) and fault.fires():
                return fault
        return None


def read_order(order: object) -> Fault:
    """Read an order for a fault.

    Args:
        order: A mapping, as the control surface receives it as JSON.

    Raises:
        OrderInvalid: If it is invalid.
    """
    if not isinstance(order, Mapping):
        raise OrderInvalid("a fault must be a JSON object")
    kind = order.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise OrderInvalid(f"kind must be one of {', '.join(KINDS)}, not {repr(kind)}")
    required, optional = KINDS[kind]
    for name in order:
        if name not in _COMMON + required + optional:
            raise OrderInvalid(
                f"a fault of kind {kind} takes no {repr(name)}{_hint(name, _COMMON + required + optional)}"
            )
    for name in ("operation", *required):
        if order.get(name) is None:
            raise OrderInvalid(f"a fault of kind {kind} needs {name!r}")
    seed = order.get("seed")
    fault = Fault(
        operation=_operation(order["operation"], kind),
        kind=kind,
        rate=_number(order, "rate", 0, 1, default=1.0),
        count=_integer(order, "count", 1, 2**53),
        code=_text(order, "code"),
        message=_text(order, "message"),
        status=_integer(order, "status", 200, 599),
        body=_text(order, "body"),
        seconds=_number(order, "seconds", *((0, _MAX_DELAY) if kind == "delay" else (-1e9, 1e9)), default=0.0),
        seed=_integer(order, "seed", -(2**63), 2**63),
    )
    if seed is not None:
        fault._random = random.Random(seed)  # noqa: S311, SLF001  not for secrets
    if kind == "status" and "body" not in order:
        fault.body = f"<html><head><title>{fault.status}</title></head><body><h1>{fault.status}</h1></body></html>\n"
    return fault


def _operation(name: object, kind: str) -> str:
    known = ("*", *SERVICES, *ACTIONS, *OPERATIONS)
    if not isinstance(name, str) or name not in known:
        raise OrderInvalid(f"there is no operation {repr(name)}{_hint(name, known)}")
    if kind in _SIGNED_ONLY and name in SERVICES + ACTIONS:
        raise OrderInvalid(f"a fault of kind {kind} cannot be done to {name}")
    if kind == "rows" and name not in (*BATCHES, "*"):
        raise OrderInvalid(f"a fault of kind rows is done to BatchGetRow, BatchWriteRow or *, not to {name}")
    return name


def _hint(name: object, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(name), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _number(order: Mapping[str, Any], name: str, low: float, high: float, *, default: float) -> float:
    value = order.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OrderInvalid(f"{name} must be a number, not {repr(value)}")
    if not low <= value <= high:  # also false for NaN
        raise OrderInvalid(f"{name} must be from {low:g} to {high:g}, not {repr(value)}")
    return float(value)


def _integer(order: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = order.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OrderInvalid(f"{name} must be a whole number from {low} to {high}, not {repr(value)}")
    return value


def _text(order: Mapping[str, Any], name: str) -> str:
    value = order.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise OrderInvalid(f"{name} must be a text, not {repr(value)}")
    if any("\ud800" <= character <= "\udfff" for character in value):  # JSON can contain it, a response cannot
        raise OrderInvalid(f"{name} must be a text, and {repr(value)} has half a character")
    return value
