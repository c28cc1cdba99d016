"""Keys from a browser sign-in, as the Aliyun CLI's modes CloudSSO and OAuth keep them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from ots_config.credentials.http import Fetch, Timeouts, ask, keys_in, parse_expiry, url_problem
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, unwrap

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials

logger = logging.getLogger("ots_config.credentials")

# The CLI's public client id and address on each of the two sites.
OAUTH_SITES: Final = {
    "cn": ("https://oauth.aliyun.com", "4038181954557748008"),
    "intl": ("https://oauth.alibabacloud.com", "4103531455503354461"),
}
# An access token this near its end is replaced before it is used.
_RENEW_BEFORE = 1200.0
# Keys that the CLI left in the file are used while they live so much longer, then new ones are fetched.
_MIN_KEPT_LIFE = 1200.0


class CloudSSOProvider(Provider):
    """The keys of an access configuration, got with the access token of a sign-in to CloudSSO.

    The access token cannot be renewed without the browser: when it has ended, the error says how to sign in again.

    Args:
        fields: The profile, as the CLI wrote it.
        fetch: The HTTP callable.
        timeouts: Of the one request.
        clock: Our time, in seconds since 1970.
    """

    name = "cloud_sso"

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
        return unwrap(self._asked())

    def _asked(self) -> Credentials | SourceFailure:
        now = self._clock()
        if kept := kept_keys(self._fields, self.name, now, _MIN_KEPT_LIFE):
            return kept
        fields = self._fields
        address = _origin(str(fields.get("cloud_sso_sign_in_url") or ""))
        if isinstance(address, SourceFailure):
            return address
        token = str(fields.get("access_token") or "")
        ends_at = _time(fields.get("cloud_sso_access_token_expire"))
        if not token or (ends_at is not None and ends_at <= now):
            ended = "has ended" if token else "was never done"
            return kept_keys(fields, self.name, now, 0) or SourceFailure(
                f"the CloudSSO sign-in {ended}: {self._hint()}"
            )
        reply = ask(
            self._fetch,
            "POST",
            f"{address}/cloud-credentials",
            who="CloudSSO",
            headers={
                "authorization": f"Bearer {token}",
                "content-type": "application/json",
                "accept": "application/json",
            },
            body=json.dumps(
                {
                    "AccountId": fields.get("cloud_sso_account_id"),
                    "AccessConfigurationId": fields.get("cloud_sso_access_config"),
                }
            ).encode(),
            timeouts=self._timeouts,
            secrets=[token],
            now=now,
        )
        if isinstance(reply, SourceFailure):
            signed_out = reply.http_status == 401
            return replace(reply, reason=f"{reply.reason}; {self._hint()}") if signed_out else reply
        keys = reply.fields.get("CloudCredential")
        keys = keys if isinstance(keys, dict) else {}
        return keys_in(keys, who="CloudSSO", source=self.name, offset=reply.offset, now=now)

    def _hint(self) -> str:
        return f"sign in again with `aliyun configure --mode CloudSSO --profile {self._fields.get('name')}`"

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


class OAuthProvider(Provider):
    """The keys of a person who signed in to the CLI with the console's own sign-in.

    The access token is renewed with the refresh token when it nears its end. The service may then replace the refresh
    token too; the new one is kept in memory and never written back, as the file belongs to the CLI, so the CLI may
    ask for a new sign-in later.

    Args:
        fields: The profile, as the CLI wrote it.
        fetch: The HTTP callable.
        timeouts: Of each request.
        clock: Our time, in seconds since 1970.
    """

    name = "oauth"

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
        self._tokens = self._written()

    def _written(self) -> _Tokens:
        fields = self._fields
        return _Tokens(
            str(fields.get("oauth_access_token") or ""),
            str(fields.get("oauth_refresh_token") or ""),
            _time(fields.get("oauth_access_token_expire")),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Keep what the file says, and not the tokens fetched since."""
        return {**self.__dict__, "_tokens": self._written()}

    def is_of(self, fields: Mapping[str, Any]) -> bool:
        """Return whether a profile still holds the sign-in that this source works with."""
        return all(
            self._fields.get(key) == fields.get(key)
            for key in ("oauth_site_type", "oauth_refresh_token", "oauth_access_token")
        )

    def fetch_credentials(self) -> Credentials:
        """Use the keys that the CLI left while they live, else exchange the access token for new ones."""
        return unwrap(self._asked())

    def _asked(self) -> Credentials | SourceFailure:
        now = self._clock()
        if kept := kept_keys(self._fields, self.name, now, _MIN_KEPT_LIFE):
            return kept
        site = OAUTH_SITES.get(str(self._fields.get("oauth_site_type") or "CN").lower())
        if site is None:
            return SourceFailure("oauth_site_type is neither CN nor INTL")
        tokens = self._tokens
        ends_soon = tokens.ends_at is None or tokens.ends_at - now <= _RENEW_BEFORE
        renewed = False
        if tokens.refresh and (ends_soon or not tokens.access):
            failure = self._renew(site, now)
            renewed = failure is None
            if failure is not None and (not tokens.access or (tokens.ends_at or 0) <= now):
                return kept_keys(self._fields, self.name, now, 0) or self._with_hint(failure)
        if not self._tokens.access:
            return self._with_hint(SourceFailure("there is no sign-in"))
        result = self._exchange(site[0], now)
        if isinstance(result, SourceFailure) and result.http_status == 401 and tokens.refresh and not renewed:
            failure = self._renew(site, now)
            result = self._exchange(site[0], now) if failure is None else failure
        return self._with_hint(result) if isinstance(result, SourceFailure) else result

    def _renew(self, site: tuple[str, str], now: float) -> SourceFailure | None:
        """Replace the tokens; None if that was done."""
        old = self._tokens
        moment = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
        form = {
            "grant_type": "refresh_token",
            "refresh_token": old.refresh,
            "client_id": site[1],
            "Timestamp": moment,
        }
        reply = ask(
            self._fetch,
            "POST",
            f"{site[0]}/v1/token",
            who="the OAuth service",
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode(form).encode(),
            timeouts=self._timeouts,
            secrets=[old.refresh, old.access],
            now=now,
        )
        if isinstance(reply, SourceFailure):
            return reply
        access, refresh = reply.fields.get("access_token"), reply.fields.get("refresh_token") or old.refresh
        if not isinstance(access, str) or not access or not isinstance(refresh, str):
            return SourceFailure("the OAuth service gave no access token")
        lifetime = reply.fields.get("expires_in")
        lives = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else 3600.0
        if refresh != old.refresh:
            logger.info(
                "the OAuth service replaced the refresh token of profile %s; the new one is kept in memory only",
                self._fields.get("name"),
            )
        self._tokens = _Tokens(access, refresh, now + lives)
        return None

    def _exchange(self, address: str, now: float) -> Credentials | SourceFailure:
        reply = ask(
            self._fetch,
            "POST",
            f"{address}/v1/exchange",
            who="the OAuth service",
            headers={
                "authorization": f"Bearer {self._tokens.access}",
                "content-type": "application/json",
                "accept": "application/json",
            },
            body=b"",
            timeouts=self._timeouts,
            secrets=[self._tokens.refresh, self._tokens.access],
            now=now,
        )
        if isinstance(reply, SourceFailure):
            return reply
        return keys_in(reply.fields, who="the OAuth service", source=self.name, offset=reply.offset, now=now)

    def _with_hint(self, failure: SourceFailure) -> SourceFailure:
        if failure.transient:
            return failure
        hint = f"sign in again with `aliyun configure --mode OAuth --profile {self._fields.get('name')}`"
        return replace(failure, reason=f"{failure.reason}; {hint}")

    def describe(self) -> str:
        """Return the site."""
        return f"OAuth sign-in at site {self._fields.get('oauth_site_type') or 'CN'}"


def kept_keys(fields: Mapping[str, Any], source: str, now: float, least: float) -> Credentials | None:
    """Return the temporary keys that the CLI left in a profile, if they live at least so many seconds more."""
    ends_at = _time(fields.get("sts_expiration"))
    if ends_at is None or ends_at - now <= least or not fields.get("sts_token"):
        return None
    found = keys_in({**fields, "expiration": ends_at}, who="the profile", source=source, now=now)
    return None if isinstance(found, SourceFailure) else found


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
        return SourceFailure(f"cloud_sso_sign_in_url cannot be used: {reason}")
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
