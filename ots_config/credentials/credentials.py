"""The credentials of one moment, the type that hides their secrets, and their masked form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any, Protocol, runtime_checkable

from ots_config.errors import mask


class Secret:
    """A text that shows itself to nobody: ``repr``, ``str`` and ``format`` are masks, ``json.dumps`` raises.

    Pickling keeps it a ``Secret``; the pickle holds the text.

    Args:
        value: The text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text; call it where the text is used, and keep no reference to it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())  # takes as long wherever they differ

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('****')"

    def __str__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return format("****", spec)

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret, (self._value,)


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Credentials:
    """One immutable set of keys; an attempt is signed and its answer verified with the same one.

    Attributes:
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        sts_token: The STS token, None if the keys are permanent.
        expires_at: When the keys end (aware, UTC), None if they do not.
        source: Where they came from, ``environment`` or ``chain/keyring``.
    """

    __slots__ = ("access_key_id", "access_key_secret", "expires_at", "source", "sts_token")

    access_key_id: str
    access_key_secret: Secret
    sts_token: Secret | None
    expires_at: datetime | None
    source: str

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str | Secret,
        sts_token: str | Secret | None = None,
        expires_at: datetime | None = None,
        source: str = "arguments",
    ) -> None:
        """Take the keys as they are.

        Args:
            access_key_id: The AccessKey ID.
            access_key_secret: The AccessKey secret.
            sts_token: The STS token of temporary keys; empty means none, as an empty token must never be sent.
            expires_at: When the keys end, an aware datetime; None if they do not.
            source: Where they came from.

        Raises:
            ValueError: If ``expires_at`` is naive, or an id, secret or token is empty or would not fit a header.
        """
        put = object.__setattr__
        secret = access_key_secret.reveal() if isinstance(access_key_secret, Secret) else access_key_secret
        token = (sts_token.reveal() if isinstance(sts_token, Secret) else sts_token) or ""
        if problem := _problem(access_key_id, secret, token, expires_at):
            # This frame and the object in it may be shown by whoever prints the traceback.
            for name, value in (("access_key_id", ""), ("access_key_secret", Secret("")), ("sts_token", None)):
                put(self, name, value)
            put(self, "expires_at", None)
            put(self, "source", "nothing usable")
            del access_key_id, access_key_secret, sts_token, secret, token
            raise ValueError(problem)
        put(self, "access_key_id", access_key_id)
        put(self, "access_key_secret", Secret(secret))
        put(self, "sts_token", Secret(token) if token else None)
        put(self, "expires_at", expires_at)
        put(self, "source", source)

    @property
    def masked_id(self) -> str:
        """What may be shown of the AccessKey ID."""
        return mask(self.access_key_id)

    def get_access_key_id(self) -> str:
        """Return the id, as the official SDK's ``Credentials`` does."""
        return self.access_key_id

    def get_access_key_secret(self) -> str:
        """Return the plain secret, as the official SDK's ``Credentials`` does."""
        return self.access_key_secret.reveal()

    def get_security_token(self) -> str | None:
        """Return the plain token, as the official SDK's ``Credentials`` does."""
        return None if self.sts_token is None else self.sts_token.reveal()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Credentials):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.access_key_id, self.access_key_secret, self.sts_token, self.expires_at

    def __repr__(self) -> str:
        token = ", with a token" if self.sts_token else ""
        until = f", until {self.expires_at:%Y-%m-%dT%H:%M:%SZ}" if self.expires_at else ""
        return f"<Credentials {self.masked_id} from {self.source}{token}{until}>"

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Credentials:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Credentials, (
            self.access_key_id,
            self.access_key_secret,
            self.sts_token,
            self.expires_at,
            self.source,
        )


def _problem(access_key_id: object, secret: object, token: object, expires_at: object) -> str:
    """Return what is wrong with the parts of credentials, without any of them; empty if nothing is."""
    if expires_at is not None and (not isinstance(expires_at, datetime) or expires_at.utcoffset() is None):
        return "expires_at must be an aware datetime"
    for name, value in (("access_key_id", access_key_id), ("access_key_secret", secret)):
        if not isinstance(value, str) or not value:
            return f"{name} must be a non-empty string"
    for name, value in (("access_key_id", access_key_id), ("sts_token", token)):
        if not isinstance(value, str) or not (value.isascii() and value.isprintable() and " " not in value):
            return f"{name} must be printable ASCII without spaces, as it becomes an HTTP header"
    return ""


@dataclass(frozen=True, slots=True)
class MaskedCredentials:
    """Credentials without secrets, for logs, metrics and callbacks.

    Attributes:
        access_key_id: The masked AccessKey ID.
        has_token: Whether they come with an STS token.
        expires_at: When they end (aware), None if they do not.
        source: Where they came from.
    """

    access_key_id: str
    has_token: bool
    expires_at: datetime | None
    source: str

    @classmethod
    def of(cls, credentials: Credentials) -> MaskedCredentials:
        """Return what may be shown of credentials."""
        return cls(
            credentials.masked_id,
            credentials.sts_token is not None,
            credentials.expires_at,
            credentials.source,
        )

    def __str__(self) -> str:
        until = f" until {self.expires_at:%Y-%m-%dT%H:%M:%S%z}" if self.expires_at else ""
        return f"{self.access_key_id}{until}"


@runtime_checkable
class CredentialsProvider(Protocol):
    """Any source of credentials: ours, the official SDK's, ``alibabacloud-credentials``', or a user's own.

    ``get_credentials`` returns one snapshot or raises ``CredentialsUnavailable`` (not configured here) or
    ``CredentialsRefused`` (configured and failing).
    """

    def get_credentials(self) -> Any:
        """Return the credentials to use now."""
