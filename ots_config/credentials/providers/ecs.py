"""The RAM role of the ECS instance that the program runs on, from the instance's metadata service."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ots_config.credential_rules import url_problem
from ots_config.credentials.environment_names import (
    METADATA_DISABLED,
    METADATA_ENDPOINT,
    METADATA_ROLE,
    METADATA_V1_DISABLED,
    SETTING,
    name_of_set,
    switched_on,
    variable,
)
from ots_config.credentials.http import (
    Fetch,
    Timeouts,
    keys_in,
    read_object,
    refusal,
    send,
)
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, missing, required, unwrap
from ots_config.http_headers import date_offset

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.http import FetchResponse

WHO = "the metadata service"
METADATA_ADDRESS = "http://100.100.100.200"
# Off the cloud nothing answers: the first request must not delay a program that has no role anyway.
PROBE = Timeouts(connect=0.3, read=0.5)
# Somebody named the service or the role: it is there, but may be slow.
NAMED = Timeouts(connect=1.0, read=1.0)
_NAMED_TRIES = 3
_NAMED_PAUSE = 0.2
# Once it has given a token or keys, the service is known to be there, and gets more time under load.
KNOWN = Timeouts(connect=1.0, read=3.0)
_TOKEN_LIFETIME = 21600
_TOKEN_MARGIN = 300
_ROLES = "/latest/meta-data/ram/security-credentials/"


class ECSRoleProvider(Provider):
    """The keys of the RAM role that is attached to this ECS instance.

    Version 2 of the metadata service is spoken: a token is fetched first, kept for almost its six hours, and sent with
    each request. Version 1, which any request that a program can be tricked into reaches, is spoken only if
    ``allow_v1`` says so, ``ALIBABA_CLOUD_IMDSV1_DISABLED`` does not forbid it, and the service answers that it has no
    tokens. Off the cloud the first request is given up within a second, and the source does not apply. If the role or
    the address is named, by an argument or a variable, the service gets more time and three tries, and its absence is a
    failure.

    Args:
        fetch: The HTTP callable; it must not use a proxy for this address.
        role_name: The role; ``ALIBABA_CLOUD_ECS_METADATA`` if not given, else the service is asked.
        allow_v1: Whether to fall back to version 1.
        disabled: Whether the service is never asked; ``ALIBABA_CLOUD_ECS_METADATA_DISABLED`` says the same.
        endpoint: The service's URL; ``ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT`` if not given, else
            ``http://100.100.100.200``.
        patient: Whether the service gets more time and tries though nothing names the role or the address.
        probe: Timeouts until the service has shown that it is there.
        clock: Our time, in seconds since 1970.
        monotonic: A clock that only goes forward.
        sleep: Waits between two tries.
    """

    name = "ecs"

    def __init__(
        self,
        *,
        fetch: Fetch,
        role_name: str | None = None,
        allow_v1: bool = False,
        disabled: bool = False,
        endpoint: str | None = None,
        patient: bool = False,
        probe: Timeouts = PROBE,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._fetch = fetch
        self._role_name = role_name
        self._allow_v1 = allow_v1
        self._disabled = disabled
        self._endpoint = endpoint
        self._patient = patient
        self._probe = probe
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._forget()

    def _forget(self) -> None:
        self._known = False
        self._token: tuple[str, float] | None = None
        self._listed: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Keep the configuration, and neither the token nor what was learnt on this machine."""
        return {**self.__dict__, "_known": False, "_token": None, "_listed": None}

    def fetch_credentials(self) -> Credentials:
        """Ask the service."""
        return unwrap(required(self._tried(), self.named_by()))

    def named_by(self) -> str:
        """Return what names the role or the address; a variable that switches the source off outweighs variables."""
        if self._role_name or self._endpoint:
            return SETTING
        if self._disabled or switched_on(METADATA_DISABLED):
            return ""
        return name_of_set(METADATA_ROLE, METADATA_ENDPOINT)

    def check_named(self) -> None:
        """Check that a role is named: an address alone says where the service is, not that it is preferred.

        Raises:
            CredentialsUnavailable: If only the address is.
        """
        if not (self._role_name or variable(METADATA_ROLE)):
            unwrap(missing("only the address of the metadata service is named"))

    def _tried(self) -> Credentials | SourceFailure:
        if self._disabled:
            return missing("it is switched off")
        if switched_on(METADATA_DISABLED):
            return missing(f"{METADATA_DISABLED} is set")
        patient = self._is_patient()
        result = self._ask()
        for tries in range(1, _NAMED_TRIES if patient else 2):
            if not isinstance(result, SourceFailure) or not result.transient:
                break
            if not patient and not self._known and result.http_status is None:
                break
            if patient:
                self._sleep(_NAMED_PAUSE * tries)
            result = self._ask()
        return result

    def _is_patient(self) -> bool:
        return self._patient or bool(self.named_by())

    def _ask(self) -> Credentials | SourceFailure:
        address = self._address()
        if reason := url_problem(address, http="private"):
            return SourceFailure(f"the metadata service's address {reason}")
        given = self._role_name or variable(METADATA_ROLE)
        role = given or self._listed or self._list(address)
        if isinstance(role, SourceFailure):
            return role
        answer = self._get(address, _ROLES + quote(role, safe=""))
        if isinstance(answer, SourceFailure):
            return answer
        if answer.status == 404 and not given and self._listed:
            # Another role was attached meanwhile: the next fetch asks for its name.
            self._listed = None
            return SourceFailure(f"{WHO} no longer has a role {role}", http_status=404, transient=True)
        if answer.status == 404:
            return SourceFailure(f"{WHO} has no role {role}", http_status=404)
        found = self._keys(answer, role)
        if not isinstance(found, SourceFailure):
            self._known = True
            self._listed = None if given else role
        return found

    def _keys(self, answer: FetchResponse, role: str) -> Credentials | SourceFailure:
        fields = read_object(answer, WHO)
        if isinstance(fields, SourceFailure) or answer.status != 200 or fields.get("Code", "Success") != "Success":
            failure = refusal(answer, fields, who=WHO)
            return replace(failure, reason=f"role {role}: {failure.reason}")
        now = self._clock()
        offset = date_offset(answer.headers.get("date"), now)
        return keys_in(fields, who=WHO, source=self.name, offset=offset, now=now)

    def _list(self, address: str) -> str | SourceFailure:
        """Ask which role is attached."""
        answer = self._get(address, _ROLES)
        if isinstance(answer, SourceFailure):
            return answer
        if answer.status == 404:
            return missing("no RAM role is attached to this ECS instance")
        names = answer.body[:1024].decode("ascii", "replace").split()
        if answer.status != 200 or len(names) != 1 or not names[0].replace("-", "").replace("_", "").isalnum():
            transient = answer.status >= 500
            reason = f"{WHO} gave no name of a role"
            return SourceFailure(reason, http_status=answer.status, transient=transient)
        return names[0]

    def _get(self, address: str, path: str) -> FetchResponse | SourceFailure:
        """Send one request with a token; a token that is no longer taken is replaced once."""
        headers = self._headers(address)
        if isinstance(headers, SourceFailure):
            return headers
        answer = self._send("GET", address + path, headers)
        if not isinstance(answer, SourceFailure) and answer.status == 401 and headers:
            self._token = None
            headers = self._headers(address)
            return headers if isinstance(headers, SourceFailure) else self._send("GET", address + path, headers)
        return answer

    def _headers(self, address: str) -> dict[str, str] | SourceFailure:
        """Return the header with the token, fetched if need be; none if version 1 may and must be spoken."""
        if self._token is None or self._monotonic() >= self._token[1]:
            lifetime = {"x-aliyun-ecs-metadata-token-ttl-seconds": str(_TOKEN_LIFETIME)}
            answer = self._send("PUT", f"{address}/latest/api/token", lifetime)
            if isinstance(answer, SourceFailure):
                return answer
            token = answer.body[:4096].decode("latin-1").strip()
            usable = token.isascii() and token.isprintable() and " " not in token and token[:1] != "<"
            if answer.status != 200 or not token or not usable:
                return self._without_token(answer.status)
            self._token = (token, self._monotonic() + _TOKEN_LIFETIME - _TOKEN_MARGIN)
            self._known = True
        return {"x-aliyun-ecs-metadata-token": self._token[0]}

    def _without_token(self, status: int) -> dict[str, str] | SourceFailure:
        if self._allow_v1 and not switched_on(METADATA_V1_DISABLED):
            return {}
        # Somewhere else than on an instance, anything may live at this address: what has never behaved like the
        # service, and was not asked for by name, is not taken for it.
        reason = f"{WHO} gave no token, and version 1 without tokens is not allowed"
        applies = self._known or bool(self.named_by())
        return SourceFailure(reason, applies=applies, http_status=status, transient=status >= 500)

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> FetchResponse | SourceFailure:
        timeouts = KNOWN if self._known else NAMED if self._is_patient() else self._probe
        # A PUT without a body must still say so: some servers wait for one otherwise.
        body = b"" if method == "PUT" else None
        answer = send(self._fetch, method, url, who=WHO, headers=headers, body=body, timeouts=timeouts)
        return replace(answer, applies=self._known) if isinstance(answer, SourceFailure) else answer

    def _address(self) -> str:
        return (self._endpoint or variable(METADATA_ENDPOINT) or METADATA_ADDRESS).rstrip("/")

    def describe(self) -> str:
        """Return the address and the role."""
        role = self._role_name or variable(METADATA_ROLE)
        return f"{f'role {role}' if role else 'the role of this ECS instance'} at {self._address()}"
