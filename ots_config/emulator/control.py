"""The control surface under ``/_emulator/``: JSON, for clients on the same machine only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from reprlib import repr  # noqa: A004  what was sent may be long
from typing import Any

from ots_config.emulator.cloud.access_keys import AccessKeys
from ots_config.emulator.cloud.sts import SecurityTokenService
from ots_config.emulator.console import Console
from ots_config.emulator.faults import Faults, OrderInvalid
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse
from ots_config.emulator.request_log import RequestLog

_PREFIX = "/_emulator/"
_MAX_LIFETIME = 43_200
_MAX_KEYS = 100
_FOR_BROWSERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class ControlSurface:
    """Reads orders and carries them out.

    Args:
        faults: The faults in force.
        log: The log of requests.
        keys: The access keys.
        sts: The STS.
        console: Responds to what the page asks for besides.
        reset: Empties the instances and resets the rest.
    """

    def __init__(
        self,
        *,
        faults: Faults,
        log: RequestLog,
        keys: AccessKeys,
        sts: SecurityTokenService,
        console: Console,
        reset: Callable[[], None],
    ) -> None:
        self._console = console
        self._faults = faults
        self._log = log
        self._keys = keys
        self._sts = sts
        self._reset_all = reset
        self._actions: dict[str, dict[str, Callable[[Mapping[str, Any]], Any]]] = {
            "faults": {
                "GET": lambda _: faults.describe(),
                "POST": lambda order: faults.install(order).describe(),
                "DELETE": self._clear_faults,
            },
            "log": {"GET": lambda _: log.entries(), "DELETE": self._clear_log},
            "sts": {"GET": self._show_sts, "POST": self._change_sts},
            "keys": {"GET": self._show_keys, "POST": self._add_key},
            "revoke": {"POST": self._revoke},
            "reset": {"POST": self._reset},
        }

    def respond(self, request: EmulatorRequest, refusal: str) -> EmulatorResponse:
        """Respond to a request, unless there is a refusal; an invalid order changes nothing."""
        if not _is_local(request.peer):
            refusal = "the control surface is for this machine only"
        if refusal:
            return _json(403, {"error": refusal})
        path = request.path.removeprefix(_PREFIX)
        if show := self._console.find(path):
            return self._shown(request, show)
        methods = self._actions.get(path)
        if methods is None:
            return _json(404, {"error": f"there is no {request.path}; there are {', '.join(self._actions)}"})
        return self._carry_out(request, methods)

    @staticmethod
    def _carry_out(
        request: EmulatorRequest, methods: Mapping[str, Callable[[Mapping[str, Any]], Any]]
    ) -> EmulatorResponse:
        action = methods.get("GET" if request.method == "HEAD" else request.method)
        if action is None:
            response = _json(405, {"error": f"{request.path} takes {', '.join(methods)}"})
            response.headers["Allow"] = ", ".join(methods)
            return response
        if request.unread:
            return _json(request.unread, {"error": "the body is too large or incomplete"})
        try:
            return _json(200, action(_read(request) if request.method == "POST" else {}))
        except OrderInvalid as error:
            return _json(400, {"error": str(error)})

    def _shown(
        self, request: EmulatorRequest, show: Callable[[EmulatorRequest], EmulatorResponse | Any]
    ) -> EmulatorResponse:
        """Respond with what the console shows."""
        if request.method not in {"GET", "HEAD"}:
            return _json(405, {"error": f"{request.path} takes GET"})
        try:
            shown = show(request)
        except OrderInvalid as error:
            return _json(400, {"error": str(error)})
        except LookupError as error:
            return _json(404, {"error": str(error.args[0])})
        if not isinstance(shown, EmulatorResponse):
            return _json(200, shown)
        headers = {**shown.headers, **_FOR_BROWSERS}
        return EmulatorResponse(
            shown.status, headers, shown.body, stream=shown.stream if request.method == "GET" else None
        )

    def _show_keys(self, _: Mapping[str, Any]) -> Any:
        """Return every key, the newest first, without its secret and token."""
        return [
            {
                "access_key_id": key.id,
                "expires_at": key.expires_at,
                "revoked": key.revoked,
                "owner": key.owner.arn,
            }
            for key in self._keys.newest(_MAX_KEYS)
        ]

    def _clear_faults(self, _: Mapping[str, Any]) -> Any:
        self._faults.clear()
        return {}

    def _clear_log(self, _: Mapping[str, Any]) -> Any:
        self._log.clear()
        return {}

    def _show_sts(self, _: Mapping[str, Any]) -> Any:
        return {"lifetime": self._keys.lifetime, "reject": self._sts.reject}

    def _change_sts(self, order: Mapping[str, Any]) -> Any:
        """Change what the order names; null restores the default."""
        _check_names(order, "lifetime", "reject")
        lifetime, reject = order.get("lifetime"), order.get("reject")
        number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool)
        if lifetime is not None and not (number and 0 < lifetime <= _MAX_LIFETIME):
            raise OrderInvalid(
                f"lifetime must be seconds, more than 0 and at most {_MAX_LIFETIME}, not {repr(lifetime)}"
            )
        if reject is not None and not (isinstance(reject, str) and reject):
            raise OrderInvalid(f"reject must be an error code, Throttling.User for one, not {repr(reject)}")
        if "lifetime" in order:
            self._keys.lifetime = lifetime
        if "reject" in order:
            self._sts.reject = reject
        return self._show_sts(order)

    def _add_key(self, order: Mapping[str, Any]) -> Any:
        _check_names(order, "access_key_id", "access_key_secret")
        key_id, secret = _text(order, "access_key_id"), _text(order, "access_key_secret")
        self._keys.add(key_id, secret)
        return {"access_key_id": key_id}

    def _revoke(self, order: Mapping[str, Any]) -> Any:
        _check_names(order, "access_key_id")
        key_id = _text(order, "access_key_id")
        if not self._keys.revoke(key_id):
            raise OrderInvalid(f"there is no access key {repr(key_id)}")
        return {"access_key_id": key_id}

    def _reset(self, order: Mapping[str, Any]) -> Any:
        _check_names(order)
        self._reset_all()
        return {}


def _is_local(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _read(request: EmulatorRequest) -> Mapping[str, Any]:
    try:
        order = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise OrderInvalid("the body must be JSON") from None
    if not isinstance(order, dict):
        raise OrderInvalid("the body must be a JSON object")
    return order


def _check_names(order: Mapping[str, Any], *names: str) -> None:
    for name in order:
        if name not in names:
            raise OrderInvalid(f"{repr(name)} is not known here; known are: {', '.join(names) or 'none'}")


def _text(order: Mapping[str, Any], name: str) -> str:
    value = order.get(name)
    if not (isinstance(value, str) and value.isascii() and value.isprintable() and value):
        raise OrderInvalid(f"{name} must be printable ASCII")
    return value


def _json(status: int, body: Any) -> EmulatorResponse:
    return EmulatorResponse(
        status, {"Content-Type": "application/json", **_FOR_BROWSERS}, json.dumps(body).encode() + b"\n"
    )
