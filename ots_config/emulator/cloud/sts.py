"""The Security Token Service: AssumeRole, AssumeRoleWithOIDC and GetCallerIdentity, signatures checked."""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from ots_config.emulator.cloud.access_keys import ACCOUNT, AccessKey, AccessKeys, role_id
from ots_config.emulator.cloud.openapi import (
    ApiError,
    RPCCall,
    json_response,
    missing,
    read_timestamp,
    write_timestamp,
    wrong,
)
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse

ACTIONS = ("AssumeRole", "AssumeRoleWithOIDC", "GetCallerIdentity")
VERSION = "2015-04-01"
_SKEW = 15 * 60
_MIN_DURATION, _MAX_DURATION = 900, 43_200
_MAX_NONCES = 200_000
_ROLE = re.compile(r"acs:ram::(\d+):role/([\w.+=,@/-]{1,128})", re.ASCII)
_PROVIDER = re.compile(r"acs:ram::\d+:(?:oidc-provider|saml-provider)/[\w.@-]{1,128}", re.ASCII)
_SESSION = re.compile(r"[a-zA-Z0-9.@_-]{2,64}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


class SecurityTokenService:
    """The STS.

    Attributes:
        reject: The error code for every request, None to respond normally.
    """

    def __init__(self, keys: AccessKeys) -> None:
        self._keys = keys
        self._nonces: dict[tuple[str, str], float] = {}
        self.reject: str | None = None

    def respond(self, request: EmulatorRequest, call: RPCCall, now: float, skew: float = 0.0) -> EmulatorResponse:
        """Respond to a request, by a clock that shows `now` and is wrong by `skew`.

        Raises:
            ApiError: If the request is refused.
        """
        if request.method not in {"GET", "POST", "HEAD"}:
            raise ApiError("UnsupportedHTTPMethod")
        if request.unread:
            raise ApiError("InvalidRequestBody", "The body of the request was not read.", request.unread)
        if self.reject is not None:
            raise ApiError(self.reject)
        if not call.action:
            raise missing("Action")
        if call.action not in ACTIONS:
            raise ApiError("InvalidAction.NotFound")
        if not call.version:
            raise missing("Version")
        if call.version != VERSION:
            raise ApiError("InvalidVersion")
        if call.parameters.get("Format", "JSON").upper() != "JSON":
            raise wrong("Format", "must be JSON here")
        if call.action == "AssumeRoleWithOIDC":
            body = self._assume_role_with_oidc(call.parameters, now, skew)
        else:
            key = self._authenticate(call, now, skew)
            body = (
                self._assume_role(call.parameters, now, skew) if call.action == "AssumeRole" else _caller_identity(key)
            )
        return json_response(200, body, now)

    def _authenticate(self, call: RPCCall, now: float, skew: float) -> AccessKey:
        _check_claims(call)
        if abs(read_timestamp(call.timestamp) - now) > _SKEW:
            raise ApiError("InvalidTimeStamp.Expired")
        key = self._keys.find(call.access_key_id)
        if key is None:
            raise ApiError("InvalidAccessKeyId.NotFound")
        if not call.verify(key.secret):
            raise ApiError("SignatureDoesNotMatch")
        if key.revoked:
            raise ApiError("InvalidAccessKeyId.Inactive")
        if key.token is not None and not call.token:
            raise missing("SecurityToken")
        if not hmac.compare_digest((key.token or "").encode(), call.token.encode()):
            raise ApiError("InvalidSecurityToken.MismatchWithAccessKey")
        if key.expired(now - skew):
            raise ApiError("InvalidSecurityToken.Expired")
        self._use_nonce((key.id, call.nonce), now)
        return key

    def _use_nonce(self, nonce: tuple[str, str], now: float) -> None:
        if nonce in self._nonces:
            raise ApiError("SignatureNonceUsed")
        self._nonces[nonce] = now
        if len(self._nonces) > _MAX_NONCES:
            for old in list(self._nonces)[: _MAX_NONCES // 2]:
                del self._nonces[old]

    def _assume_role(self, parameters: Mapping[str, str], now: float, skew: float) -> dict[str, Any]:
        external_id = parameters.get("ExternalId")
        if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
            raise wrong("ExternalId", "must be 2 to 1224 characters of those allowed")
        return self._issue(parameters, now, skew)

    def _assume_role_with_oidc(self, parameters: Mapping[str, str], now: float, skew: float) -> dict[str, Any]:
        for name in ("OIDCProviderArn", "OIDCToken"):
            if not parameters.get(name):
                raise missing(name)
        if not _PROVIDER.fullmatch(parameters["OIDCProviderArn"]):
            raise ApiError("AuthenticationFail.NoPermission")
        # Some SDKs leave the line feed at the end of the token's file; the service accepts it.
        token = parameters["OIDCToken"].strip()
        if not 4 <= len(token) <= 20_000:
            raise wrong("OIDCToken", "must be 4 to 20000 characters")
        claims = _claims(token)
        expires = claims.get("exp")
        if isinstance(expires, int | float) and expires <= now:
            raise ApiError("AuthenticationFail.OIDCToken.Expired")
        audience = claims.get("aud", "sts.aliyuncs.com")
        info = {
            "Subject": str(claims.get("sub", "system:serviceaccount:default:emulator")),
            "Issuer": str(claims.get("iss", "https://oidc.emulator")),
            "ClientIds": ",".join(map(str, audience)) if isinstance(audience, list) else str(audience),
        }
        return {"OIDCTokenInfo": info, **self._issue(parameters, now, skew)}

    def _issue(self, parameters: Mapping[str, str], now: float, skew: float) -> dict[str, Any]:
        for name in ("RoleArn", "RoleSessionName"):
            if not parameters.get(name):
                raise missing(name)
        role = _ROLE.fullmatch(parameters["RoleArn"])
        if role is None:
            raise wrong("RoleArn", "is wrongly formed")
        session = parameters["RoleSessionName"]
        if not _SESSION.fullmatch(session):
            raise wrong("RoleSessionName", "must be 2 to 64 letters, digits and .@_-")
        _check_policy(parameters.get("Policy"))
        account, name = role.groups()
        key = self._keys.issue(now - skew, _duration(parameters), role=name.lower(), session=session, account=account)
        user = {
            "Arn": f"acs:ram::{account}:role/{name.lower()}/{session}",
            "AssumedRoleId": f"{role_id(name.lower())}:{session}",
        }
        return {"AssumedRoleUser": user, "Credentials": credentials(key, skew)}


def credentials(key: AccessKey, skew: float = 0.0) -> dict[str, str]:
    """Return a temporary key in the form that every service issues it."""
    return {
        "AccessKeyId": key.id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.token or "",
        "Expiration": write_timestamp((key.expires_at or 0) + skew),
    }


def _check_claims(call: RPCCall) -> None:
    for name, value in (
        ("AccessKeyId", call.access_key_id),
        ("Timestamp", call.timestamp),
        ("SignatureNonce", call.nonce),
        ("Signature", call.signature),
    ):
        if not value:
            raise missing(name)
    for name, only in (("SignatureMethod", "HMAC-SHA1"), ("SignatureVersion", "1.0")):
        if call.parameters.get(name, only) != only:
            raise wrong(name, f"must be {only}")


def _caller_identity(key: AccessKey) -> dict[str, Any]:
    owner = key.owner
    shown = {
        "IdentityType": owner.kind,
        "AccountId": owner.arn.split(":")[3] or ACCOUNT,
        "PrincipalId": owner.principal,
        "Arn": owner.arn,
    }
    if owner.kind == "AssumedRoleUser":
        shown["RoleId"] = owner.principal.partition(":")[0]
    else:
        shown["UserId"] = owner.principal
    return shown


def _duration(parameters: Mapping[str, str]) -> int:
    text = parameters.get("DurationSeconds") or "3600"
    if not (text.isascii() and text.isdigit() and len(text) < 10 and _MIN_DURATION <= int(text) <= _MAX_DURATION):
        raise wrong("DurationSeconds", f"must be a whole number from {_MIN_DURATION} to {_MAX_DURATION}")
    return int(text)


def _check_policy(policy: str | None) -> None:
    if policy is None:
        return
    if not 1 <= len(policy) <= 2048:
        raise ApiError("InvalidParameter.PolicySize", "The size of Policy must be from 1 to 2048 characters.")
    try:
        read = json.loads(policy)
    except (ValueError, RecursionError):
        read = None
    if not (isinstance(read, dict) and "Version" in read and isinstance(read.get("Statement"), list)):
        raise ApiError("InvalidParameter.PolicyGrammar", "The parameter Policy has not passed grammar check.")


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JSON web token, none for any other text, which tests may use."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        read = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
