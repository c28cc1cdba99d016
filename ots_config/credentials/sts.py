"""The Security Token Service: its address, one signed or unsigned call with its retries, and roles assumed with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from ots_config.backoff import backoff_delay
from ots_config.credentials.http import Fetch, Reply, Timeouts, ask, fault_of_url, keys_in
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted
from ots_config.credentials.result import SourceFailure, hand_out
from ots_config.credentials.role import Role, role_of
from ots_config.credentials.rpc_signature import sign_rpc
from ots_config.credentials.variables import (
    ROLE_ARN,
    ROLE_DURATION,
    ROLE_EXTERNAL_ID,
    ROLE_POLICY,
    ROLE_SESSION_NAME,
    STS_ENDPOINT,
    STS_REGION,
    STS_VPC,
    switched_on,
    variable,
)
from ots_config.errors import CredentialsUnavailable, SettingsError, SettingsProblem

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from ots_config.credentials.credentials import Credentials

STS = "STS"
_VERSION = "2015-04-01"
_WRONG_KEYS = ("InvalidAccessKeyId", "InvalidSecurityToken", "SignatureDoesNotMatch", "Forbidden.AccessKey")
_WRONG_TIME = ("InvalidTimeStamp", "IllegalTimestamp")


@dataclass(frozen=True, slots=True)
class STSAddress:
    """Where STS is asked; what is not given here is read from the environment when it is needed.

    Attributes:
        endpoint: A host or URL, used as it is; ``http`` only on loopback.
        region: The region whose STS is asked, ``cn-hangzhou``; without one, the central one is.
        vpc: Whether to ask the address inside a VPC; it needs a region.
        environ: The environment; None is this process's.
    """

    endpoint: str | None = None
    region: str | None = None
    vpc: bool | None = None
    environ: Mapping[str, str] | None = None

    def url(self) -> str:
        """Return the URL to post to, which ends in a slash.

        Raises:
            SettingsError: If what was given makes no address that may be used.
        """
        endpoint = self.endpoint or variable(self.environ, *STS_ENDPOINT)
        if endpoint:
            origin = "argument" if self.endpoint else f"environment variable {STS_ENDPOINT[0]} or {STS_ENDPOINT[1]}"
            url = endpoint if "://" in endpoint else f"https://{endpoint}"
            reason = fault_of_url(url)
            if not reason and (urlsplit(url).path.strip("/") or urlsplit(url).query):
                reason = "it must be a host, without path or query"
            if reason:
                raise SettingsError(
                    SettingsProblem(
                        "sts_endpoint", reason, origin, "Write a host such as sts.cn-hangzhou.aliyuncs.com."
                    )
                )
            return url.rstrip("/") + "/"
        region = self.region or variable(self.environ, *STS_REGION)
        vpc = switched_on(self.environ, *STS_VPC) if self.vpc is None else self.vpc
        if vpc and not region:
            raise SettingsError(
                SettingsProblem(
                    "sts_region", "the VPC address of STS needs a region", "nowhere", f"Set {STS_REGION[0]}."
                )
            )
        if region and not region.replace("-", "").isalnum():
            raise SettingsError(
                SettingsProblem("sts_region", "it is no region", "argument or environment", "Write cn-hangzhou.")
            )
        host = f"sts-vpc.{region}" if vpc else f"sts.{region}" if region else "sts"
        return f"https://{host}.aliyuncs.com/"


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard one call tries; numbers first, the library that follows them last.

    Attributes:
        attempts: How often at most.
        seconds: No further attempt starts after so many.
        sleep: Waits.
        clock: Our time, as ``time.time`` tells it.
        timeouts: Of each attempt.
    """

    attempts: int = 4
    seconds: float = 20.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    timeouts: Timeouts = field(default_factory=Timeouts)

    def wait(self, attempt: int, failure: SourceFailure) -> float:
        """Return the seconds to wait after an attempt, the first being 1; throttling is given more room."""
        delay = backoff_delay(attempt, 1.0 if failure.throttled else 0.2, 5.0)
        return max(delay, min(failure.wait or 0.0, 5.0))


def call_sts(
    fetch: Fetch,
    url: str,
    action: str,
    parameters: Mapping[str, str],
    *,
    signer: Credentials | None,
    pace: Pace,
) -> Reply | SourceFailure:
    """Post one action to STS and return what it answered.

    Everything travels in the body, so that tokens are in no access log. Throttling, 5xx and a network that fails are
    tried again; a refusal is not, but for one that blames the time, which is sent once more by the server's clock.

    Args:
        fetch: The HTTP callable.
        url: The address.
        action: ``AssumeRole`` and its like.
        parameters: The action's own.
        signer: The keys to sign with; None sends it unsigned.
        pace: How hard to try.
    """
    import tenacity

    attempt = _Attempt(fetch, url, {**parameters, "Action": action}, signer, pace)

    def wait(state: RetryCallState) -> float:
        return pace.wait(state.attempt_number, state.outcome.result() if state.outcome else SourceFailure(""))

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(pace.attempts) | tenacity.stop_before_delay(pace.seconds),
        wait=wait,
        retry=tenacity.retry_if_result(lambda result: isinstance(result, SourceFailure) and result.transient),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        sleep=pace.sleep,
    )
    outcome: Reply | SourceFailure = retrying(attempt)
    return outcome


class _Attempt:
    """One call of STS, again and again: each with its own nonce, date and signature."""

    def __init__(
        self, fetch: Fetch, url: str, parameters: dict[str, str], signer: Credentials | None, pace: Pace
    ) -> None:
        self._fetch = fetch
        self._url = url
        self._parameters = parameters
        self._signer = signer
        self._pace = pace
        self._offset = 0.0

    def __call__(self) -> Reply | SourceFailure:
        outcome = self._post()
        if (
            isinstance(outcome, SourceFailure)
            and outcome.code.startswith(_WRONG_TIME)
            and outcome.offset is not None
            and not self._offset
        ):
            self._offset = outcome.offset
            outcome = self._post()
        return outcome

    def _post(self) -> Reply | SourceFailure:
        signer = self._signer
        secrets = [self._parameters.get("OIDCToken")]
        secrets += [signer.get_access_key_secret(), signer.get_security_token()] if signer else []
        return ask(
            self._fetch,
            "POST",
            self._url,
            who=STS,
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode(self._form()).encode(),
            timeouts=self._pace.timeouts,
            secrets=secrets,
            now=self._pace.clock(),
        )

    def _form(self) -> dict[str, str]:
        now = datetime.fromtimestamp(self._pace.clock() + self._offset, UTC)
        form = {
            **self._parameters,
            "Version": _VERSION,
            "Format": "JSON",
            "Timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        if self._signer is not None:
            form |= {
                "AccessKeyId": self._signer.access_key_id,
                "SignatureMethod": "HMAC-SHA1",
                "SignatureVersion": "1.0",
                "SignatureNonce": str(uuid4()),
            }
            if self._signer.sts_token:
                form["SecurityToken"] = self._signer.sts_token.reveal()
            form["Signature"] = sign_rpc(self._signer.access_key_secret.reveal(), "POST", form)
        return form

    def __repr__(self) -> str:
        return f"<{self._parameters['Action']} at {self._url}>"


def role_keys(reply: Reply, role: Role, *, source: str, now: float) -> Credentials | SourceFailure:
    """Return the keys in an answer to AssumeRole or AssumeRoleWithOIDC."""
    fields = reply.fields.get("Credentials")
    return keys_in(
        fields if isinstance(fields, dict) else {},
        who=STS,
        source=source,
        offset=reply.offset,
        lifetime=role.duration,
        now=now,
    )


class AssumeRoleProvider(Provider):
    """The keys of a role, assumed with the keys of another source.

    The source may be any provider, a role too: so roles chain. Each call of ``fetch_credentials`` asks the source and
    then STS; keep the answer by wrapping it in ``RefreshingProvider``. Their end is told in this machine's time,
    corrected by the ``Date`` of STS if the two differ.

    Args:
        source: Whose keys may assume the role: a provider of whatever kind, or ``Credentials``.
        role_arn: The role.
        fetch: The HTTP callable.
        session_name: For the audit log; ``ALIBABA_CLOUD_ROLE_SESSION_NAME`` if not given, else ``ots-config``.
        duration: Seconds that the keys live, 900 to 43200; an hour if not given.
        policy: Text or object of a policy that narrows the role.
        external_id: What the role's trust policy asks for.
        endpoint: A host or URL of STS; ``http`` only on loopback. Without it ``OTS_STS_ENDPOINT`` and
            ``ALIBABA_CLOUD_STS_ENDPOINT`` are looked at.
        region: The region of STS, else ``OTS_STS_REGION``, ``ALIBABA_CLOUD_STS_REGION``, else the central STS.
        vpc: Whether to use the region's address inside a VPC, else ``OTS_STS_VPC``,
            ``ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED``.
        environ: The environment; None is this process's, read at each fetch.
        pace: How hard one fetch tries.
        origin: Where the arguments came from, for messages.

    Raises:
        SettingsError: If an argument is not what STS takes.
    """

    name = "assume_role"

    def __init__(
        self,
        source: Any,
        role_arn: str,
        *,
        fetch: Fetch,
        session_name: str | None = None,
        duration: float | str | None = None,
        policy: str | Mapping[str, Any] | None = None,
        external_id: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        vpc: bool | None = None,
        environ: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        origin: str = "argument",
    ) -> None:
        self.source = adapted(source)
        self._fetch = fetch
        self._role = role_of(
            role_arn,
            session_name=session_name,
            duration=duration,
            policy=policy,
            external_id=external_id,
            origin=origin,
        )
        self._session_name_given = bool(session_name)
        self._address = STSAddress(endpoint, region, vpc, environ)
        if endpoint or region:
            self._address.url()
        self._environ = environ
        self._pace = pace or Pace()

    @classmethod
    def from_environment(
        cls,
        source: Any,
        *,
        fetch: Fetch,
        environ: Mapping[str, str] | None = None,
        pace: Pace | None = None,
    ) -> AssumeRoleProvider:
        """Wrap a source in the role that ``OTS_ROLE_ARN`` and its companions name.

        Raises:
            CredentialsUnavailable: If ``OTS_ROLE_ARN`` is not set.
            SettingsError: If one of them is not what STS takes.
        """
        arn = variable(environ, ROLE_ARN)
        if not arn:
            message = f"{ROLE_ARN} is not set"
            raise CredentialsUnavailable(message)
        return cls(
            source,
            arn,
            fetch=fetch,
            session_name=variable(environ, *ROLE_SESSION_NAME),
            duration=variable(environ, ROLE_DURATION),
            policy=variable(environ, ROLE_POLICY),
            external_id=variable(environ, *ROLE_EXTERNAL_ID),
            environ=environ,
            pace=pace,
            origin="environment variables OTS_ROLE_*",
        )

    def fetch_credentials(self) -> Credentials:
        """Ask the source, then STS.

        If STS no longer takes the source's keys, the source is asked to look again, and other keys are tried once.

        Raises:
            CredentialsUnavailable: If the source has no keys.
            CredentialsRefused: If the source or STS refuses, or STS cannot be reached.
        """
        keys = self.source.get_credentials()
        outcome = self._assumed(keys)
        if isinstance(outcome, SourceFailure) and outcome.code.startswith(_WRONG_KEYS):
            renewed = self.source.force_refresh(keys)
            if renewed != keys:
                outcome = self._assumed(renewed)
        return hand_out(outcome)

    def _assumed(self, keys: Credentials) -> Credentials | SourceFailure:
        role, url = self._current()
        if isinstance(url, SourceFailure):
            return url
        reply = call_sts(self._fetch, url, "AssumeRole", role.form(), signer=keys, pace=self._pace)
        if isinstance(reply, SourceFailure):
            return replace(reply, reason=f"{role.arn}, assumed with {keys.masked_id}: {reply.reason}")
        return role_keys(reply, role, source=f"{self.name}/{keys.source}", now=self._pace.clock())

    def _current(self) -> tuple[Role, str | SourceFailure]:
        """Return the role and the address, with what the environment says now."""
        role = self._role
        name = "" if self._session_name_given else variable(self._environ, ROLE_SESSION_NAME[1])
        try:
            if name:
                role = role_of(role.arn, session_name=name, origin=f"environment variable {ROLE_SESSION_NAME[1]}")
                role = replace(self._role, session_name=role.session_name)
            return role, self._address.url()
        except SettingsError as error:
            return role, SourceFailure(error.message)

    def describe(self) -> str:
        """Tell the role, the address and the source, without secrets."""
        role, url = self._current()
        where = "an address that cannot be used" if isinstance(url, SourceFailure) else url.rstrip("/")
        return f"{role} at {where}, from {self.source.describe()}"
