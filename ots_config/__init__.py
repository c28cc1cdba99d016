"""Safe, fast, correctly configured clients for Alibaba Cloud Tablestore (OTS).

    from ots_config import create_client

    client = create_client()

Every name is loaded when it is first used: importing this package loads none of the libraries that it builds on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ots_config.client import OTSClient
    from ots_config.credentials.chain import ChainProvider
    from ots_config.credentials.environment import EnvironmentProvider
    from ots_config.credentials.snapshot import Credentials, CredentialsProvider
    from ots_config.credentials.static import StaticProvider
    from ots_config.emulator.embedded import Emulator
    from ots_config.errors import (
        AuthenticationFailed,
        ConnectFailed,
        CredentialsError,
        CredentialsRefused,
        CredentialsUnavailable,
        Fault,
        OTSConfigError,
        RequestError,
        RequestInvalid,
        ResponseInvalid,
        ResponseLost,
        ServiceError,
        SettingsError,
        Throttled,
        UntrustedServer,
    )
    from ots_config.factory import create_client, create_provider
    from ots_config.request.retry import (
        DefaultRetryPolicy,
        NoDelayRetryPolicy,
        NoRetryPolicy,
        RetryPolicy,
        WriteRetryPolicy,
    )
    from ots_config.settings import OTSSettings, RetrySettings, TLSSettings

__all__ = [
    "AuthenticationFailed",
    "ChainProvider",
    "ConnectFailed",
    "Credentials",
    "CredentialsError",
    "CredentialsProvider",
    "CredentialsRefused",
    "CredentialsUnavailable",
    "DefaultRetryPolicy",
    "Emulator",
    "EnvironmentProvider",
    "Fault",
    "NoDelayRetryPolicy",
    "NoRetryPolicy",
    "OTSClient",
    "OTSConfigError",
    "OTSSettings",
    "RequestError",
    "RequestInvalid",
    "ResponseInvalid",
    "ResponseLost",
    "RetryPolicy",
    "RetrySettings",
    "ServiceError",
    "SettingsError",
    "StaticProvider",
    "TLSSettings",
    "Throttled",
    "UntrustedServer",
    "WriteRetryPolicy",
    "create_client",
    "create_provider",
]

_HOMES = {
    "client": ("OTSClient",),
    "credentials.chain": ("ChainProvider",),
    "credentials.environment": ("EnvironmentProvider",),
    "credentials.snapshot": ("Credentials", "CredentialsProvider"),
    "credentials.static": ("StaticProvider",),
    "emulator.embedded": ("Emulator",),
    "errors": (
        "AuthenticationFailed",
        "ConnectFailed",
        "CredentialsError",
        "CredentialsRefused",
        "CredentialsUnavailable",
        "Fault",
        "OTSConfigError",
        "RequestError",
        "RequestInvalid",
        "ResponseInvalid",
        "ResponseLost",
        "ServiceError",
        "SettingsError",
        "Throttled",
        "UntrustedServer",
    ),
    "factory": ("create_client", "create_provider"),
    "request.retry": (
        "DefaultRetryPolicy",
        "NoDelayRetryPolicy",
        "NoRetryPolicy",
        "RetryPolicy",
        "WriteRetryPolicy",
    ),
    "settings": ("OTSSettings", "RetrySettings", "TLSSettings"),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ots-config")
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
