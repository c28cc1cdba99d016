"""Requests in the style of Alibaba Cloud's RPC: their parameters, their signatures, and their errors."""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from ots_config.credentials.rpc_signature import percent_encode, sign_rpc
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse

ERRORS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "AuthenticationFail.NoPermission": (400, "Parameter OIDCProviderArn is not valid"),
        "AuthenticationFail.OIDCToken.Expired": (400, "This JsonWebToken is expired."),
        "EntityNotExist.Role": (404, "The role does not exist."),
        "InternalError": (500, "The request processing has failed due to some unknown error."),
        "InvalidAccessKeyId.Inactive": (400, "Specified access key is disabled."),
        "InvalidAccessKeyId.NotFound": (404, "Specified access key is not found."),
        "InvalidAction.NotFound": (404, "Specified api is not found, please check your url and method."),
        "InvalidSecurityToken.Expired": (400, "Specified SecurityToken is expired."),
        "InvalidSecurityToken.Malformed": (400, "Specified SecurityToken is malformed."),
        "InvalidSecurityToken.MismatchWithAccessKey": (
            400,
            "Specified SecurityToken mismatch with the AccessKey.",
        ),
        "InvalidTimeStamp.Expired": (400, "Specified time stamp or date value is expired."),
        "InvalidTimeStamp.Format": (400, "Specified time stamp or date value is not well formatted."),
        "InvalidVersion": (400, "Specified parameter Version is not valid."),
        "NoPermission": (403, "You are not authorized to do this action. You should be authorized by RAM."),
        "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
        "SignatureDoesNotMatch": (400, "Specified signature is not matched with our calculation."),
        "SignatureNonceUsed": (400, "Specified signature nonce was used already."),
        "Throttling": (400, "Request was denied due to request throttling."),
        "Throttling.User": (400, "Request was denied due to user flow control."),
        "UnsupportedHTTPMethod": (405, "This http method is not supported."),
    }
)
"""The error codes of the STS, and others that tests may order: status and message."""

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_ACS3 = "ACS3-HMAC-SHA256"
_ACS3_PARTS = re.compile(r"Credential=([^,]*), *SignedHeaders=([^,]*), *Signature=([0-9a-f]*)")


class ApiError(Exception):
    """An error that the STS answers with.

    Args:
        code: The error code.
        message: The message, the usual one of the code if None.
        status: The HTTP status, that of the code if None.
    """

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        usual = ERRORS.get(code, (400, code))
        self.code = code
        self.message = usual[1] if message is None else message
        self.status = usual[0] if status is None else status
        super().__init__(self.code, self.message)


def missing(name: str) -> ApiError:
    """Return the error for a missing parameter."""
    return ApiError(f"Missing{name}", f"{name} is mandatory for this action.")


def wrong(name: str, why: str) -> ApiError:
    """Return the error for an invalid parameter."""
    return ApiError(f"InvalidParameter.{name}", f"The parameter {name} {why}.")


@dataclass(frozen=True, slots=True, repr=False)
class RPCCall:
    """The parameters of a request, not checked yet.

    Attributes:
        parameters: Every parameter of the query and of the form.
        token: The STS token of the key that signed it.
        verify: Returns whether the signature was made with a secret. What is missing is an empty string.
    """

    parameters: Mapping[str, str]
    action: str
    version: str
    access_key_id: str
    token: str
    nonce: str
    timestamp: str
    signature: str
    verify: Callable[[str], bool]


def read_call(request: EmulatorRequest) -> RPCCall:
    """Read the parameters of a request, in the query, the form or the headers."""
    parameters = _pairs(request.query)
    if request.method == "POST" and not request.headers.get("content-type", "").startswith("application/json"):
        parameters.update(_pairs(request.body.decode("utf-8", "replace")))
    if request.headers.get("authorization", "").startswith(_ACS3):
        return _read_acs3(request, parameters)

    def verify(secret: str) -> bool:
        # A HEAD is signed like a GET.
        expected = sign_rpc(secret, "GET" if request.method == "HEAD" else request.method, parameters)
        return hmac.compare_digest(expected.encode(), parameters.get("Signature", "").encode())

    return RPCCall(
        parameters=parameters,
        action=parameters.get("Action", ""),
        version=parameters.get("Version", ""),
        access_key_id=parameters.get("AccessKeyId", ""),
        token=parameters.get("SecurityToken", ""),
        nonce=parameters.get("SignatureNonce", ""),
        timestamp=parameters.get("Timestamp", ""),
        signature=parameters.get("Signature", ""),
        verify=verify,
    )


def _pairs(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))
    except ValueError:
        return {}


def sign_acs3(
    secret: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], payload: str
) -> str:
    """Return the ACS3-HMAC-SHA256 signature of a request.

    Args:
        secret: The AccessKey secret.
        method: The HTTP method.
        path: The path, ``/`` for RPC.
        query: The parameters of the query.
        headers: The signed headers, in their order.
        payload: The body's SHA-256 in hexadecimal.
    """
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(query.items())),
            "".join(f"{name}:{value}\n" for name, value in headers.items()),
            ";".join(headers),
            payload,
        )
    )
    text = f"{_ACS3}\n{sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def _read_acs3(request: EmulatorRequest, parameters: dict[str, str]) -> RPCCall:
    headers = request.headers
    parts = _ACS3_PARTS.search(headers["authorization"])
    key_id, signed, signature = parts.groups() if parts else ("", "", "")

    def verify(secret: str) -> bool:
        payload = sha256(request.body).hexdigest()
        if headers.get("x-acs-content-sha256", payload) != payload:
            return False
        names = {name: headers.get(name, "") for name in signed.split(";")}
        expected = sign_acs3(secret, request.method, request.path, _pairs(request.query), names, payload)
        return hmac.compare_digest(expected, signature)

    return RPCCall(
        parameters=parameters,
        action=headers.get("x-acs-action", ""),
        version=headers.get("x-acs-version", ""),
        access_key_id=key_id,
        token=headers.get("x-acs-security-token", ""),
        nonce=headers.get("x-acs-signature-nonce", ""),
        timestamp=headers.get("x-acs-date", ""),
        signature=signature,
        verify=verify,
    )


def read_timestamp(text: str) -> float:
    """Return a timestamp in seconds since the epoch.

    Raises:
        ApiError: If it is malformed.
    """
    try:
        if _TIMESTAMP.fullmatch(text):
            return datetime.fromisoformat(text).timestamp()
    except ValueError:  # a thirteenth month, for example
        pass
    raise ApiError("InvalidTimeStamp.Format")


def write_timestamp(seconds: float) -> str:
    """Return a time as the STS writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def json_response(status: int, body: Mapping[str, Any], now: float) -> EmulatorResponse:
    """Return a response with JSON and a request id."""
    request_id = str(uuid.uuid4()).upper()
    text = json.dumps({"RequestId": request_id, **body}, separators=(",", ":"))
    headers = {"Content-Type": "application/json;charset=utf-8", "x-acs-request-id": request_id}
    return EmulatorResponse(status, headers, text.encode(), at=now)


def error_response(error: ApiError, now: float) -> EmulatorResponse:
    """Return the response for an error."""
    body = {"HostId": "sts.aliyuncs.com", "Code": error.code, "Message": error.message}
    return json_response(error.status, body, now)
