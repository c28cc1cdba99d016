"""The two header fields that servers tell time with, read safely: ``Retry-After`` and ``Date``."""

from __future__ import annotations

from datetime import UTC, datetime

_MAX_DIGITS = 9  # of seconds; more is no time that anybody waits


def parse_http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date (RFC 9110, 5.6.7), None if the text is none."""
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
    """Return how many seconds a server's clock, by its ``Date``, is ahead of ``now``; None if it tells no time."""
    moment = None if text is None else parse_http_date(text)
    return None if moment is None else moment.timestamp() - now
