"""Whether a request is who, when and what it says, in the order and the words of the service; and signed answers."""

from __future__ import annotations

import hmac
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime
from itertools import count

from ots_config.emulator.cloud.access_keys import Key, Keys
from ots_config.emulator.messages import Answer
from ots_config.emulator.tablestore.errors import ServiceFault, error_body, invalid
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
_REMEMBERED = 512


def refused(message: str) -> ServiceFault:
    """Return the fault of a request that is not authenticated."""
    return ServiceFault("OTSAuthFailed", message)


class Authentication:
    """Checks requests and signs their answers.

    Args:
        keys: The keys that are accepted.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        # Both hold what costs most to compute and comes again with each request of a second, or of a day.
        self._dates: dict[str, float] = {}
        self._v4_keys: dict[tuple[str, str, str], bytes] = {}
        self._host = os.urandom(4).hex()
        self._count = count(int.from_bytes(os.urandom(3), "big"))
        self._stamp: tuple[int, str] = (0, "")

    def check(self, path: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """Return the name of the instance that an authenticated request addresses.

        Raises:
            ServiceFault: If it is not authenticated. Told first is what is missing, then the date, the body's
                MD5, the key, the signature, and last the token, as only who knows the secret may learn more.
        """
        _check_headers(headers)
        date = headers["x-ots-date"]
        if abs(self._seconds(date) - now) > MAX_SKEW.total_seconds():
            raise refused(f"Mismatch between system time and x-ots-date: {date}.")
        if headers["x-ots-contentmd5"] != content_md5(body):
            raise refused("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")
        key = self._keys.find(headers["x-ots-accesskeyid"])
        if key is None:
            raise refused("The AccessKeyID does not exist.")
        if not self._signed(key, path, headers):
            raise refused("Signature mismatch.")
        if key.revoked:
            raise refused("The AccessKeyID is disabled.")
        # A temporary key is one only together with its token, and only while both live.
        if key.expired(now) or not _same(key.token or "", headers.get("x-ots-ststoken", "")):
            raise refused("The AccessKeyID does not exist.")
        return headers["x-ots-instancename"]

    def _seconds(self, date: str) -> float:
        seconds = self._dates.get(date)
        if seconds is None:
            seconds = _read_date(date)
            if len(self._dates) >= _REMEMBERED:
                self._dates.clear()
            self._dates[date] = seconds
        return seconds

    def _signed(self, key: Key, path: str, headers: Mapping[str, str]) -> bool:
        lines = header_lines(headers.items())
        signing_key = self._signing_key(key, headers)
        if _matches(key, signing_key, path, lines, headers):
            return True
        # Some SDKs sort whole lines instead of names: another order if one name is the beginning of another.
        by_line = sorted(lines)
        return by_line != lines and _matches(key, signing_key, path, by_line, headers)

    def _signing_key(self, key: Key, headers: Mapping[str, str]) -> bytes:
        """Return what the answer is signed with, and under version 4 the request too."""
        if SIGNATURE_V4 not in headers:
            return key.secret.encode()
        scope = (key.secret, headers.get("x-ots-signdate", ""), headers.get("x-ots-signregion", ""))
        derived = self._v4_keys.get(scope)
        if derived is None:
            if len(self._v4_keys) >= _REMEMBERED:
                self._v4_keys.clear()
            self._v4_keys[scope] = derived = derive_v4_key(*scope)
        return derived

    # --- answers ----------------------------------------------------------------------------------------------

    def answer(
        self,
        path: str,
        headers: Mapping[str, str],
        status: int,
        body: bytes,
        now: float,
        *,
        md5: str | None = None,
        signature: str | None = None,
    ) -> Answer:
        """Return an answer of the service, signed with the key that signed the request.

        Args:
            path: The path of the request.
            headers: The headers of the request.
            status: The HTTP status.
            body: The body.
            now: What the service's clock shows.
            md5: What to send in place of the body's MD5.
            signature: What to send in place of the signature.
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
        block = (
            f"x-ots-requestid: {request_id}\r\nx-ots-date: {date}\r\n"
            f"x-ots-contenttype: protocol buffer\r\nx-ots-contentmd5: {digest}\r\n"
        )
        lines = [
            f"x-ots-contentmd5:{digest}",
            "x-ots-contenttype:protocol buffer",
            f"x-ots-date:{date}",
            f"x-ots-requestid:{request_id}",
        ]
        return Answer(status, block + self._authorization(path, headers, status, lines, signature), body, at=now)

    def fault(self, path: str, headers: Mapping[str, str], fault: ServiceFault, now: float) -> Answer:
        """Return the answer that tells an error."""
        return self.answer(path, headers, fault.status, error_body(path[1:], fault.code, fault.message), now)

    def _authorization(
        self, path: str, headers: Mapping[str, str], status: int, lines: list[str], signature: str | None
    ) -> str:
        key_id = headers.get("x-ots-accesskeyid")
        if key_id is None:
            return ""
        key = self._keys.find(key_id)
        if key is None:
            # The service signs every answer; for a key that it does not know no client can check that, and for
            # another status than 403 the official SDK would try.
            if status != 403:
                return ""
            signing_key = b""
        else:
            signing_key = self._signing_key(key, headers)
        return f"Authorization: OTS {key_id}:{signature or sign_response(signing_key, path, lines)}\r\n"


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
    except ValueError:  # the thirteenth month, for one
        pass
    raise invalid(f"Invalid date format: {date}.")


def _matches(key: Key, signing_key: bytes, path: str, lines: list[str], headers: Mapping[str, str]) -> bool:
    if SIGNATURE_V4 in headers:
        return _same(sign_v4(signing_key, path, lines), headers[SIGNATURE_V4])
    return _same(sign_v2(key.secret, path, lines), headers[SIGNATURE_V2])


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
