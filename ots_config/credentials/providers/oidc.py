"""A role assumed with the OIDC token of the platform, as pods of a Kubernetes cluster do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ots_config.credentials.environment_names import (
    OIDC_PROVIDER_ARN,
    OIDC_ROLE_ARN,
    OIDC_TOKEN_FILE,
    ROLE_SESSION_NAME,
    SETTING,
    name_of_set,
    variable,
)
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, missing, required, unwrap
from ots_config.credentials.sts import Pace, Role, STSAddress, call_sts, role_keys, role_of
from ots_config.errors import SettingsError
from ots_config.secret_files import read_bounded

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.http import Fetch

_MIN_TOKEN, _MAX_TOKEN = 4, 20000


class OIDCRoleProvider(Provider):
    """The keys of a role, assumed with a token that the platform writes to a file.

    The request is unsigned and travels in the body of a POST. The file is read again at each fetch, as platforms
    replace the token. What is not given as argument is read from ``ALIBABA_CLOUD_ROLE_ARN``,
    ``ALIBABA_CLOUD_OIDC_PROVIDER_ARN``, ``ALIBABA_CLOUD_OIDC_TOKEN_FILE`` and ``ALIBABA_CLOUD_ROLE_SESSION_NAME``
    when credentials are fetched. If one of the first three is missing, the source is refused where an argument, the
    provider's variable or the token file's names it; ``ALIBABA_CLOUD_ROLE_ARN`` alone names nothing, and the source
    does not apply.

    Args:
        fetch: The HTTP callable.
        role_arn: The role.
        provider_arn: The OIDC provider, ``acs:ram::<account>:oidc-provider/<name>``.
        token_file: The file with the token.
        session_name: For the audit log; ``ots-config`` if nothing else is said.
        duration: Seconds that the keys live, 900 to 43200; an hour if not given.
        policy: Text or object of a policy that narrows the role.
        endpoint: As for ``AssumeRoleProvider``.
        region: As for ``AssumeRoleProvider``.
        vpc: As for ``AssumeRoleProvider``.
        pace: How hard one fetch tries.
    """

    name = "oidc"

    def __init__(
        self,
        *,
        fetch: Fetch,
        role_arn: str | None = None,
        provider_arn: str | None = None,
        token_file: Path | str | None = None,
        session_name: str | None = None,
        duration: float | str | None = None,
        policy: str | Mapping[str, Any] | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        vpc: bool | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._fetch = fetch
        self._role_arn = role_arn
        self._provider_arn = provider_arn
        self._token_file = token_file
        self._session_name = session_name
        self._duration = duration
        self._policy = policy
        self._address = STSAddress(endpoint, region, vpc)
        self._pace = pace or Pace()

    def fetch_credentials(self) -> Credentials:
        """Read the token and send it to STS."""
        return unwrap(required(self._assumed(), self.named_by()))

    def named_by(self) -> str:
        """Return what names this source; a role alone does not, as other sources take one too."""
        if self._role_arn or self._provider_arn or self._token_file:
            return SETTING
        return name_of_set(OIDC_PROVIDER_ARN, OIDC_TOKEN_FILE)

    def check_named(self) -> None:
        """Check that nothing is missing.

        Raises:
            CredentialsRefused: If something is.
        """
        if absent := self._absent():
            unwrap(required(absent, self.named_by()))

    def _assumed(self) -> Credentials | SourceFailure:
        if absent := self._absent():
            return absent
        provider_arn, token_file = self._provider(), self._file()
        try:
            role, url = self._role(), self._address.url()
        except SettingsError as error:
            return SourceFailure(error.message)
        token = _read_token(Path(token_file).expanduser())
        if isinstance(token, SourceFailure):
            return token
        form = {**role.form(), "OIDCProviderArn": provider_arn, "OIDCToken": token}
        reply = call_sts(self._fetch, url, "AssumeRoleWithOIDC", form, signer=None, pace=self._pace)
        if isinstance(reply, SourceFailure):
            return replace(reply, reason=f"{role.arn}, assumed with the token in {token_file}: {reply.reason}")
        return role_keys(reply, role, source=self.name, now=self._pace.clock())

    def _absent(self) -> SourceFailure | None:
        """Return which of the three parts are missing."""
        needed = {OIDC_ROLE_ARN: self._arn(), OIDC_PROVIDER_ARN: self._provider(), OIDC_TOKEN_FILE: self._file()}
        absent = [name for name, value in needed.items() if not value]
        return missing(f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not set") if absent else None

    def _arn(self) -> str:
        return self._role_arn or variable(OIDC_ROLE_ARN)

    def _provider(self) -> str:
        return self._provider_arn or variable(OIDC_PROVIDER_ARN)

    def _file(self) -> str:
        return str(self._token_file or variable(OIDC_TOKEN_FILE))

    def _role(self) -> Role:
        return role_of(
            self._arn(),
            session_name=self._session_name or variable(ROLE_SESSION_NAME),
            duration=self._duration,
            policy=self._policy,
            origin=f"argument or environment variable {OIDC_ROLE_ARN}",
        )

    def describe(self) -> str:
        """Return the role, the provider, the file and the address."""
        try:
            role, where = str(self._role()), self._address.url().rstrip("/")
        except SettingsError:
            role, where = self._arn() or "no role", "no address"
        provider, token_file = self._provider() or "no provider", self._file() or "no token file"
        return f"{role} at {where}, with the token of {provider} in {token_file}"


def _read_token(path: Path) -> str | SourceFailure:
    """Read a token without the white space that editors and platforms put around it."""
    try:
        token = read_bounded(path, 4 * _MAX_TOKEN)[0].decode("ascii").strip()
    except OSError as error:
        return SourceFailure(f"the OIDC token file {path} cannot be read: {error.strerror or type(error).__name__}")
    except UnicodeDecodeError:
        return SourceFailure(f"the OIDC token file {path} holds no token: it is not ASCII text")
    if not _MIN_TOKEN <= len(token) <= _MAX_TOKEN or len(token.split()) != 1:
        return SourceFailure(f"the OIDC token file {path} holds no token of {_MIN_TOKEN} to {_MAX_TOKEN} characters")
    return token
