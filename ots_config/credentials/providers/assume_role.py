"""The keys of a role, assumed with the keys of another source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ots_config.credentials.environment_names import ROLE_SESSION_NAME, variable
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted
from ots_config.credentials.result import SourceFailure, unwrap
from ots_config.credentials.sts import Pace, Role, STSAddress, call_sts, role_keys, role_of
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.http import Fetch

_WRONG_KEYS: Final = ("InvalidAccessKeyId", "InvalidSecurityToken", "SignatureDoesNotMatch", "Forbidden.AccessKey")


class AssumeRoleProvider(Provider):
    """The keys of a role, assumed with the keys of another source.

    The source may be any provider, a role too: so roles chain. Each call of ``fetch_credentials`` asks the source and
    then STS; keep the answer by wrapping it in ``RefreshingProvider``. Their end is converted to this machine's time by
    the ``Date`` of STS if the two clocks differ.

    Args:
        source: Whose keys may assume the role: any provider, or ``Credentials``.
        role_arn: The role.
        fetch: The HTTP callable.
        session_name: For the audit log; ``ALIBABA_CLOUD_ROLE_SESSION_NAME`` if not given, else ``ots-config``.
        duration: Seconds that the keys live, 900 to 43200; an hour if not given.
        policy: Text or object of a policy that narrows the role.
        external_id: What the role's trust policy asks for.
        endpoint: A host or URL of STS; ``http`` only on loopback. Without it ``OTS_STS_ENDPOINT`` and
            ``ALIBABA_CLOUD_STS_ENDPOINT`` are read.
        region: The region of STS, else ``OTS_STS_REGION``, ``ALIBABA_CLOUD_STS_REGION``, else the central STS.
        vpc: Whether to use the region's address inside a VPC, else ``OTS_STS_VPC``,
            ``ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED``.
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
        self._address = STSAddress(endpoint, region, vpc)
        if endpoint or region:
            self._address.url()
        self._pace = pace or Pace()

    def fetch_credentials(self) -> Credentials:
        """Ask the source, then STS.

        If STS no longer accepts the source's keys, the source is asked for others, which are tried once.
        """
        keys = self.source.get_credentials()
        result = self._assumed(keys)
        if isinstance(result, SourceFailure) and result.code.startswith(_WRONG_KEYS):
            renewed = self.source.force_refresh(keys)
            if renewed != keys:
                result = self._assumed(renewed)
        return unwrap(result)

    def _assumed(self, keys: Credentials) -> Credentials | SourceFailure:
        role, url = self._current()
        if isinstance(url, SourceFailure):
            return url
        reply = call_sts(self._fetch, url, "AssumeRole", role.form(), signer=keys, pace=self._pace)
        if isinstance(reply, SourceFailure):
            return replace(reply, reason=f"{role.arn}, assumed with {keys.masked_id}: {reply.reason}")
        return role_keys(reply, role, source=f"{self.name}/{keys.source}", now=self._pace.clock())

    def _current(self) -> tuple[Role, str | SourceFailure]:
        """Return the role and the address, completed from the environment as it is now."""
        role = self._role
        name = "" if self._session_name_given else variable(ROLE_SESSION_NAME)
        try:
            if name:
                role = role_of(role.arn, session_name=name, origin=f"environment variable {ROLE_SESSION_NAME}")
                role = replace(self._role, session_name=role.session_name)
            return role, self._address.url()
        except SettingsError as error:
            return role, SourceFailure(error.message)

    def describe(self) -> str:
        """Return the role, the address and the source, without secrets."""
        role, url = self._current()
        where = "an address that cannot be used" if isinstance(url, SourceFailure) else url.rstrip("/")
        return f"{role} at {where}, from {self.source.describe()}"
