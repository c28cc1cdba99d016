"""What is asked of STS when a role is assumed, and the service's rules for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ots_config.errors import SettingsError, SettingsProblem

SESSION_NAME = "ots-config"
SHORTEST_DURATION, LONGEST_DURATION, USUAL_DURATION = 900, 43200, 3600

_SESSION_NAME = re.compile(r"[a-zA-Z0-9.@_-]{2,64}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_ARN = re.compile(r"acs:ram:[\w-]*:\d+:role/\S+", re.ASCII)
_LONGEST_POLICY = 2048


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume.

    Attributes:
        arn: Which role, ``acs:ram::<account>:role/<name>``.
        session_name: Who the audit log says it was: 2 to 64 letters, digits and ``.@_-``. The name is constant unless
            you choose one, so that processes of the same configuration can share what they get.
        duration: Seconds that the keys live, 900 to 43200 and no more than the role allows.
        policy: A policy that narrows what the keys may do; its text or the object it says.
        external_id: What the role's trust policy asks of foreigners.
    """

    arn: str
    session_name: str = SESSION_NAME
    duration: int = USUAL_DURATION
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
        """Tell everything that makes one role's keys differ from another's; what is long or private as a mark."""
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
    """Check what is asked by the service's rules, before anything is sent.

    Args:
        arn: The role.
        session_name: See ``Role``; empty is the usual name.
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
    seconds = _whole(duration or USUAL_DURATION)
    if not isinstance(arn, str) or not _ARN.fullmatch(arn):
        problem("arn", "it is no role's ARN", "Write acs:ram::<account id>:role/<role name>.")
    if not _SESSION_NAME.fullmatch(name):
        problem("session_name", "STS refuses it", "Use 2 to 64 letters, digits, dots, @, _ and -.")
    if seconds is None or not SHORTEST_DURATION <= seconds <= LONGEST_DURATION:
        problem("duration", "STS refuses it", f"Use {SHORTEST_DURATION} to {LONGEST_DURATION} seconds.")
    if len(text) > _LONGEST_POLICY:
        problem("policy", f"it has {len(text)} characters", f"Use at most {_LONGEST_POLICY}.")
    if outside and not _EXTERNAL_ID.fullmatch(outside):
        problem("external_id", "STS refuses it", "Use 2 to 1224 letters, digits and +=,.@:/-_.")
    if problems:
        raise SettingsError(*problems)
    return Role(str(arn), name, seconds or USUAL_DURATION, text or None, outside or None)


def _whole(value: Any) -> int | None:
    """Return a whole number, or None if it is none."""
    try:
        return int(value) if not isinstance(value, bool) and float(value).is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None
