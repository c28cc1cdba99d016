"""Safe, fast, correctly configured clients for Alibaba Cloud Tablestore (OTS).

    from ots_config import create_client

    client = create_client()

Every name is loaded when it is first used: importing this package loads none of the libraries that it builds on.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ots_config.client.async_client import AsyncOTSClient
    from ots_config.client.bulk import BulkReport, FailedRow
    from ots_config.client.scan import AsyncScan, Scan
    from ots_config.client.sync_client import OTSClient
    from ots_config.credentials.chain import ChainProvider
    from ots_config.credentials.credentials import Credentials, CredentialsProvider, MaskedCredentials, Secret
    from ots_config.credentials.expiry import State
    from ots_config.credentials.file_watch import FileWatchingProvider
    from ots_config.credentials.health import Health
    from ots_config.credentials.provider import Provider
    from ots_config.credentials.providers.aliyun_cli import ProfileProvider
    from ots_config.credentials.providers.assume_role import AssumeRoleProvider
    from ots_config.credentials.providers.ecs import ECSRoleProvider
    from ots_config.credentials.providers.environment import EnvironmentProvider
    from ots_config.credentials.providers.external import CallableProvider, ForeignProvider
    from ots_config.credentials.providers.keyring import Keychain, KeyringProvider
    from ots_config.credentials.providers.oidc import OIDCRoleProvider
    from ots_config.credentials.providers.process import ProcessProvider
    from ots_config.credentials.providers.sdk_profile import INIProvider
    from ots_config.credentials.providers.static import StaticProvider
    from ots_config.credentials.providers.uri import URIProvider
    from ots_config.credentials.refresh import RefreshingProvider
    from ots_config.credentials.shared_cache import SharedCache
    from ots_config.credentials.sts import Identity
    from ots_config.emulator.emulator import Emulator
    from ots_config.errors import (
        AuthenticationFailed,
        ConnectFailed,
        CredentialsError,
        CredentialsRefused,
        CredentialsUnavailable,
        OTSConfigError,
        ProxyRefused,
        RequestError,
        RequestInvalid,
        ResponseInvalid,
        ResponseLost,
        ServiceError,
        SettingsError,
        SettingsProblem,
        Throttled,
        UntrustedServer,
    )
    from ots_config.factory import create_async_client, create_client, create_provider, identity
    from ots_config.request.retry_policy import (
        DefaultRetryPolicy,
        NoDelayRetryPolicy,
        NoRetryPolicy,
        RetryEvent,
        RetryPolicy,
        WriteRetryPolicy,
    )
    from ots_config.settings import OTSSettings, RetrySettings, SettingsWarning, TLSSettings

__version__ = "0.1.0"  # the build reads it from here, so that a plain checkout has it too

__all__ = [
    "AssumeRoleProvider",
    "AsyncOTSClient",
    "AsyncScan",
    "AuthenticationFailed",
    "BulkReport",
    "CallableProvider",
    "ChainProvider",
    "ConnectFailed",
    "Credentials",
    "CredentialsError",
    "CredentialsProvider",
    "CredentialsRefused",
    "CredentialsUnavailable",
    "DefaultRetryPolicy",
    "ECSRoleProvider",
    "Emulator",
    "EnvironmentProvider",
    "FailedRow",
    "FileWatchingProvider",
    "ForeignProvider",
    "Health",
    "INIProvider",
    "Identity",
    "Keychain",
    "KeyringProvider",
    "MaskedCredentials",
    "NoDelayRetryPolicy",
    "NoRetryPolicy",
    "OIDCRoleProvider",
    "OTSClient",
    "OTSConfigError",
    "OTSSettings",
    "ProcessProvider",
    "ProfileProvider",
    "Provider",
    "ProxyRefused",
    "RefreshingProvider",
    "RequestError",
    "RequestInvalid",
    "ResponseInvalid",
    "ResponseLost",
    "RetryEvent",
    "RetryPolicy",
    "RetrySettings",
    "Scan",
    "Secret",
    "ServiceError",
    "SettingsError",
    "SettingsProblem",
    "SettingsWarning",
    "SharedCache",
    "State",
    "StaticProvider",
    "TLSSettings",
    "Throttled",
    "URIProvider",
    "UntrustedServer",
    "WriteRetryPolicy",
    "create_async_client",
    "create_client",
    "create_provider",
    "identity",
]

_HOMES = {
    "client.async_client": ("AsyncOTSClient",),
    "client.bulk": ("BulkReport", "FailedRow"),
    "client.sync_client": ("OTSClient",),
    "credentials.shared_cache": ("SharedCache",),
    "credentials.chain": ("ChainProvider",),
    "credentials.providers.environment": ("EnvironmentProvider",),
    "credentials.providers.external": ("CallableProvider", "ForeignProvider"),
    "credentials.health": ("Health",),
    "credentials.provider": ("Provider",),
    "credentials.providers.sdk_profile": ("INIProvider",),
    "credentials.providers.keyring": ("Keychain", "KeyringProvider"),
    "credentials.expiry": ("State",),
    "credentials.providers.ecs": ("ECSRoleProvider",),
    "credentials.providers.oidc": ("OIDCRoleProvider",),
    "credentials.providers.process": ("ProcessProvider",),
    "credentials.providers.aliyun_cli": ("ProfileProvider",),
    "credentials.refresh": ("RefreshingProvider",),
    "credentials.file_watch": ("FileWatchingProvider",),
    "credentials.credentials": ("Credentials", "CredentialsProvider", "MaskedCredentials", "Secret"),
    "credentials.providers.static": ("StaticProvider",),
    "credentials.sts": ("Identity",),
    "credentials.providers.assume_role": ("AssumeRoleProvider",),
    "credentials.providers.uri": ("URIProvider",),
    "emulator.emulator": ("Emulator",),
    "errors": (
        "AuthenticationFailed",
        "ConnectFailed",
        "CredentialsError",
        "CredentialsRefused",
        "CredentialsUnavailable",
        "SettingsProblem",
        "OTSConfigError",
        "ProxyRefused",
        "RequestError",
        "RequestInvalid",
        "ResponseInvalid",
        "ResponseLost",
        "ServiceError",
        "SettingsError",
        "Throttled",
        "UntrustedServer",
    ),
    "factory": ("create_async_client", "create_client", "create_provider", "identity"),
    "request.retry_policy": (
        "DefaultRetryPolicy",
        "NoDelayRetryPolicy",
        "NoRetryPolicy",
        "RetryEvent",
        "RetryPolicy",
        "WriteRetryPolicy",
    ),
    "client.scan": ("AsyncScan", "Scan"),
    "settings": ("OTSSettings", "RetrySettings", "SettingsWarning", "TLSSettings"),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}


# A library's records go nowhere unless the program says where; without this, errors would also go to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def _tells_nothing_new(record: logging.LogRecord) -> bool:
    return "not available, using Python implementation" not in str(record.msg)


# Since 6.4.2 the official SDK warns of its missing native codec when it is imported, which reaches stderr. The filter
# lets every other record pass; it must be there before the SDK is loaded, by us or by the program.
for _module in ("encoder", "decoder"):
    logging.getLogger(f"tablestore.{_module}").addFilter(_tells_nothing_new)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
