"""Credentials from environment variables, read when they are asked for."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.environment_names import name_of_set
from ots_config.credentials.expiry import AGE_CLOCK, State, same_keys
from ots_config.credentials.health import Health, RefusalRecord
from ots_config.credentials.http import parse_expiry
from ots_config.credentials.provider import Provider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable


class Family(NamedTuple):
    """Variables that belong together.

    Attributes:
        access_key_id: Name of the variable with the AccessKey ID.
        access_key_secret: Name of the variable with the AccessKey secret.
        token: Name of the variable with the STS token, which need not be set.
    """

    access_key_id: str
    access_key_secret: str
    token: str


FAMILIES = (
    Family("OTS_ACCESS_KEY_ID", "OTS_ACCESS_KEY_SECRET", "OTS_STS_TOKEN"),
    *(
        Family(f"{prefix}_ACCESS_KEY_ID", f"{prefix}_ACCESS_KEY_SECRET", f"{prefix}_SECURITY_TOKEN")
        for prefix in ("ALIBABA_CLOUD", "ALIBABACLOUD", "ALICLOUD")  # the older ones as Alibaba Cloud's CLI reads them
    ),
)
"""The variables that are read, the first family of which anything is set decides."""
_VARIABLES = tuple(name for family in FAMILIES for name in family)
EXPIRATION = "OTS_STS_EXPIRATION"
"""The variable that says when temporary keys of the first family end."""


class EnvironmentProvider(Provider):
    """The key that this process's environment holds now.

    One family of variables is used whole or not at all: a key of one is never joined to a token of another. A
    variable that is empty counts as unset.
    """

    name = "environment"
    instant = True
    cached = True

    def __init__(self) -> None:
        self._last: tuple[Family, Credentials, str] | None = None
        self._refusals = RefusalRecord(self.name)

    def fetch_credentials(self) -> Credentials:
        """Read the variables; as long as they stay the same, so does the snapshot."""
        for family in FAMILIES:
            found = self._read(family)
            if isinstance(found, Credentials):
                return found
            if found:
                raise CredentialsRefused(found)
        *others, last = (family.access_key_id for family in FAMILIES)
        raise CredentialsUnavailable(f"none of {', '.join(others)} and {last} is set")

    def _read(self, family: Family) -> Credentials | str | None:
        """Return the credentials of a family, or what is wrong with it, or None if nothing of it is set.

        Nothing is raised here: a traceback would show the variables.
        """
        environ = os.environ
        key_id = environ.get(family.access_key_id, "").strip()
        secret = environ.get(family.access_key_secret, "").strip()
        token = environ.get(family.token, "").strip()
        if not (key_id or secret or token):
            return None
        expiration = environ.get(EXPIRATION, "").strip() if token and family is FAMILIES[0] else ""
        last = self._last
        if (
            last is not None
            and last[0] is family
            and last[1].access_key_id == key_id
            and last[1].access_key_secret.reveal() == secret
            and (last[1].get_security_token() or "") == token
            and last[2] == expiration
        ):
            return last[1]
        absent = [name for name, value in zip(family, (key_id, secret), strict=False) if not value]
        if absent:
            present = [name for name, value in zip(family, (key_id, secret, token), strict=True) if value]
            verb = "are" if len(present) > 1 else "is"
            return f"{' and '.join(present)} {verb} set, but {' and '.join(absent)} not: set both or neither"
        try:
            ends_at = parse_expiry(expiration)
            found = Credentials(key_id, secret, token, ends_at, source=f"{self.name} {family.access_key_id}")
        except ValueError as error:  # its text names what is wrong, never the value
            return f"{family.access_key_id} and its companions cannot be used: {error}"
        if last is not None:
            self._refusals.forget()
        self._last = family, found, expiration
        return found

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Read the variables again; if they hold what the service refused, ``health()`` reports that."""
        current = self.get_credentials(timeout)
        if same_keys(rejected, current):
            self._refusals.refused(current, AGE_CLOCK())
        else:
            self._refusals.forget()
        return current

    def health(self) -> Health:
        """Return whether the service refuses the keys that were read last."""
        last = self._last
        if last is None:
            return Health(State.FRESH, self.name)
        current = last[1]
        return self._refusals.shown(
            Health(State.FRESH, current.source, current.masked_id, current.expires_at), AGE_CLOCK()
        )

    def named_by(self) -> str:
        """Return the variable that is set."""
        return name_of_set(*_VARIABLES)

    def describe(self) -> str:
        """Return the variables that are read."""
        return "variables " + ", ".join(family.access_key_id for family in FAMILIES)

    def __getstate__(self) -> dict[str, Any]:
        return {"_last": None, "_refusals": RefusalRecord(self.name)}
