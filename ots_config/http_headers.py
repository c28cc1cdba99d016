"""The header fields that carry a time, read safely: ``Retry-After``, ``Date`` and the service's ``x-ots-date``."""

from __future__ import annotations

from datetime import UTC, datetime

_MAX_DIGITS = 9  # of seconds; nobody waits longer


def parse_http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), None if it is invalid."""
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):  # absurd years overflow; the parser indexes blindly
        return None


def retry_after_seconds(text: str | None, now: float) -> float | None:
    """Return how long ``Retry-After`` asks to wait (RFC 9110, 10.2.3).

    Args:
        text: The field's value, seconds or a date; None if it is absent.
        now: The time of day in seconds since 1970.

    Returns:
        Seconds, 0 or more; None if the field is absent or invalid, and is then to be ignored.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text) if len(text) <= _MAX_DIGITS else None
    moment = parse_http_date(text)
    return None if moment is None else max(moment.timestamp() - now, 0.0)


def date_offset(text: str | None, now: float) -> float | None:
    """Return the seconds by which a server's ``Date`` is ahead of ``now``; None if it is absent or invalid."""
    moment = None if text is None else parse_http_date(text)
    return None if moment is None else moment.timestamp() - now


def ots_date_offset(text: str, now: float) -> float | None:
    """Return the seconds by which the service's ``x-ots-date`` is ahead of ``now``; None if it is invalid."""
    # The service writes microseconds, older ones milliseconds; both are ISO 8601 and end in Z. strptime() would take
    # twenty times as long as fromisoformat(), which alone would take other forms too.
    if text[4:11:3] != "--T" or text[19:20] != "." or not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text).timestamp() - now
    except ValueError:
        return None
