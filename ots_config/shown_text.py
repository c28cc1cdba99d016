"""What errors and logs may show of keys, of foreign exceptions and of text from elsewhere."""

from __future__ import annotations

import re

is_code = re.compile(r"[A-Za-z0-9._-]{1,100}").fullmatch
"""Matches a text that has the form of an error code."""
is_request_id = re.compile(r"[A-Za-z0-9._:-]{1,100}").fullmatch
"""Matches a text that has the form of a request id."""

_MAX_TEXT = 2000


def printable(text: str, limit: int = _MAX_TEXT) -> str:
    """Return a text from elsewhere in one line, without control and invisible characters, and cut to a length.

    A line break would forge a record of a log; an escape sequence or a change of the reading direction would show a
    reader something else than what is there.
    """
    if len(text) > limit:
        text = text[:limit] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)


def failure_text(error: BaseException) -> str:
    """Return type, place and text of an exception that foreign code raised."""
    try:
        text = printable(str(error), 200)
    except Exception:  # noqa: BLE001 - whoever fails to raise may also fail to describe it
        text = ""
    return f"{type(error).__name__}{raised_at(error)}{': ' if text else ''}{text}"


def system_text(error: BaseException) -> str:
    """Return what the system, a resolver or TLS reported, in a few words."""
    text = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error) or type(error).__name__
    return printable(str(text), 200)


def mask(value: str) -> str:
    """Return both ends of a long AccessKey ID (``LTAI5t****6789``), less of a short one."""
    if len(value) >= 16:
        return f"{value[:6]}****{value[-4:]}"
    return f"{value[:2]}****" if len(value) >= 6 else "****"


def raised_at(error: BaseException) -> str:
    """Return where an exception was raised, as `` at FILE:LINE``; empty if that is not known."""
    place, trace = "", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename.replace("\\", "/")
        place = f" at {path.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
