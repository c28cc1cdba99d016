"""Checks of a request's headers, date, MD5, key and signature in the service's order, and signed responses."""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from ots_config.emulator.cloud.access_keys import AccessKey, AccessKeys
from ots_config.emulator.messages import EmulatorResponse
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.wire import error_body
from ots_config.request.signing import (
    API_VERSION,
    MAX_SKEW,
    SIGNATURE_V2,
    SIGNATURE_V4,
    content_md5,
    derive_v4_key,
    header_lines,
    sign_response,
    sign_v2,
    sign_v4,
)

_REQUIRED = ("x-ots-date", "x-ots-apiversion", "x-ots-accesskeyid", "x-ots-instancename", "x-ots-contentmd5")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
INSTANCE_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_CACHED = 512


def _refused(message: str) -> TablestoreError:
    return TablestoreError("OTSAuthFailed", message)


class RequestAuthentication:
    """Checks requests and signs the responses to them."""

    def __init__(self, keys: AccessKeys) -> None:
        self._keys = keys
        # Caches of what is slow to compute and the same for all requests of a second, or of a day.
        self._dates: dict[str, float] = {}
        self._v4_keys: dict[tuple[str, str, str], bytes] = {}
        self._host = os.urandom(4).hex()
        self._count = count(int.from_bytes(os.urandom(3), "big"))
        self._stamp: tuple[int, str] = (0, "")

    def check(self, path: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """Authenticate a request and return the name of its instance.

        Raises:
            TablestoreError: If it is not authenticated. Missing headers are reported first, then the date, the body's
                MD5, the key, the signature, and last the token, which is checked only for the owner of the secret.
        """
        _check_headers(headers)
        date = headers["x-ots-date"]
        if abs(self._seconds(date) - now) > MAX_SKEW.total_seconds():
            raise _refused(f"Mismatch between system time and x-ots-date: {date}.")
        if headers["x-ots-contentmd5"] != content_md5(body):
            raise _refused("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")
        key = self._keys.find(headers["x-ots-accesskeyid"])
        if key is None:
            raise _refused("The AccessKeyID does not exist.")
        if not self._signed(key, path, headers):
            raise _refused("Signature mismatch.")
        if key.revoked:
            raise _refused("The AccessKeyID is disabled.")
        # A temporary key is valid only with its token.
        if key.expired(now) or not _same(key.token or "", headers.get("x-ots-ststoken", "")):
            raise _refused("The AccessKeyID does not exist.")
        return headers["x-ots-instancename"]

    def _seconds(self, date: str) -> float:
        seconds = self._dates.get(date)
        if seconds is None:
            seconds = _read_date(date)
            if len(self._dates) >= _MAX_CACHED:
                self._dates.clear()
            self._dates[date] = seconds
        return seconds

    def _signed(self, key: AccessKey, path: str, headers: Mapping[str, str]) -> bool:
        lines = header_lines(headers.items())
        signing_key = self._signing_key(key, headers)
        if _matches(key, signing_key, path, lines, headers):
            return True
        # Some SDKs sort whole lines instead of names: another order where one name is a prefix of another.
        by_line = sorted(lines)
        return by_line != lines and _matches(key, signing_key, path, by_line, headers)

    def _signing_key(self, key: AccessKey, headers: Mapping[str, str]) -> bytes:
        """Return the key for the response's signature, and in version 4 also for the request's."""
        if SIGNATURE_V4 not in headers:
            return key.secret.encode()
        scope = (key.secret, headers.get("x-ots-signdate", ""), headers.get("x-ots-signregion", ""))
        derived = self._v4_keys.get(scope)
        if derived is None:
            if len(self._v4_keys) >= _MAX_CACHED:
                self._v4_keys.clear()
            self._v4_keys[scope] = derived = derive_v4_key(*scope)
        return derived

    # --- responses --------------------------------------------------------------------------------------------

    def response(
        self,
        path: str,
        headers: Mapping[str, str],
        status: int,
        body: bytes,
        now: float,
        *,
        md5: str | None = None,
        signature: str | None = None,
    ) -> EmulatorResponse:
        """Return a response of the service, signed with the key that signed the request.

        Args:
            path: The path of the request.
            headers: The headers of the request.
            status: The HTTP status of the response.
            body: Its body.
            now: The time by the service's clock.
            md5: A wrong MD5 to send, None for the right one.
            signature: A wrong signature to send, None for the right one.
        """
        microseconds = int(now * 1e6)
        second, fraction = divmod(microseconds, 1_000_000)
        stamp = self._stamp
        if stamp[0] != second:
            self._stamp = stamp = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        stamped = f"{microseconds:016x}"
        tail = f"{next(self._count) & 0xFFFFFFFF:08x}"
        digest = md5 or content_md5(body)
        date = f"{stamp[1]}.{fraction:06}Z"
        request_id = f"{stamped[:8]}-{stamped[8:12]}-{stamped[12:]}-{self._host[:4]}-{self._host[4:]}{tail}"
        sent = {  # sorted, as they are signed
            "x-ots-contentmd5": digest,
            "x-ots-contenttype": "protocol buffer",
            "x-ots-date": date,
            "x-ots-requestid": request_id,
        }
        signing_key = self._response_key(headers, status)
        if signing_key is not None:
            lines = [f"{name}:{value}" for name, value in sent.items()]
            signature = signature or sign_response(signing_key, path, lines)
            sent["Authorization"] = f"OTS {headers['x-ots-accesskeyid']}:{signature}"
        return EmulatorResponse(status, sent, body, at=now)

    def error_response(
        self, path: str, headers: Mapping[str, str], error: TablestoreError, now: float
    ) -> EmulatorResponse:
        """Return the response for an error."""
        return self.response(path, headers, error.status, error_body(path[1:], error.code, error.message), now)

    def _response_key(self, headers: Mapping[str, str], status: int) -> bytes | None:
        """Return the key that a response is signed with, None if it is not signed."""
        key_id = headers.get("x-ots-accesskeyid")
        if key_id is None:
            return None
        key = self._keys.find(key_id)
        if key is not None:
            return self._signing_key(key, headers)
        # The service signs every response. No client can check that for an unknown key; the official SDK would try for
        # any status but 403.
        return b"" if status == 403 else None


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in _REQUIRED:
        if name not in headers:
            raise invalid(f"Missing header: '{name}'.")
    if SIGNATURE_V4 in headers:
        for name in ("x-ots-signdate", "x-ots-signregion"):
            if name not in headers:
                raise invalid(f"Missing header: '{name}'.")
        if not _DAY.fullmatch(headers["x-ots-signdate"]):
            raise invalid(f"Invalid date format: {headers['x-ots-signdate']}.")
    elif SIGNATURE_V2 not in headers:
        raise invalid(f"Missing header: '{SIGNATURE_V2}'.")
    if headers["x-ots-apiversion"] != API_VERSION:
        raise invalid(f"Invalid API version: {headers['x-ots-apiversion']}.")
    if not INSTANCE_NAME.fullmatch(headers["x-ots-instancename"]):
        raise invalid(f"Invalid instance name: {headers['x-ots-instancename']}.")


def _read_date(date: str) -> float:
    try:
        if _DATE.fullmatch(date):
            return datetime.fromisoformat(date[:19] + "+00:00").timestamp()
    except ValueError:  # a thirteenth month, for example
        pass
    raise invalid(f"Invalid date format: {date}.")


def _matches(key: AccessKey, signing_key: bytes, path: str, lines: list[str], headers: Mapping[str, str]) -> bool:
    if SIGNATURE_V4 in headers:
        return _same(sign_v4(signing_key, path, lines), headers[SIGNATURE_V4])
    return _same(sign_v2(key.secret, path, lines), headers[SIGNATURE_V2])


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
