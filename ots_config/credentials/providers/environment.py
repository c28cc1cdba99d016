"""Credentials from environment variables, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.environment_names import name_of_set
from ots_config.credentials.http import parse_expiry
from ots_config.credentials.provider import DirectProvider
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


class EnvironmentProvider(DirectProvider):
    """The key that this process's environment holds now.

    One family of variables is used whole or not at all: a key of one is never joined to a token of another. A
    variable that is empty counts as unset.
    """

    name = "environment"

    def __init__(self) -> None:
        super().__init__()
        self._is_unchanged: Callable[[], bool] | None = None

    def get_credentials(self, timeout: float | None = None) -> Credentials:  # noqa: ARG002
        """Read the variables; as long as they stay the same, so does the snapshot."""
        unchanged, last = self._is_unchanged, self._last
        if unchanged is not None and last is not None and unchanged():
            return last
        return self.fetch_credentials()

    def fetch_credentials(self) -> Credentials:
        """Read the variables."""
        self._is_unchanged = None
        names = [EXPIRATION]
        for family in FAMILIES:
            names += family
            unchanged = _watch(names)
            found = self._read(family)
            if isinstance(found, Credentials):
                if self._last is not None and found != self._last:
                    self._refusals.forget()
                self._last = found
                self._is_unchanged = unchanged
                return found
            if found:
                raise CredentialsRefused(found)
        *others, last = (family.access_key_id for family in FAMILIES)
        raise CredentialsUnavailable(f"none of {', '.join(others)} and {last} is set")

    def _read(self, family: Family) -> Credentials | str | None:
        """Return the credentials of a family, or what is wrong with it, or None if nothing of it is set.

        Nothing is raised here: a traceback would show the variables.
        """
        key_id, secret, token = (os.environ.get(name, "").strip() for name in family)
        if not (key_id or secret or token):
            return None
        absent = [name for name, value in zip(family, (key_id, secret), strict=False) if not value]
        if absent:
            present = [name for name, value in zip(family, (key_id, secret, token), strict=True) if value]
            verb = "are" if len(present) > 1 else "is"
            return f"{' and '.join(present)} {verb} set, but {' and '.join(absent)} not: set both or neither"
        try:
            expiration = os.environ.get(EXPIRATION, "").strip() if token and family is FAMILIES[0] else ""
            return Credentials(
                key_id, secret, token, parse_expiry(expiration), source=f"{self.name} {family.access_key_id}"
            )
        except ValueError as error:  # its text names what is wrong, never the value
            return f"{family.access_key_id} and its companions cannot be used: {error}"

    def named_by(self) -> str:
        """Return the variable that is set."""
        return name_of_set(*_VARIABLES)

    def describe(self) -> str:
        """Return the variables that are read."""
        return "variables " + ", ".join(family.access_key_id for family in FAMILIES)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_is_unchanged": None}


def _watch(names: Sequence[str]) -> Callable[[], bool]:
    """Return what tells whether these variables still have the values of this moment.

    The dictionary behind ``os.environ`` is read in a tenth of the time. The values stay in the function, where nothing
    shows them.
    """
    environ: Any = os.environ
    data, encode = getattr(environ, "_data", None), getattr(environ, "encodekey", None)
    get: Callable[[Any], Any] = environ.get
    keys: tuple[Any, ...] = tuple(names)
    if isinstance(data, dict) and encode is not None:
        get, keys = data.get, tuple(map(encode, names))
    values = tuple(map(get, keys))
    return lambda: os.environ is environ and tuple(map(get, keys)) == values
