"""The access keys of the emulator: permanent ones, and temporary ones that its services issue."""

from __future__ import annotations

import math
import secrets
import string
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

ACCOUNT = "1234567890123456"
"""The account that the emulator's user and roles belong to."""

_LETTERS = string.ascii_letters + string.digits
_MAX_TEMPORARY = 20_000  # expired keys are kept to distinguish them from unknown ones


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The owner of a key, as GetCallerIdentity returns it.

    Attributes:
        kind: ``RAMUser`` or ``AssumedRoleUser``.
        arn: The ARN of the user or of the role's session.
        principal: The id of the user, or ``<id of the role>:<session>``.
    """

    kind: str
    arn: str
    principal: str


USER = KeyOwner("RAMUser", f"acs:ram::{ACCOUNT}:user/emulator", "212345678901234567")


@dataclass(slots=True)
class AccessKey:
    """One access key.

    Attributes:
        token: Its STS token, None if it is permanent.
        expires_at: When it expires, in whole seconds since the epoch, None for never.
    """

    id: str
    secret: str
    token: str | None = None
    expires_at: float | None = None
    owner: KeyOwner = USER
    revoked: bool = False

    def __repr__(self) -> str:
        return f"<AccessKey {self.id}>"

    def expired(self, now: float) -> bool:
        """Return whether it has expired."""
        return self.expires_at is not None and now >= self.expires_at


def role_id(role: str) -> str:
    """Return the id of a role, which depends on its name only."""
    number = 0
    for octet in role.encode():
        number = (number * 31 + octet) % 10**15
    return f"3{number:015}"


def _ignore(_: AccessKey) -> None:
    """Do nothing."""


class AccessKeys:
    """Every key that the emulator accepts or did accept.

    Attributes:
        lifetime: The lifetime in seconds of each temporary key, None for the requested one.
        on_change: Called with each key that is new or changed.
    """

    def __init__(self) -> None:
        self.lifetime: float | None = None
        self.on_change: Callable[[AccessKey], None] = _ignore
        self._keys: dict[str, AccessKey] = {}
        self._temporary: list[str] = []

    def add(self, key_id: str, secret: str) -> None:
        """Accept a permanent key, also one that was revoked."""
        self._keys[key_id] = key = AccessKey(key_id, secret)
        self.on_change(key)

    def restore(self, key: AccessKey) -> None:
        """Take a key as it was."""
        self._keys[key.id] = key
        if key.token is not None:
            self._temporary.append(key.id)

    def find(self, key_id: str) -> AccessKey | None:
        """Return a key, expired and revoked ones included, None if it is unknown."""
        return self._keys.get(key_id)

    def newest(self, limit: int) -> list[AccessKey]:
        """Return the keys that were added last, newest first."""
        return list(reversed(self._keys.values()))[:limit]

    def revoke(self, key_id: str) -> bool:
        """Revoke a key; return whether it is known."""
        key = self._keys.get(key_id)
        if key is not None:
            key.revoked = True
            self.on_change(key)
        return key is not None

    def issue(self, now: float, lifetime: float, *, role: str, session: str, account: str = ACCOUNT) -> AccessKey:
        """Issue a temporary key for a session of a role, by the requested lifetime in seconds."""
        seconds = lifetime if self.lifetime is None else self.lifetime
        key = AccessKey(
            id="STS." + "".join(secrets.choice(_LETTERS) for _ in range(25)),
            secret="".join(secrets.choice(_LETTERS) for _ in range(44)),
            token="CAIS" + b64encode(secrets.token_bytes(300)).decode(),
            # Responses have whole seconds; a key must not expire before the time in them.
            expires_at=math.ceil(now + seconds),
            owner=KeyOwner(
                "AssumedRoleUser",
                f"acs:ram::{account}:assumed-role/{role}/{session}",
                f"{role_id(role)}:{session}",
            ),
        )
        self._keys[key.id] = key
        self.on_change(key)
        self._temporary.append(key.id)
        if len(self._temporary) > _MAX_TEMPORARY:
            half = _MAX_TEMPORARY // 2
            for old in self._temporary[:half]:
                del self._keys[old]
            del self._temporary[:half]
        return key
