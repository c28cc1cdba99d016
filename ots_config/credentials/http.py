"""The small HTTP callable that sources are given, and how its answers become keys or a reason why not."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.result import SourceFailure, safe_code, safe_link, safe_request_id, safe_text
from ots_config.errors import ConnectFailed, RequestError, RequestInvalid, ResponseInvalid, UntrustedServer
from ots_config.http_headers import date_offset, retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_ANSWER = 1 << 20
# Temporary keys that come without an end are assumed to live as long as the shortest that STS issues.
ASSUMED_LIFETIME = 900.0
# A server's Date has whole seconds and is some milliseconds old; a smaller difference says nothing.
_MIN_OFFSET = 2.0
_MAX_LIFETIME = 48 * 3600.0


class FetchResponse(Protocol):
    """A whole HTTP answer."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names are in lower case."""
        ...

    @property
    def body(self) -> bytes:
        """The content, decoded from any transfer coding."""
        ...


class Fetch(Protocol):
    """One HTTP request: nothing is retried, no redirect followed, https verified.

    It raises ``ConnectFailed`` if nothing was sent and ``ResponseLost`` if no whole answer came within the two timeouts
    together, however slowly its bytes drip. Whoever writes one should send addresses of the metadata service
    (100.100.100.200) straight, never through a proxy, and read no more than a mebibyte, without decompressing anything.
    """

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        connect_timeout: float,
        read_timeout: float,
    ) -> FetchResponse:
        """Send one request and return its whole answer."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one request may take.

    Attributes:
        connect: Seconds to connect.
        read: Seconds for the whole answer after that.
    """

    connect: float = 5.0
    read: float = 10.0

    def within(self, seconds: float) -> Timeouts:
        """Return the same, shortened so that both together take no longer than so many seconds, or 1 ms each."""
        share = min(seconds / (self.connect + self.read), 1.0)
        return Timeouts(max(self.connect * share, 0.001), max(self.read * share, 0.001))


@dataclass(frozen=True, slots=True, repr=False)
class JSONReply:
    """The JSON object that a server answered with; its ``repr`` shows none of it.

    Attributes:
        fields: The object.
        offset: Seconds that the server's clock is ahead of ours; None if unknown.
    """

    fields: dict[str, Any]
    offset: float | None


def send(
    fetch: Fetch,
    method: str,
    url: str,
    *,
    who: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeouts: Timeouts,
) -> FetchResponse | SourceFailure:
    """Send one request; whatever goes wrong on the way becomes a failure that names ``who``."""
    try:
        return fetch(
            method,
            url,
            headers=headers or {},
            body=body,
            connect_timeout=timeouts.connect,
            read_timeout=timeouts.read,
        )
    except RequestError as error:
        parts = urlsplit(url)
        detail = safe_text(error.message, (parts.query, parts.path if len(parts.path) > 1 else ""))
        return SourceFailure(
            f"{who} gave no answer: {detail}",
            transient=not isinstance(error, UntrustedServer | RequestInvalid | ResponseInvalid),
            reached=not isinstance(error, ConnectFailed) or isinstance(error, UntrustedServer),
        )
    except Exception as error:  # noqa: BLE001 - a user's callable; the text of its error may hold the request
        transient = isinstance(error, OSError)
        return SourceFailure(f"{who} gave no answer: {type(error).__name__}", transient=transient, reached=False)


def ask(
    fetch: Fetch,
    method: str,
    url: str,
    *,
    who: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeouts: Timeouts,
    secrets: Iterable[str | None] = (),
    now: float | None = None,
) -> JSONReply | SourceFailure:
    """Send one request and read the JSON object of a 200 answer; anything else is a failure."""
    answer = send(fetch, method, url, who=who, headers=headers, body=body, timeouts=timeouts)
    if isinstance(answer, SourceFailure):
        return answer
    offset = date_offset(answer.headers.get("date"), time.time() if now is None else now)
    fields = read_object(answer, who)
    if answer.status == 200 and isinstance(fields, dict):
        return JSONReply(fields, offset)
    return refusal(answer, fields, who=who, secrets=secrets, offset=offset)


def read_object(answer: FetchResponse, who: str) -> dict[str, Any] | SourceFailure:
    """Read a JSON object; the failure describes what came instead, and repeats none of it."""
    body = answer.body
    transient = answer.status >= 500
    content = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    reason = ""
    if 300 <= answer.status < 400:
        reason = "a redirect, which is never followed with credentials"
    elif not body.strip():
        reason = "nothing: the body is empty"
    elif len(body) > MAX_ANSWER:
        reason = f"{len(body)} bytes, far more than credentials need"
    elif content == "text/html" or body.lstrip()[:1] == b"<":
        reason = "a web page instead of JSON, as proxies and sign-in portals do"
    else:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            reason = f"{len(body)} bytes that are not JSON"
        else:
            if isinstance(value, dict):
                return value
            reason = "JSON that is not an object"
    return SourceFailure(f"{who} answered with {reason}", http_status=answer.status, transient=transient)


def refusal(
    answer: FetchResponse,
    fields: dict[str, Any] | SourceFailure,
    *,
    who: str,
    secrets: Iterable[str | None] = (),
    offset: float | None = None,
) -> SourceFailure:
    """Return the failure of an answer without keys: its code, message and ids, and whether asking again may help."""
    transient = answer.status >= 500 or answer.status == 429
    wait = retry_after_seconds(answer.headers.get("retry-after"), time.time())
    if isinstance(fields, SourceFailure):
        return SourceFailure(fields.reason, http_status=answer.status, transient=transient, wait=wait, offset=offset)
    code = _first(fields, "Code", "ErrorCode", "error")
    message = safe_text(_first(fields, "Message", "ErrorMessage", "error_description"), secrets)
    named = safe_code(code)
    said = f"{named}: {message}" if named and message else named or message or "no reason"
    return SourceFailure(
        f"{who} refused: {said}",
        code=named,
        request_id=safe_request_id(_first(fields, "RequestId", "requestId")),
        recommend=safe_link(fields.get("Recommend"), secrets),
        http_status=answer.status,
        transient=transient or named.startswith(("Throttling", "InternalError", "ServiceUnavailable")),
        wait=wait,
        offset=offset,
    )


def keys_in(
    fields: Mapping[str, Any],
    *,
    who: str,
    source: str,
    offset: float | None = None,
    lifetime: float | None = ASSUMED_LIFETIME,
    token: bool = True,
    now: float | None = None,
) -> Credentials | SourceFailure:
    """Make a snapshot of an object's keys, in whatever case it names them.

    Args:
        fields: The object.
        who: Who said so, for messages.
        source: What the snapshot's ``source`` shall be.
        offset: Seconds that the server's clock is ahead of ours: its ``Expiration`` is converted to our time.
        lifetime: Seconds that keys with a token live if no ``Expiration`` is given; None for ever.
        token: Whether keys without a token are a failure.
        now: Our time, in seconds since 1970.
    """
    known = {str(name).replace("_", "").lower(): value for name, value in fields.items()}
    key_id, secret = known.get("accesskeyid"), known.get("accesskeysecret")
    sts_token = known.get("securitytoken") or known.get("ststoken") or None
    wanted = {"access key id": key_id, "access key secret": secret, **({"token": sts_token} if token else {})}
    absent = [name for name, value in wanted.items() if not isinstance(value, str) or not value]
    if absent:
        return SourceFailure(f"{who} gave no {' and no '.join(absent)}")
    moment = time.time() if now is None else now
    try:
        expires_at = parse_expiry(known.get("expiration", known.get("expiresat")))
        if expires_at is None and sts_token and lifetime is not None:
            expires_at = datetime.fromtimestamp(moment + lifetime, UTC)
        elif expires_at is not None:
            expires_at = in_our_time(expires_at, offset, moment)
        return Credentials(str(key_id), str(secret), str(sts_token) if sts_token else None, expires_at, source)
    except ValueError as error:  # its text names the field, never the value
        return SourceFailure(f"{who} gave keys that cannot be used: {error}")


def parse_expiry(value: object) -> datetime | None:
    """Read when keys end.

    Args:
        value: ISO 8601 with or without fraction and offset (UTC if without), Unix seconds or milliseconds as a
            number or its digits, a datetime; None, an empty text and 0 mean that no end is given.

    Raises:
        ValueError: If it is none of these; the value is not repeated.
    """
    if value in (None, "", 0):  # no set: a value from a foreign answer may be unhashable
        return None
    text = value.strip() if isinstance(value, str) else ""
    number = int(text) if text.isdecimal() and len(text) < 20 else value
    moment: datetime | None = None
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if isinstance(value, datetime):
            moment = value
        elif isinstance(number, int | float) and not isinstance(number, bool):
            moment = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        elif text:
            moment = datetime.fromisoformat(text)
    if moment is None:
        message = "the expiration is not a time"
        raise ValueError(message)
    with contextlib.suppress(OverflowError):
        return (moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return moment.replace(tzinfo=UTC)  # at the ends of the calendar the offset no longer matters


def in_our_time(expires_at: datetime, offset: float | None, now: float) -> datetime:
    """Return the end of keys by our clock; the server named it by its own.

    A ``Date`` by which the keys would have ended, or would live longer than any keys do, is a mistake of something on
    the way and is ignored.
    """
    if offset is None or abs(offset) < _MIN_OFFSET:
        return expires_at
    remaining = expires_at.timestamp() - (now + offset)
    return expires_at - timedelta(seconds=offset) if 0 < remaining <= _MAX_LIFETIME else expires_at


def shown_url(url: str) -> str:
    """Return a URL without its query, which may hold secrets; a digest distinguishes two of them."""
    parts = urlsplit(url)
    if not parts.query:
        return f"{parts.scheme}://{parts.netloc}{parts.path}"
    from hashlib import sha256

    return f"{parts.scheme}://{parts.netloc}{parts.path}?…{sha256(parts.query.encode()).hexdigest()[:8]}"


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name)), "")
