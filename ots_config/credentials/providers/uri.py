"""The keys that a service of the platform returns at a URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ots_config.credential_rules import url_problem
from ots_config.credentials.environment_names import (
    CREDENTIALS_URI,
    PROCESS_DISABLED,
    SETTING,
    name_of_set,
    switched_on,
    variable,
)
from ots_config.credentials.http import (
    Fetch,
    JSONReply,
    Timeouts,
    ask,
    keys_in,
    shown_url,
)
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, missing, safe_code, safe_request_id, safe_text, unwrap

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials


class URIProvider(Provider):
    """The keys that a URL returns.

    The answer is ``{"Code": "Success", "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}``; ``Code`` may
    be left out. The URL is asked exactly as it is given, port and repeated query keys included. It must be ``https``,
    or ``http`` at an address of this machine or of a private network; a host name may be asked by ``http`` only
    with ``allow_http``, as a name may lead anywhere.

    Args:
        fetch: The HTTP callable.
        uri: The URL; ``ALIBABA_CLOUD_CREDENTIALS_URI`` if not given.
        allow_http: Whether plain ``http`` may go anywhere.
        external: Whether ``ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS`` forbids asking it, as it does for profiles.
        timeouts: Of the one request.
        clock: Our time, in seconds since 1970.
    """

    name = "uri"

    def __init__(
        self,
        *,
        fetch: Fetch,
        uri: str | None = None,
        allow_http: bool = False,
        external: bool = False,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._uri = uri
        self._allow_http = allow_http
        self._external = external
        self._timeouts = timeouts or Timeouts()
        self._clock = clock

    def fetch_credentials(self) -> Credentials:
        """Ask the URL once."""
        return unwrap(self._asked(self._url()))

    def _asked(self, url: str) -> Credentials | SourceFailure:
        if not url:
            return missing(f"{CREDENTIALS_URI} is not set")
        if self._external and switched_on(PROCESS_DISABLED):
            return SourceFailure(f"{PROCESS_DISABLED} forbids asking the credentials URI of a profile")
        if reason := url_problem(url, http="anywhere" if self._allow_http else "private"):
            return SourceFailure(f"the credentials URI {reason}")
        who = f"the credentials URI {shown_url(url)}"
        now = self._clock()
        reply = ask(self._fetch, "GET", url, who=who, timeouts=self._timeouts, now=now)
        if isinstance(reply, SourceFailure):
            return reply
        return _keys(reply, who, self.name, now)

    def _url(self) -> str:
        return self._uri or variable(CREDENTIALS_URI)

    def named_by(self) -> str:
        """Return what gives the URL."""
        return SETTING if self._uri else name_of_set(CREDENTIALS_URI)

    def describe(self) -> str:
        """Return the URL without its query, which may hold a secret."""
        url = self._url()
        if not url:
            return f"{CREDENTIALS_URI}, which is not set"
        return "a URL that cannot be used" if url_problem(url, http="anywhere") else shown_url(url)


def _keys(reply: JSONReply, who: str, source: str, now: float) -> Credentials | SourceFailure:
    fields = reply.fields
    if fields.get("Code", "Success") != "Success":
        code, message = safe_code(fields.get("Code")), safe_text(fields.get("Message", ""))
        said = ": ".join(part for part in (code, message) if part) or "no reason"
        request_id = safe_request_id(fields.get("RequestId"))
        return SourceFailure(f"{who} refused: {said}", code=code, request_id=request_id, http_status=200)
    return keys_in(fields, who=who, source=source, offset=reply.offset, token=False, now=now)
