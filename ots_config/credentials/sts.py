"""The Security Token Service: its address, its rules for roles, one call with its retries, and whose keys they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from ots_config import credential_rules as rules
from ots_config.backoff import backoff_delay
from ots_config.credentials.environment_names import STS_ENDPOINT, STS_REGION, STS_VPC, switched_on, variable
from ots_config.credentials.http import Fetch, JSONReply, Timeouts, ask, keys_in
from ots_config.credentials.result import SourceFailure, unwrap
from ots_config.credentials.rpc_signature import sign_rpc
from ots_config.errors import SettingsError, SettingsProblem

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from ots_config.credentials.credentials import Credentials

STS = "STS"
_VERSION = "2015-04-01"
_WRONG_TIME = ("InvalidTimeStamp", "IllegalTimestamp")

SESSION_NAME = "ots-config"
DEFAULT_DURATION = 3600


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume.

    Attributes:
        arn: Which role, ``acs:ram::<account>:role/<name>``.
        session_name: The name in the audit log, 2 to 64 letters, digits and ``.@_-``. The default is constant, so that
            processes of the same configuration can share credentials.
        duration: Seconds that the keys live, 900 to 43200 and no more than the role allows.
        policy: A policy that narrows what the keys may do; its text or the object it says.
        external_id: What the role's trust policy asks of callers from other accounts.
    """

    arn: str
    session_name: str = SESSION_NAME
    duration: int = DEFAULT_DURATION
    policy: str | None = field(default=None, repr=False)
    external_id: str | None = field(default=None, repr=False)

    def form(self) -> dict[str, str]:
        """Return the parameters of the request."""
        form = {
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": str(self.duration),
        }
        if self.policy is not None:
            form["Policy"] = self.policy
        if self.external_id is not None:
            form["ExternalId"] = self.external_id
        return form

    def __str__(self) -> str:
        """Return everything that makes one role's keys differ from another's; a digest stands for what is private."""
        text = f"role {self.arn} as {self.session_name} for {self.duration} s"
        narrowed = {"policy": self.policy, "external id": self.external_id}
        if any(narrowed.values()):
            from hashlib import sha256

            names = " and ".join(name for name, value in narrowed.items() if value)
            mark = sha256(repr((self.policy, self.external_id)).encode()).hexdigest()[:12]
            text += f" with {names} {mark}"
        return text


def role_of(
    arn: object,
    *,
    session_name: object = None,
    duration: object = None,
    policy: object = None,
    external_id: object = None,
    origin: str = "argument",
) -> Role:
    """Return a role whose values follow the service's rules, checked before anything is sent.

    Args:
        arn: The role.
        session_name: See ``Role``; empty is the default name.
        duration: A number or its digits; empty or 0 is an hour.
        policy: Text or an object; empty is none.
        external_id: Text; empty is none.
        origin: Where the values came from, for messages.

    Raises:
        SettingsError: If a value is not what the service takes, all problems together.
    """
    problems: list[SettingsProblem] = []

    def problem(name: str, reason: str, hint: str) -> None:
        problems.append(SettingsProblem(f"role.{name}", reason, origin, hint))

    name = str(session_name or SESSION_NAME)
    text = json.dumps(policy) if isinstance(policy, Mapping) else str(policy or "")
    outside = str(external_id or "")
    seconds = _whole(duration or DEFAULT_DURATION)
    if not isinstance(arn, str) or not rules.ROLE_ARN.fullmatch(arn):
        problem("arn", "is not a valid role ARN", "Write acs:ram::<account id>:role/<role name>.")
    if not rules.SESSION_NAME.fullmatch(name):
        problem("session_name", "STS refuses it", "Use 2 to 64 letters, digits, dots, @, _ and -.")
    if seconds is None or not rules.MIN_DURATION <= seconds <= rules.MAX_DURATION:
        problem("duration", "STS refuses it", f"Use {rules.MIN_DURATION} to {rules.MAX_DURATION} seconds.")
    if len(text) > rules.MAX_POLICY:
        problem("policy", f"it has {len(text)} characters", f"Use at most {rules.MAX_POLICY}.")
    if outside and not rules.EXTERNAL_ID.fullmatch(outside):
        problem("external_id", "STS refuses it", "Use 2 to 1224 letters, digits and +=,.@:/-_.")
    if problems:
        raise SettingsError(*problems)
    return Role(str(arn), name, seconds or DEFAULT_DURATION, text or None, outside or None)


def _whole(value: Any) -> int | None:
    try:
        return int(value) if not isinstance(value, bool) and float(value).is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class STSAddress:
    """Where STS is asked; what is not given here is read from the environment when it is needed.

    Attributes:
        endpoint: A host or URL, used as it is; ``http`` only on loopback.
        region: The region whose STS is asked, ``cn-hangzhou``; without one, the central one is.
        vpc: Whether to ask the address inside a VPC; it needs a region.
    """

    endpoint: str | None = None
    region: str | None = None
    vpc: bool | None = None

    def url(self) -> str:
        """Return the URL to post to, which ends in a slash.

        Raises:
            SettingsError: If what was given makes no address that may be used.
        """
        endpoint = self.endpoint or variable(*STS_ENDPOINT)
        if endpoint:
            origin = "argument" if self.endpoint else f"environment variable {STS_ENDPOINT[0]} or {STS_ENDPOINT[1]}"
            url = endpoint if "://" in endpoint else f"https://{endpoint}"
            reason = rules.url_problem(url)
            if not reason and (urlsplit(url).path.strip("/") or urlsplit(url).query):
                reason = "is more than a host: it has a path or a query"
            if reason:
                raise SettingsError(
                    SettingsProblem(
                        "sts_endpoint", reason, origin, "Write a host such as sts.cn-hangzhou.aliyuncs.com."
                    )
                )
            return url.rstrip("/") + "/"
        region = self.region or variable(*STS_REGION)
        vpc = switched_on(*STS_VPC) if self.vpc is None else self.vpc
        if vpc and not region:
            raise SettingsError(
                SettingsProblem(
                    "sts_region", "the VPC address of STS needs a region", "nowhere", f"Set {STS_REGION[0]}."
                )
            )
        if region and not region.replace("-", "").isalnum():
            raise SettingsError(
                SettingsProblem("sts_region", "it is not a region", "argument or environment", "Write cn-hangzhou.")
            )
        host = f"sts-vpc.{region}" if vpc else f"sts.{region}" if region else "sts"
        return f"https://{host}.aliyuncs.com/"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long one call is tried.

    Attributes:
        attempts: The most attempts.
        seconds: What all attempts and the waits between them may take.
        sleep: Waits.
        clock: Our time, in seconds since 1970.
        timeouts: Of each attempt, cut to the seconds that are left.
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
) -> JSONReply | SourceFailure:
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

    attempt = _STSCall(fetch, url, {**parameters, "Action": action}, signer, pace)

    def wait(state: RetryCallState) -> float:
        return pace.wait(state.attempt_number, state.outcome.result() if state.outcome else SourceFailure(""))

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(pace.attempts) | tenacity.stop_before_delay(pace.seconds),
        wait=wait,
        retry=tenacity.retry_if_result(lambda result: isinstance(result, SourceFailure) and result.transient),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        sleep=pace.sleep,
    )
    result: JSONReply | SourceFailure = retrying(attempt)
    return result


class _STSCall:
    """One call of STS; each attempt has its own nonce, date and signature."""

    def __init__(
        self, fetch: Fetch, url: str, parameters: dict[str, str], signer: Credentials | None, pace: Pace
    ) -> None:
        self._fetch = fetch
        self._url = url
        self._parameters = parameters
        self._signer = signer
        self._pace = pace
        self._ends = time.monotonic() + pace.seconds
        self._offset = 0.0

    def __call__(self) -> JSONReply | SourceFailure:
        result = self._post()
        if (
            isinstance(result, SourceFailure)
            and result.code.startswith(_WRONG_TIME)
            and result.offset is not None
            and not self._offset
        ):
            self._offset = result.offset
            result = self._post()
        return result

    def _post(self) -> JSONReply | SourceFailure:
        signer = self._signer
        secrets = [self._parameters.get("OIDCToken")]
        secrets += [signer.get_access_key_secret(), signer.get_security_token()] if signer else []
        return ask(
            self._fetch,
            "POST",
            self._url,
            who=f"{STS} at {urlsplit(self._url).netloc}",
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode(self._form()).encode(),
            timeouts=self._pace.timeouts.within(self._ends - time.monotonic()),
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


def role_keys(reply: JSONReply, role: Role, *, source: str, now: float) -> Credentials | SourceFailure:
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


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose keys they are, as STS sees it.

    Attributes:
        account_id: The account.
        arn: The account, user or assumed role.
        identity_type: ``Account``, ``RAMUser`` or ``AssumedRoleUser``.
        principal_id: The account, the user, or ``<role id>:<session name>``.
        user_id: The account's or user's id; None for roles.
        role_id: The role's id; None for accounts and users.
    """

    account_id: str
    arn: str
    identity_type: str
    principal_id: str
    user_id: str | None = None
    role_id: str | None = None


def caller_identity(
    keys: Credentials, fetch: Fetch, address: STSAddress | None = None, *, pace: Pace | None = None
) -> Identity:
    """Ask STS whose keys these are; it needs no permission and proves that they work.

    Args:
        keys: The keys.
        fetch: The HTTP callable.
        address: Where STS is asked.
        pace: How hard to try.

    Raises:
        CredentialsRefused: If the keys are refused, or STS cannot be reached.
    """
    return unwrap(_identity(keys, fetch, address or STSAddress(), pace or Pace()))


def _identity(keys: Credentials, fetch: Fetch, address: STSAddress, pace: Pace) -> Identity | SourceFailure:
    try:
        url = address.url()
    except SettingsError as error:
        return SourceFailure(error.message)
    reply = call_sts(fetch, url, "GetCallerIdentity", {}, signer=keys, pace=pace)
    if isinstance(reply, SourceFailure):
        return reply
    fields = {name: value for name, value in reply.fields.items() if isinstance(value, str) and value}
    if "AccountId" not in fields or "Arn" not in fields:
        return SourceFailure(f"{STS} answered without an account and an ARN")
    return Identity(
        fields["AccountId"],
        fields["Arn"],
        fields.get("IdentityType", ""),
        fields.get("PrincipalId", ""),
        fields.get("UserId"),
        fields.get("RoleId"),
    )
