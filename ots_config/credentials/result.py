"""Result of asking a source: credentials, or the reason why there are none, without secrets.

A failure is a value until the last moment, so that the frames which hold answers, tokens and forms have returned
before anything is raised and no traceback can show them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ots_config.credentials.credentials import Credentials

Found = TypeVar("Found")

_OPAQUE = re.compile(r"(?=[A-Za-z0-9+=_%~-]*[0-9])[A-Za-z0-9+=_%~-]{20,}")
_SIGNED_TEXT = re.compile(r"(server\s+)?string\s*to\s*sign.*", re.IGNORECASE | re.DOTALL)
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_CODE = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """Why a source gave no credentials.

    Attributes:
        reason: One sentence without secrets.
        applies: Whether the source is configured here; if not, a chain asks the next one.
        code: The server's error code.
        request_id: The server's id of the request.
        recommend: The server's link to more about the error.
        http_status: The status of the answer, if there was one.
        transient: Whether the same request may succeed a moment later.
        reached: Whether anything answered at all.
        wait: Seconds that the server asked to wait, None if it did not.
        offset: Seconds that the server's clock is ahead of ours, None if unknown.
        complete: Whether the reason names the status and the ids already.
        refused: Whether the source failed; if not, this process stopped it before it could answer.
    """

    reason: str
    applies: bool = True
    code: str = ""
    request_id: str = ""
    recommend: str = ""
    http_status: int | None = None
    transient: bool = False
    reached: bool = True
    wait: float | None = None
    offset: float | None = None
    complete: bool = False
    refused: bool = True

    @property
    def throttled(self) -> bool:
        """Whether the server refused only because it has too much to do."""
        return self.code.startswith("Throttling") or self.http_status == 429

    def error(self) -> CredentialsError:
        """Return the error to raise; besides the message it has ``code``, ``request_id`` and ``recommend``."""
        details = [f"HTTP {self.http_status}"] if self.http_status not in {None, 200} else []
        details += [f"request {self.request_id}"] if self.request_id else []
        details += [f"see {self.recommend}"] if self.recommend else []
        text = self.reason if self.complete or not details else f"{self.reason} ({', '.join(details)})"
        failed = CredentialsRefused if self.refused else CredentialsError
        error = failed(text) if self.applies else CredentialsUnavailable(text)
        error.http_status = self.http_status
        vars(error).update(
            code=self.code or error.code,
            request_id=self.request_id,
            recommend=self.recommend,
            transient=self.transient,
        )
        return error


def missing(reason: str) -> SourceFailure:
    """Return the failure of a source that is not configured here."""
    return SourceFailure(reason, applies=False)


def required(result: Found | SourceFailure, named_by: str) -> Found | SourceFailure:
    """Return the result; a source that something names and that is not configured has failed.

    Args:
        result: What the source returned.
        named_by: What names it; empty if nothing does.
    """
    if named_by and isinstance(result, SourceFailure) and not result.applies:
        return replace(result, reason=f"{result.reason} (named by {named_by})", applies=True)
    return result


def unwrap(result: Found | SourceFailure | CredentialsError) -> Found:
    """Return what was found, or raise the failure.

    Raises:
        CredentialsUnavailable: If the source is not configured here.
        CredentialsRefused: If it is and failed.
        CredentialsError: If a warnings filter of this process stopped it.
    """
    if isinstance(result, SourceFailure):
        raise result.error()
    if isinstance(result, CredentialsError):
        raise result
    return result


def ask_nested(where: str, ask: Callable[[], Credentials]) -> Credentials | SourceFailure:
    """Ask a source that something configured relies on.

    Its failure names the place that relies on it. It never means "not configured": what is configured and fails must
    not make a chain switch to another identity.
    """
    try:
        return ask()
    except CredentialsError as error:
        known = vars(error)
        return SourceFailure(
            f"{where}: {error.message}",
            code=known.get("code", ""),
            request_id=known.get("request_id", ""),
            recommend=known.get("recommend", ""),
            http_status=error.http_status,
            transient=known.get("transient", False),
            complete=True,
            refused=type(error) is not CredentialsError,
        )


def safe_text(text: object, secrets: Iterable[str | None] = (), *, limit: int = 300) -> str:
    """Return a text from elsewhere in a form that an error message may show.

    Args:
        text: What a server or a program said.
        secrets: What must not be repeated, in whatever encoding.
        limit: How many characters are shown.

    Returns:
        One line without control characters, known secrets, signed texts and long opaque words.
    """
    line = " ".join(str(text)[: 20 * limit].split())
    line = "".join(character for character in line if character.isprintable())
    for secret in secrets:
        if secret:
            once = quote(secret, safe="-_.~")
            for form in (quote(once, safe="-_.~"), once, secret):
                line = line.replace(form, "****")
    line = _SIGNED_TEXT.sub("", line).rstrip(" :,")
    line = _OPAQUE.sub("****", line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def safe_code(value: object) -> str:
    """Return an error code if it looks like one, else nothing."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) and not _OPAQUE.search(value) else ""


def safe_request_id(value: object) -> str:
    """Return a request id if it looks like one, else nothing."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else ""


def safe_link(value: object, secrets: Iterable[str | None] = ()) -> str:
    """Return a link to the server's documentation if it is one, else nothing."""
    return safe_text(value, secrets, limit=200) if isinstance(value, str) and value.startswith("https://") else ""
