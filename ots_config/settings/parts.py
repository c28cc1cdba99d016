"""The settings that belong together: how requests are repeated, and how servers are verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ots_config.errors import SettingsError, SettingsProblem
from ots_config.settings import building, checks

PolicyName = Literal["default", "write", "none", "no-delay"]
TLSVersion = Literal["TLSv1.2", "TLSv1.3"]

_TLS_NAMES = {f"{prefix}{number}": f"TLSv{number}" for prefix in ("", "tls", "tls-", "v") for number in ("1.2", "1.3")}
_tls_version = checks.choice("TLSv1.2", "TLSv1.3", aliases=_TLS_NAMES)


def frozen(name: str) -> NoReturn:
    """Refuse to change a setting; pydantic's own error would show the new value."""
    raise SettingsError(SettingsProblem(name, "settings cannot be changed", "argument", "Build new ones."))


class Part(BaseModel):
    """Settings that belong together; problems are told as ours, which never repeat a value."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __init__(self, **arguments: Any) -> None:
        problems = building.fill(self, arguments)
        arguments.clear()
        if problems:
            raise SettingsError(*(SettingsProblem(*problem[:2], "argument", problem.hint) for problem in problems))

    def __setattr__(self, name: str, value: Any) -> None:
        del value
        frozen(name)

    def __delattr__(self, name: str) -> None:
        frozen(name)


class RetrySettings(Part):
    """How often and how long a failed request is repeated.

    Attributes:
        policy: Which policy decides: ``default``, ``write`` (writes too), ``none``, ``no-delay``.
        max_attempts: The most attempts of one call, the first one included.
        max_delay: The longest wait between two attempts, in seconds.
        deadline: The time that one call may take in all, in seconds; None for no limit.
        budget_share: How many retries each call allows its client, 0.1 for one in ten.
        budget_rate: How many retries a second a client is allowed besides.
        budget_waits: Whether a retry beyond the budget waits for its turn within the deadline, or fails at once.
    """

    shorthand: ClassVar[str] = "policy"

    policy: Annotated[PolicyName, BeforeValidator(checks.choice("default", "write", "none", "no-delay"))] = Field(
        default="default", description="Which failures are retried: default, write (writes too), none, no-delay."
    )
    max_attempts: Annotated[int, BeforeValidator(checks.count(1000))] = Field(
        default=21, description="The most attempts of one call, the first one included."
    )
    max_delay: Annotated[float, BeforeValidator(checks.seconds(zero=True))] = Field(
        default=3.0, description="The longest wait between two attempts, in seconds."
    )
    deadline: Annotated[float | None, BeforeValidator(checks.deadline)] = Field(
        default=60.0, description="The time that one call may take in all, in seconds; none for no limit."
    )
    budget_share: Annotated[float, BeforeValidator(checks.number("a share"))] = Field(
        default=0.1, description="How many retries each call allows its client, 0.1 for one in ten."
    )
    budget_rate: Annotated[float, BeforeValidator(checks.number("a rate"))] = Field(
        default=10.0, description="How many retries a second a client is allowed besides."
    )
    budget_waits: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=True, description="Whether a retry beyond the budget waits for its turn, or fails at once."
    )


class TLSSettings(Part):
    """How servers are verified.

    Attributes:
        ca_bundle: A PEM file of the authorities to trust instead of certifi's; None for certifi's.
        minimum_version: The oldest TLS version that is spoken.
    """

    ca_bundle: Annotated[Path | None, BeforeValidator(checks.ca_bundle)] = Field(
        default=None, description="A PEM file of the authorities to trust instead of certifi's."
    )
    minimum_version: Annotated[TLSVersion, BeforeValidator(_tls_version)] = Field(
        default="TLSv1.2", description="The oldest TLS version that is spoken, TLSv1.2 or TLSv1.3."
    )
