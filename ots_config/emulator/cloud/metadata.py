"""The metadata service of an ECS instance, version 2 and 1, and the credentials URI of a container."""

from __future__ import annotations

import json
import re
import secrets

from ots_config.emulator.cloud.access_keys import AccessKey, AccessKeys
from ots_config.emulator.cloud.openapi import write_timestamp
from ots_config.emulator.cloud.sts import credentials
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse, text_response

ROLE = "emulator-role"
INSTANCE_ID = "i-bp1emulator0000000001"
LIFETIME = 21_600
"""Lifetime in seconds of the key of an instance's role."""

_CREDENTIALS = "/latest/meta-data/ram/security-credentials/"
_LEAVES = {
    "/latest/meta-data/instance-id": INSTANCE_ID,
    "/latest/meta-data/owner-account-id": "1234567890123456",
    "/latest/meta-data/region-id": "cn-hangzhou",
    "/latest/meta-data/zone-id": "cn-hangzhou-h",
}
_TTL = re.compile(r"\d{1,5}", re.ASCII)
_MAX_TOKENS = 4096


class MetadataService:
    """Both services, for one instance with a role.

    Args:
        keys: The keys that they issue.
        v1: Whether version 1 is allowed: requests without a token, as on instances that are not hardened.
        role: The name of the role.
    """

    def __init__(self, keys: AccessKeys, *, v1: bool = True, role: str = ROLE) -> None:
        self._keys = keys
        self._v1 = v1
        self._role = role
        self._leaves = {**_LEAVES, _CREDENTIALS: role, _CREDENTIALS.rstrip("/"): role}
        self._tokens: dict[str, float] = {}
        self._issued: dict[str, tuple[AccessKey, float, float | None]] = {}

    def respond(self, request: EmulatorRequest, now: float, skew: float = 0.0) -> EmulatorResponse:
        """Respond to a request to ``/latest/...``, by a clock that is wrong by `skew`."""
        response = self._token(request, now) if request.path == "/latest/api/token" else self._data(request, now, skew)
        response.at = now + skew
        return response

    def credentials_uri(self, request: EmulatorRequest, now: float, skew: float = 0.0) -> EmulatorResponse:
        """Respond to a request to the credentials URI."""
        if request.method not in {"GET", "HEAD"}:
            response = text_response(405, "Method Not Allowed\n")
        else:
            response = self._credentials("container", now, skew)
        response.at = now + skew
        return response

    def _token(self, request: EmulatorRequest, now: float) -> EmulatorResponse:
        if request.method != "PUT":
            return text_response(405, "Method Not Allowed\n")
        ttl = request.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds", "")
        if not _TTL.fullmatch(ttl) or not 1 <= int(ttl) <= LIFETIME:
            return text_response(400, "X-aliyun-ecs-metadata-token-ttl-seconds must be from 1 to 21600.\n")
        if len(self._tokens) >= _MAX_TOKENS:
            live = [(token, end) for token, end in self._tokens.items() if end > now]
            self._tokens = dict(live[-_MAX_TOKENS // 2 :])
        token = secrets.token_urlsafe(42)
        self._tokens[token] = now + int(ttl)
        return text_response(200, token)

    def _data(self, request: EmulatorRequest, now: float, skew: float) -> EmulatorResponse:
        if request.method not in {"GET", "HEAD"}:
            return text_response(405, "Method Not Allowed\n")
        token = request.headers.get("x-aliyun-ecs-metadata-token")
        if token is None and not self._v1:
            return text_response(403, "A metadata token is needed.\n")
        if token is not None and self._tokens.get(token, 0) <= now:
            return text_response(401, "The metadata token is not known, or it has expired.\n")
        if request.path == _CREDENTIALS + self._role:
            return self._credentials(INSTANCE_ID, now, skew)
        text = self._leaves.get(request.path)
        if text is not None:
            return text_response(200, text)
        return text_response(404, "<html><body><h1>404 - Not Found</h1></body></html>\n", kind="text/html")

    def _credentials(self, session: str, now: float, skew: float) -> EmulatorResponse:
        key, updated = self._current(session, now)
        body = {"Code": "Success", "LastUpdated": write_timestamp(updated + skew), **credentials(key, skew)}
        return EmulatorResponse(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _current(self, session: str, now: float) -> tuple[AccessKey, float]:
        """Return the current key, which as on an instance is replaced halfway through its lifetime."""
        issued = self._issued.get(session)
        if issued is not None:
            key, since, lifetime = issued
            fresh = (key.expires_at or 0) - now > ((key.expires_at or 0) - since) / 2
            if fresh and not key.revoked and lifetime == self._keys.lifetime:
                return key, since
        key = self._keys.issue(now, LIFETIME, role=self._role, session=session)
        self._issued[session] = (key, now, self._keys.lifetime)
        return key, now
