"""The access keys that the emulator knows: permanent ones, and temporary ones that its services issue."""

from __future__ import annotations

import math
import secrets
import string
from base64 import b64encode
from dataclasses import dataclass

ACCOUNT = "1234567890123456"
"""The account that the emulator's user and roles belong to."""

_LETTERS = string.ascii_letters + string.digits
_KEPT = 20_000  # ended temporary keys are remembered, to tell an expired one from an unknown one


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose keys they are, as GetCallerIdentity tells it.

    Attributes:
        kind: ``RAMUser`` or ``AssumedRoleUser``.
        arn: The name of the user, or of the session of the role.
        principal: The id of the user, or ``<id of the role>:<session>``.
    """

    kind: str
    arn: str
    principal: str


USER = Identity("RAMUser", f"acs:ram::{ACCOUNT}:user/emulator", "212345678901234567")


@dataclass(slots=True)
class Key:
    """One access key.

    Attributes:
        id: The AccessKey ID.
        secret: The AccessKey secret.
        token: The STS token that must come with it, None if it is permanent.
        expires_at: When it ends, in whole seconds since the epoch, None if it does not.
        identity: Whose it is.
        revoked: Whether it was taken back.
    """

    id: str
    secret: str
    token: str | None = None
    expires_at: float | None = None
    identity: Identity = USER
    revoked: bool = False

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def expired(self, now: float) -> bool:
        """Tell whether its time is over."""
        return self.expires_at is not None and now >= self.expires_at


def role_id(role: str) -> str:
    """Return the id of a role, always the same for the same name."""
    number = 0
    for octet in role.encode():
        number = (number * 31 + octet) % 10**15
    return f"3{number:015}"


class Keys:
    """Every key that the emulator accepts, or once did.

    Attributes:
        lifetime: Seconds that each temporary key lives, whatever was asked for; None to issue what was asked for.
    """

    def __init__(self) -> None:
        self.lifetime: float | None = None
        self._keys: dict[str, Key] = {}
        self._temporary: list[str] = []

    def add(self, key_id: str, secret: str) -> None:
        """Accept a permanent key, also one that was revoked before."""
        self._keys[key_id] = Key(key_id, secret)

    def find(self, key_id: str) -> Key | None:
        """Return a key, ended or not, or None if there never was such a one."""
        return self._keys.get(key_id)

    def revoke(self, key_id: str) -> bool:
        """Take a key back; return whether there is one."""
        key = self._keys.get(key_id)
        if key is not None:
            key.revoked = True
        return key is not None

    def issue(self, now: float, lifetime: float, *, role: str, session: str, account: str = ACCOUNT) -> Key:
        """Issue a temporary key.

        Args:
            now: The time of day.
            lifetime: The seconds asked for.
            role: The name of the role, ``worker``.
            session: The name of the session.
            account: The account of the role.
        """
        seconds = lifetime if self.lifetime is None else self.lifetime
        key = Key(
            id="STS." + "".join(secrets.choice(_LETTERS) for _ in range(25)),
            secret="".join(secrets.choice(_LETTERS) for _ in range(44)),
            token="CAIS" + b64encode(secrets.token_bytes(300)).decode(),
            # STS tells it in whole seconds; a key must not end before the moment that its owner was told.
            expires_at=math.ceil(now + seconds),
            identity=Identity(
                "AssumedRoleUser",
                f"acs:ram::{account}:assumed-role/{role}/{session}",
                f"{role_id(role)}:{session}",
            ),
        )
        self._keys[key.id] = key
        self._temporary.append(key.id)
        if len(self._temporary) > _KEPT:
            half = _KEPT // 2
            for old in self._temporary[:half]:
                del self._keys[old]
            del self._temporary[:half]
        return key
