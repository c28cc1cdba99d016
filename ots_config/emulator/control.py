"""The control surface under ``/_emulator/``: JSON, for clients on the same machine only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from reprlib import repr  # noqa: A004  what was sent may be long
from typing import TYPE_CHECKING, Any

from ots_config.emulator.faults import FaultInvalid
from ots_config.emulator.messages import Answer, Request

if TYPE_CHECKING:
    from ots_config.emulator.server import Server

_PREFIX = "/_emulator/"
_LONGEST_LIFETIME = 43_200


class OrderInvalid(ValueError):
    """An order that cannot be carried out; the message says why in one sentence."""


class Control:
    """Reads orders and carries them out.

    Args:
        server: What they are carried out on.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._actions: dict[str, dict[str, Callable[[Mapping[str, Any]], Any]]] = {
            "faults": {"GET": self._show_faults, "POST": self._add_fault, "DELETE": self._clear_faults},
            "log": {"GET": self._show_log, "DELETE": self._clear_log},
            "sts": {"GET": self._show_sts, "POST": self._order_sts},
            "keys": {"POST": self._add_key},
            "revoke": {"POST": self._revoke},
            "reset": {"POST": self._reset},
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request; what cannot be carried out changes nothing."""
        if not _is_local(request.peer):
            return _json(403, {"error": "the control surface is for this machine only"})
        methods = self._actions.get(request.path.removeprefix(_PREFIX))
        if methods is None:
            return _json(404, {"error": f"there is no {request.path}; there are {', '.join(self._actions)}"})
        action = methods.get("GET" if request.method == "HEAD" else request.method)
        if action is None:
            answer = _json(405, {"error": f"{request.path} takes {', '.join(methods)}"})
            answer.headers += f"Allow: {', '.join(methods)}\r\n"
            return answer
        if request.unread:
            return _json(request.unread, {"error": "the body is too large, or did not come"})
        try:
            return _json(200, action(_read(request) if request.method == "POST" else {}))
        except (OrderInvalid, FaultInvalid) as error:
            return _json(400, {"error": str(error)})

    # --- faults and log ---------------------------------------------------------------------------------------

    def _show_faults(self, _: Mapping[str, Any]) -> Any:
        return self._server.faults.describe()

    def _add_fault(self, order: Mapping[str, Any]) -> Any:
        return self._server.faults.install(order).describe()

    def _clear_faults(self, _: Mapping[str, Any]) -> Any:
        self._server.faults.clear()
        return {}

    def _show_log(self, _: Mapping[str, Any]) -> Any:
        return self._server.journal.entries()

    def _clear_log(self, _: Mapping[str, Any]) -> Any:
        self._server.journal.clear()
        return {}

    # --- keys -------------------------------------------------------------------------------------------------

    def _show_sts(self, _: Mapping[str, Any]) -> Any:
        return {"lifetime": self._server.keys.lifetime, "reject": self._server.sts.reject}

    def _order_sts(self, order: Mapping[str, Any]) -> Any:
        """Change what is named and leave the rest; null takes an order back."""
        _only(order, "lifetime", "reject")
        lifetime, reject = order.get("lifetime"), order.get("reject")
        number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool)
        if lifetime is not None and not (number and 0 < lifetime <= _LONGEST_LIFETIME):
            raise OrderInvalid(
                f"lifetime must be seconds, more than 0 and at most {_LONGEST_LIFETIME}, not {repr(lifetime)}"
            )
        if reject is not None and not (isinstance(reject, str) and reject):
            raise OrderInvalid(f"reject must be an error code, Throttling.User for one, not {repr(reject)}")
        if "lifetime" in order:
            self._server.keys.lifetime = lifetime
        if "reject" in order:
            self._server.sts.reject = reject
        return self._show_sts(order)

    def _add_key(self, order: Mapping[str, Any]) -> Any:
        _only(order, "access_key_id", "access_key_secret")
        key_id, secret = _text(order, "access_key_id"), _text(order, "access_key_secret")
        self._server.keys.add(key_id, secret)
        return {"access_key_id": key_id}

    def _revoke(self, order: Mapping[str, Any]) -> Any:
        _only(order, "access_key_id")
        key_id = _text(order, "access_key_id")
        if not self._server.keys.revoke(key_id):
            raise OrderInvalid(f"there is no access key {repr(key_id)}")
        return {"access_key_id": key_id}

    def _reset(self, order: Mapping[str, Any]) -> Any:
        _only(order)
        self._server.reset()
        return {}


def _is_local(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _read(request: Request) -> Mapping[str, Any]:
    try:
        order = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise OrderInvalid("the body must be JSON") from None
    if not isinstance(order, dict):
        raise OrderInvalid("the body must be a JSON object")
    return order


def _only(order: Mapping[str, Any], *names: str) -> None:
    for name in order:
        if name not in names:
            raise OrderInvalid(f"{repr(name)} is not known here; known are: {', '.join(names) or 'none'}")


def _text(order: Mapping[str, Any], name: str) -> str:
    value = order.get(name)
    if not (isinstance(value, str) and value.isascii() and value.isprintable() and value):
        raise OrderInvalid(f"{name} must be printable ASCII")
    return value


def _json(status: int, body: Any) -> Answer:
    return Answer(status, "Content-Type: application/json\r\n", json.dumps(body).encode() + b"\n")
