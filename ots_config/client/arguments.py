"""The constructor arguments of a client: their names, what may stand beside settings, and what they become."""

from __future__ import annotations

import ssl
from inspect import signature
from typing import Any

from ots_config.credentials.credentials import CredentialsProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.errors import SettingsError, SettingsProblem
from ots_config.request.retry_policy import POLICIES, DefaultRetryPolicy, RetryPolicy, as_policy
from ots_config.sdk import OTSProtocol
from ots_config.settings import OTSSettings

_STRONG_TLS = (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLSv1_2)
_HAS_NATIVE_OPTIONS = "enable_native" in signature(OTSProtocol.__init__).parameters  # since 6.4.2


def setting_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments under the names of the settings: deadline, ca_bundle and end_point are other names."""
    renamed = {name: value for name, value in arguments.items() if value is not None or name == "deadline"}
    for official_name, name in (("end_point", "endpoint"), ("keepalive_timeout", "idle_timeout")):
        if official_name in renamed:
            renamed[name] = renamed.pop(official_name)
    for name, group in (("deadline", "retry"), ("ca_bundle", "tls")):
        if name in renamed:
            value = renamed.pop(name)
            part: Any = renamed.get(group, {})
            part = {"policy": part} if isinstance(part, str) else part
            part = part if isinstance(part, dict) else part.model_dump(exclude_unset=True)
            renamed[group] = {**part, name: value}
    return renamed


def build_settings(settings: OTSSettings | None, arguments: dict[str, Any]) -> OTSSettings:
    """Return the settings of a client: those that were built already, or the arguments.

    Raises:
        SettingsError: If there are both, or if an argument cannot be used.
    """
    if settings is None:
        return OTSSettings.explicit(**setting_arguments(arguments))
    if arguments:
        hint = "Put it into the settings, or leave the settings out."
        raise SettingsError(
            *(SettingsProblem(name, "it is given beside settings", "argument", hint) for name in arguments)
        )
    return settings


def check_ssl_version(ssl_version: int | None) -> None:
    """Raise SettingsError if the official argument ``ssl_version`` asks for less than TLS 1.2."""
    if ssl_version not in _STRONG_TLS:
        raise SettingsError(
            SettingsProblem("ssl_version", "it is older than TLS 1.2, or unknown", "argument", "Leave it out.")
        )


def native_options(*, enable_native: bool, native_fallback: bool) -> dict[str, bool]:
    """Return the arguments that the SDK's codec takes about its native code; old versions take none."""
    return {"enable_native": enable_native, "native_fallback": native_fallback} if _HAS_NATIVE_OPTIONS else {}


def static_provider(settings: OTSSettings) -> CredentialsProvider:
    """Return the provider of the keys that are among the settings.

    Raises:
        SettingsError: If there are none.
    """
    if settings.access_key_id is None or settings.access_key_secret is None:
        raise SettingsError(
            SettingsProblem(
                "access_key_id",
                "neither keys nor a credentials_provider are given",
                "argument",
                "Give one of them, or call create_client(), which looks for credentials.",
            )
        )
    token = settings.sts_token.get_secret_value() if settings.sts_token is not None else None
    return StaticProvider(
        settings.access_key_id,
        settings.access_key_secret.get_secret_value(),
        token,
        expires_at=settings.sts_expiration,
        source=settings.origin("access_key_id"),
    )


def build_policy(retry_policy: Any, settings: OTSSettings) -> RetryPolicy:
    """Return the argument ``retry_policy`` as a policy of ours; None takes the one that the settings name.

    Raises:
        SettingsError: If it is not a retry policy.
    """
    if retry_policy is not None:
        try:
            return as_policy(retry_policy)
        except TypeError as error:
            problem = SettingsProblem("retry_policy", str(error), "argument", "Give WriteRetryPolicy(), for example.")
        raise SettingsError(problem)
    policy = POLICIES[settings.retry.policy]
    if issubclass(policy, DefaultRetryPolicy):
        return policy(settings.retry.max_attempts - 1, settings.retry.max_delay)
    return policy()
