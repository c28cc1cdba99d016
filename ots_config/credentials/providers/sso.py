"""Keys from a browser sign-in, as the Aliyun CLI's modes CloudSSO and OAuth keep them."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

from ots_config.credential_rules import url_problem
from ots_config.credentials.http import Fetch, JSONReply, Timeouts, ask, keys_in, parse_expiry
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.token_file import TokenFile
from ots_config.credentials.result import SourceFailure, unwrap

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials

# The CLI's public client id and address on each of the two sites.
OAUTH_SITES: Final = {
    "cn": ("https://oauth.aliyun.com", "4038181954557748008"),
    "intl": ("https://oauth.alibabacloud.com", "4103531455503354461"),
}
# An access token this near its end is replaced before it is used.
_RENEW_BEFORE = 1200.0
# Keys that the CLI left in the file are used while they live so much longer, then new ones are fetched.
_MIN_KEPT_LIFE = 1200.0
_MAX_LIFETIME = 10 * 365 * 86400.0


class SignInProvider(Provider):
    """The keys of a person who signed in with a browser.

    Args:
        fields: The profile, as the CLI wrote it.
        fetch: The HTTP callable.
        timeouts: Of each request.
        clock: Our time, in seconds since 1970.
    """

    who: ClassVar[str]
    """The service that is asked, for messages."""
    mode: ClassVar[str]
    """The CLI's name of the sign-in."""

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        fetch: Fetch,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fields = dict(fields)
        self._fetch = fetch
        self._timeouts = timeouts or Timeouts()
        self._clock = clock

    def fetch_credentials(self) -> Credentials:
        """Use the keys that the CLI left while they live, else ask the sign-in service."""
        now = self._clock()
        return unwrap(self._kept(now, _MIN_KEPT_LIFE) or self._asked(now))

    @abstractmethod
    def _asked(self, now: float) -> Credentials | SourceFailure:
        """Ask the service."""

    def _kept(self, now: float, least: float = 0) -> Credentials | None:
        """Return the temporary keys that the CLI left, if they live at least so many seconds more."""
        fields = self._fields
        ends_at = _time(fields.get("sts_expiration"))
        if ends_at is None or ends_at - now <= least or not fields.get("sts_token"):
            return None
        found = keys_in({**fields, "expiration": ends_at}, who="the profile", source=self.name, now=now)
        return None if isinstance(found, SourceFailure) else found

    def _post(
        self, url: str, body: bytes, *, secrets: tuple[str, ...], now: float, token: str = "", form: bool = False
    ) -> JSONReply | SourceFailure:
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {"content-type": kind, "accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        return ask(
            self._fetch,
            "POST",
            url,
            who=self.who,
            headers=headers,
            body=body,
            timeouts=self._timeouts,
            secrets=secrets,
            now=now,
        )

    def _keys(self, reply: JSONReply, fields: Any, now: float) -> Credentials | SourceFailure:
        known = fields if isinstance(fields, dict) else {}
        return keys_in(known, who=self.who, source=self.name, offset=reply.offset, now=now)

    def _hint(self) -> str:
        return f"sign in again with `aliyun configure --mode {self.mode} --profile {self._fields.get('name')}`"


class CloudSSOProvider(SignInProvider):
    """The keys of an access configuration, got with the access token of a sign-in to CloudSSO.

    The access token cannot be renewed without the browser: when it has ended, the error says how to sign in again. The
    arguments are those of ``SignInProvider``.
    """

    name = "cloud_sso"
    who = "CloudSSO"
    mode = "CloudSSO"

    def _asked(self, now: float) -> Credentials | SourceFailure:
        fields = self._fields
        address = _origin(str(fields.get("cloud_sso_sign_in_url") or ""))
        if isinstance(address, SourceFailure):
            return address
        token = str(fields.get("access_token") or "")
        ends_at = _time(fields.get("cloud_sso_access_token_expire"))
        if not token or (ends_at is not None and ends_at <= now):
            ended = "has ended" if token else "was never done"
            return self._kept(now) or SourceFailure(f"the CloudSSO sign-in {ended}: {self._hint()}")
        wanted = {
            "AccountId": fields.get("cloud_sso_account_id"),
            "AccessConfigurationId": fields.get("cloud_sso_access_config"),
        }
        body = json.dumps(wanted).encode()
        reply = self._post(f"{address}/cloud-credentials", body, token=token, secrets=(token,), now=now)
        if isinstance(reply, SourceFailure):
            signed_out = reply.http_status == 401
            return replace(reply, reason=f"{reply.reason}; {self._hint()}") if signed_out else reply
        return self._keys(reply, reply.fields.get("CloudCredential"), now)

    def describe(self) -> str:
        """Return the account, the access configuration and the service."""
        account, config = self._fields.get("cloud_sso_account_id"), self._fields.get("cloud_sso_access_config")
        address = _origin(str(self._fields.get("cloud_sso_sign_in_url") or ""))
        where = "no usable address" if isinstance(address, SourceFailure) else address
        return f"access configuration {config} of account {account} at {where}"


@dataclass(frozen=True, slots=True, repr=False)
class _Tokens:
    """The tokens of one sign-in at one moment."""

    access: str
    refresh: str
    ends_at: float | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> _Tokens:
        """Return the tokens in a profile."""
        return cls(
            str(fields.get("oauth_access_token") or ""),
            str(fields.get("oauth_refresh_token") or ""),
            _time(fields.get("oauth_access_token_expire")),
        )

    def fields(self) -> dict[str, Any]:
        """Return what a profile says of the tokens."""
        return {
            "oauth_access_token": self.access,
            "oauth_refresh_token": self.refresh,
            "oauth_access_token_expire": int(self.ends_at or 0),
        }

    def end_soon(self, now: float) -> bool:
        """Return whether there is no access token that lives long enough to be used."""
        return not self.access or self.ends_at is None or self.ends_at - now <= _RENEW_BEFORE


class OAuthProvider(SignInProvider):
    """The keys of a person who signed in to the CLI with the console's own sign-in.

    The access token is renewed with the refresh token when it nears its end. The service then replaces the refresh
    token too, so the new ones are written to the CLI's file, as the CLI does.

    Args:
        fields: The profile, as the CLI wrote it.
        file: Where the tokens are; None keeps new ones in memory.
        options: The other arguments of ``SignInProvider``.
    """

    name = "oauth"
    who = "the OAuth service"
    mode = "OAuth"

    def __init__(self, fields: Mapping[str, Any], *, file: TokenFile | None = None, **options: Any) -> None:
        super().__init__(fields, **options)
        self._file = file
        self._tokens = _Tokens.of(fields)

    def __getstate__(self) -> dict[str, Any]:
        """Keep what the file says, and not the tokens fetched since."""
        return {**self.__dict__, "_tokens": _Tokens.of(self._fields)}

    def is_of(self, fields: Mapping[str, Any]) -> bool:
        """Return whether a profile still holds the sign-in that this source works with."""
        return all(
            self._fields.get(key) == fields.get(key)
            for key in ("oauth_site_type", "oauth_refresh_token", "oauth_access_token")
        )

    def _asked(self, now: float) -> Credentials | SourceFailure:
        site = OAUTH_SITES.get(str(self._fields.get("oauth_site_type") or "CN").lower())
        if site is None:
            return SourceFailure("oauth_site_type is neither CN nor INTL")
        tokens = self._tokens
        if tokens.refresh and tokens.end_soon(now):
            failure = self._renew(site, now)
            if failure is not None and (not tokens.access or (tokens.ends_at or 0) <= now):
                return self._kept(now) or self._with_hint(failure)
        if not self._tokens.access:
            return self._with_hint(SourceFailure("there is no sign-in"))
        exchanged = self._tokens
        result = self._exchange(site[0], now)
        refused = isinstance(result, SourceFailure) and result.http_status == 401
        if refused and tokens.refresh and exchanged is tokens:  # else it was renewed just now
            failure = self._renew(site, now)
            result = self._exchange(site[0], now) if failure is None else failure
        return self._with_hint(result) if isinstance(result, SourceFailure) else result

    def _renew(self, site: tuple[str, str], now: float) -> SourceFailure | None:
        """Replace the tokens by newer ones, of the file if another process has put some there; None if done."""
        used = self._tokens
        try:
            with self._file.locked() if self._file else nullcontext() as fields:
                found = used if fields is None else _Tokens.of(fields)
                if found.access != used.access and not found.end_soon(now):
                    self._tokens = found
                    return None
                tokens = self._renewed(found, site, now)
                if isinstance(tokens, SourceFailure):
                    return tokens
                self._tokens = tokens
                if self._file is not None:
                    self._file.replace(tokens.fields())
        except TimeoutError:
            return SourceFailure("another process has locked the file of the sign-in", transient=True)
        return None

    def _renewed(self, old: _Tokens, site: tuple[str, str], now: float) -> _Tokens | SourceFailure:
        """Ask the service for new tokens."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": old.refresh,
            "client_id": site[1],
            "Timestamp": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        secrets = (old.refresh, old.access)
        reply = self._post(f"{site[0]}/v1/token", urlencode(form).encode(), form=True, secrets=secrets, now=now)
        if isinstance(reply, SourceFailure):
            return reply
        access, refresh = reply.fields.get("access_token"), reply.fields.get("refresh_token") or old.refresh
        if not isinstance(access, str) or not access or not isinstance(refresh, str):
            return SourceFailure("the OAuth service gave no access token")
        lifetime = reply.fields.get("expires_in")
        lives = float(lifetime) if isinstance(lifetime, int | float) and 0 < lifetime < _MAX_LIFETIME else 3600.0
        return _Tokens(access, refresh, now + lives)

    def _exchange(self, address: str, now: float) -> Credentials | SourceFailure:
        """Ask the service for keys."""
        tokens = self._tokens
        secrets = (tokens.refresh, tokens.access)
        reply = self._post(f"{address}/v1/exchange", b"", token=tokens.access, secrets=secrets, now=now)
        return reply if isinstance(reply, SourceFailure) else self._keys(reply, reply.fields, now)

    def _with_hint(self, failure: SourceFailure) -> SourceFailure:
        return failure if failure.transient else replace(failure, reason=f"{failure.reason}; {self._hint()}")

    def describe(self) -> str:
        """Return the site."""
        return f"OAuth sign-in at site {self._fields.get('oauth_site_type') or 'CN'}"


def moment_of(value: object) -> datetime | None:
    """Read a moment of the CLI's file, Unix seconds or ISO 8601; None if there is none that can be read."""
    try:
        return parse_expiry(value)
    except ValueError:
        return None


def _time(value: object) -> float | None:
    moment = moment_of(value)
    return moment.timestamp() if moment else None


def _origin(url: str) -> str | SourceFailure:
    """Return the scheme and host of a sign-in page."""
    if not url:
        return SourceFailure("cloud_sso_sign_in_url is not set")
    if reason := url_problem(url):
        return SourceFailure(f"cloud_sso_sign_in_url {reason}")
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
