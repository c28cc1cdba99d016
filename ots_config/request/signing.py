"""Signatures of requests and responses, version 2 and version 4, and the checks of a response.

The rules are those of the wire protocol, version 2015-12-31, as the official SDK 6.4.8 computes them:

- request V2: ``base64(HMAC-SHA1(secret, S))``, S = path, ``POST``, an empty query, then each ``x-ots-*`` header as
  ``name:value``, sorted, every line ended by a line feed;
- request V4: ``base64(HMAC-SHA256(K, S + "ots"))``, K = base64 text of a chain of HMAC-SHA256 over date and region;
- response: ``base64(HMAC-SHA1(key, H + path))``, H = the sorted ``x-ots-*`` lines, key = the secret, or K under V4.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from datetime import timedelta
from hashlib import md5
from time import gmtime, strftime
from typing import TYPE_CHECKING

from ots_config.errors import RequestInvalid, ResponseInvalid
from ots_config.http_headers import ots_date_offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ots_config.credentials.credentials import Credentials

API_VERSION = "2015-12-31"
PREFIX = "x-ots-"
SIGNATURE_V2 = "x-ots-signature"
SIGNATURE_V4 = "x-ots-signaturev4"
_SIGNATURES = (SIGNATURE_V2, SIGNATURE_V4)
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S.000Z"
MAX_SKEW = timedelta(minutes=15)
"""How far the clocks of both ends may differ, a limit of the service."""

_LINE = ":".join
"""Makes a line of the pair of a header's name and value."""

_REQUIRED_IN_RESPONSE = ("x-ots-contentmd5", "x-ots-requestid", "x-ots-date", "x-ots-contenttype")


# --- the three formulas, shared by both ends of the wire ----------------------------------------------------


def header_lines(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the ``name:value`` lines of the ``x-ots-*`` headers, sorted by name, signatures left out."""
    chosen: list[tuple[str, str]] = []
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(PREFIX) and lower not in _SIGNATURES:
            chosen.append((lower, value.strip()))
    chosen.sort()
    return list(map(_LINE, chosen))


def content_md5(body: bytes) -> str:
    """Return the value of ``x-ots-contentmd5``: a checksum of the protocol, not a protection."""
    return b2a_base64(md5(body, usedforsecurity=False).digest(), newline=False).decode()


def sign_v2(secret: str, path: str, lines: Iterable[str]) -> str:
    """Return ``x-ots-signature`` over the header lines."""
    return _hmac_base64(secret.encode(), _string_to_sign(path, lines), "sha1")


def sign_v4(key: bytes, path: str, lines: Iterable[str]) -> str:
    """Return ``x-ots-signaturev4`` over the header lines; ``key`` is of ``derive_v4_key``."""
    return _hmac_base64(key, _string_to_sign(path, lines) + "ots", "sha256")


def derive_v4_key(secret: str, sign_date: str, region: str) -> bytes:
    """Return the signing key of one day (``YYYYMMDD``) and region: the base64 text of the chain's last digest."""
    key = ("aliyun_v4" + secret).encode()
    for part in (sign_date, region, "ots", "aliyun_v4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return b2a_base64(key, newline=False)


def sign_response(key: bytes, path: str, lines: Iterable[str]) -> str:
    """Return the signature of a response; ``key`` is the secret (V2) or the derived key (V4), always HMAC-SHA1."""
    return _hmac_base64(key, "\n".join(lines) + "\n" + path, "sha1")


def _string_to_sign(path: str, lines: Iterable[str]) -> str:
    return f"{path}\nPOST\n\n" + "\n".join(lines) + "\n"


def _hmac_base64(key: bytes, text: str, digest: str) -> str:
    return b2a_base64(hmac.digest(key, text.encode(), digest), newline=False).decode()


class SignedHeaders(dict[str, str]):
    """The headers of a signed request; a debugger or a log shows their names only."""

    def __repr__(self) -> str:
        return f"<SignedHeaders {', '.join(self)}>"


class SigningKey(bytes):
    """What a request is signed with and its response must be; never shown."""

    def __repr__(self) -> str:
        return "<SigningKey>"

    __str__ = __repr__


# --- the client's side --------------------------------------------------------------------------------------


class Signer:
    """Signs the requests of one client and verifies their responses.

    Args:
        instance_name: The instance.
        region: The region of the signature V4; None signs V2.
        extra_headers: Headers to send with each request; those named ``x-ots-*`` are signed, whatever their case.
        sign_date: A fixed day (``YYYYMMDD``) of the signature V4; None takes the day of each attempt.
    """

    def __init__(
        self,
        instance_name: str,
        *,
        region: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        sign_date: str | None = None,
    ) -> None:
        self._instance_name = instance_name
        self._region = region
        self._sign_date = sign_date
        extra = {name.lower(): value for name, value in (extra_headers or {}).items()}
        for name, value in extra.items():
            if not (name.isascii() and name.isprintable() and value.isprintable()) or {" ", ":"} & set(name):
                message = f"extra header {name!r} has characters that a header cannot carry"
                raise RequestInvalid(message)
        self._signed_extra = {n: v for n, v in extra.items() if n.startswith(PREFIX)}
        self._unsigned_extra = {n: v for n, v in extra.items() if not n.startswith(PREFIX)}
        # Each cache is one tuple, replaced whole: threads may race to fill it, and none reads a mixture.
        self._date: tuple[int, str] = (0, "")
        self._key: tuple[Credentials | None, str, SigningKey] = (None, "", SigningKey())

    def sign(self, path: str, body: bytes, credentials: Credentials, now: float) -> tuple[SignedHeaders, SigningKey]:
        """Return the headers of one attempt and the key that its response must be signed with.

        Args:
            path: The path of the operation, ``/PutRow``.
            body: The encoded request.
            credentials: The snapshot that this attempt uses.
            now: The time of the attempt, in seconds since the epoch, corrected for the clock's offset.
        """
        second = int(now)
        date = self._date
        if date[0] != second:
            self._date = date = (second, strftime(DATE_FORMAT, gmtime(second)))
        # Written in the order of their names: sorted() below finds them so, and the V2 signature needs them so.
        headers = SignedHeaders()
        headers |= {
            "x-ots-accesskeyid": credentials.access_key_id,
            "x-ots-apiversion": API_VERSION,
            "x-ots-contentmd5": content_md5(body),
            "x-ots-date": date[1],
            "x-ots-instancename": self._instance_name,
        }
        if self._region is not None:
            day = self._sign_date or date[1][:10].replace("-", "")
            headers["x-ots-signdate"] = day
            headers["x-ots-signregion"] = self._region
        if credentials.sts_token is not None:
            headers["x-ots-ststoken"] = credentials.sts_token.reveal()
        if self._signed_extra:
            headers.update(self._signed_extra)
            headers = SignedHeaders(sorted(headers.items()))
        lines = map(_LINE, headers.items())
        if self._region is None:
            key = self._signing_key(credentials, "")
            headers[SIGNATURE_V2] = _hmac_base64(key, _string_to_sign(path, lines), "sha1")
        else:
            key = self._signing_key(credentials, headers["x-ots-signdate"])
            headers[SIGNATURE_V4] = sign_v4(key, path, lines)
        if self._unsigned_extra:
            headers.update(self._unsigned_extra)
        return headers, key

    def _signing_key(self, credentials: Credentials, day: str) -> SigningKey:
        cached = self._key
        if cached[0] is credentials and cached[1] == day:
            return cached[2]
        secret = credentials.access_key_secret.reveal()
        key = SigningKey(secret.encode() if self._region is None else derive_v4_key(secret, day, self._region))
        # Only the newest key is kept, so a rotated secret does not stay in memory.
        self._key = (credentials, day, key)
        return key


def verify_response(  # noqa: C901, PLR0912 - the checks stand in the order of the protocol's text
    path: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key_id: str,
    key: bytes,
    now: float,
    refused: bool = False,
) -> None:
    """Check that a response is the service's own, whole and fresh.

    Args:
        path: The path of the request.
        status: The HTTP status of the response.
        headers: Its headers, names in lower case.
        body: Its body.
        access_key_id: The id of the key that signed the request.
        key: What ``Signer.sign`` returned with it.
        now: Seconds since the epoch, corrected as for the request.
        refused: Whether the response says that the request was not authenticated (403 ``OTSAuthFailed``): the service
            cannot sign for a key that it does not accept, and its own words describe a wrong clock best.

    Raises:
        ResponseInvalid: If a header is missing or malformed, or the MD5, the date, the key id or the signature is
            wrong. A response that is no success may lack its ``Authorization``.
    """
    success = 200 <= status < 300
    if success:
        for name in _REQUIRED_IN_RESPONSE:
            if name not in headers:
                raise ResponseInvalid(f"the response lacks its header {name}", http_status=status)
    declared = headers.get("x-ots-contentmd5")
    if declared is not None and declared != content_md5(body):
        raise ResponseInvalid("the response's body does not match its MD5", http_status=status)
    if (date := headers.get("x-ots-date")) is not None:
        offset = ots_date_offset(date, now)
        if offset is None:
            raise ResponseInvalid("the response's x-ots-date is malformed", http_status=status)
        if not refused and abs(offset) > MAX_SKEW.total_seconds():
            raise ResponseInvalid(
                f"the response's date and the local clock differ by {offset:+.0f} s, more than 15 minutes",
                http_status=status,
            )
    authorization = headers.get("authorization")
    if authorization is None:
        if success:
            raise ResponseInvalid("the response lacks its header Authorization", http_status=status)
    elif not refused:
        scheme, _, rest = authorization.partition(" ")
        key_id, colon, signature = rest.strip().partition(":")
        if scheme != "OTS" or not colon:
            raise ResponseInvalid("the response's header Authorization is malformed", http_status=status)
        if key_id != access_key_id:
            raise ResponseInvalid("the response is signed for another access key id", http_status=status)
        expected = sign_response(key, path, header_lines(headers.items()))
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise ResponseInvalid("the response's signature is wrong", http_status=status)
