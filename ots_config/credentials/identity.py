"""Who the keys belong to, as STS sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ots_config.credentials.providers.external import adapted
from ots_config.credentials.result import SourceFailure, hand_out
from ots_config.credentials.sts import STS, Pace, STSAddress, call_sts
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.http import Fetch


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs.

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
    credentials: Any,
    fetch: Fetch,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    vpc: bool | None = None,
    environ: Mapping[str, str] | None = None,
    pace: Pace | None = None,
) -> Identity:
    """Ask STS who these keys belong to; it needs no permission and proves that they work.

    Args:
        credentials: ``Credentials`` or any provider.
        fetch: The HTTP callable.
        endpoint: As for ``AssumeRoleProvider``.
        region: As for ``AssumeRoleProvider``.
        vpc: As for ``AssumeRoleProvider``.
        environ: As for ``AssumeRoleProvider``.
        pace: How hard to try.

    Raises:
        CredentialsUnavailable: If the provider has no keys.
        CredentialsRefused: If the keys are refused, or STS cannot be reached.
    """
    address = STSAddress(endpoint, region, vpc, environ)
    return hand_out(_asked(adapted(credentials).get_credentials(), fetch, address, pace or Pace()))


def _asked(keys: Credentials, fetch: Fetch, address: STSAddress, pace: Pace) -> Identity | SourceFailure:
    try:
        url = address.url()
    except SettingsError as error:
        return SourceFailure(error.message)
    reply = call_sts(fetch, url, "GetCallerIdentity", {}, signer=keys, pace=pace)
    if isinstance(reply, SourceFailure):
        return reply
    told = {name: value for name, value in reply.fields.items() if isinstance(value, str) and value}
    if "AccountId" not in told or "Arn" not in told:
        return SourceFailure(f"{STS} answered without an account and an ARN")
    return Identity(
        told["AccountId"],
        told["Arn"],
        told.get("IdentityType", ""),
        told.get("PrincipalId", ""),
        told.get("UserId"),
        told.get("RoleId"),
    )
