"""The keywords of clients and factories, for type checkers and editors: each setting, and what only clients take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import Any, Literal, TypedDict

from pydantic import SecretStr

from ots_config.settings import RetrySettings, TLSSettings


class SettingsKeywords(TypedDict, total=False):
    """The settings of ``OTSSettings`` that a client's constructor takes by keyword; None counts as not given."""

    network: Literal["public", "vpc", "internal", "dual-stack"] | None
    sts_token: str | SecretStr | None
    sts_expiration: datetime | str | None
    encoding: str | None
    socket_timeout: float | tuple[float, float] | None
    max_connection: int | None
    logger_name: str | None
    retry: RetrySettings | Mapping[str, Any] | str | None
    tls: TLSSettings | Mapping[str, Any] | None
    signature: Literal["auto", "v2", "v4"] | None
    proxies: Mapping[str, str] | None
    allow_http: bool | None
    idle_timeout: float | None
    credentials: str | None
    credentials_process: str | SecretStr | None
    credentials_uri: str | SecretStr | None
    credentials_profile: str | None
    credentials_file: str | PathLike[str] | None
    cli_config_file: str | PathLike[str] | None
    credentials_cache: bool | None
    keyring_profile: str | None
    keyring_plaintext: bool | None
    oidc_role_arn: str | None
    oidc_provider_arn: str | None
    oidc_token_file: str | PathLike[str] | None
    ecs_role: str | None
    ecs_endpoint: str | None
    ecs_v1: bool | None
    ecs_disabled: bool | None
    role_arn: str | None
    role_via: str | Sequence[str] | None
    role_session_name: str | None
    role_duration: int | None
    role_policy: str | Mapping[str, Any] | None
    role_external_id: str | None
    sts_endpoint: str | None
    sts_region: str | None
    sts_vpc: bool | None


class ClientKeywords(SettingsKeywords, total=False):
    """What a client's constructor takes by keyword besides those that its signature names."""

    deadline: float | None
    ca_bundle: str | PathLike[str] | None
    end_point: str | None
    keepalive_timeout: float | None
    force_close: bool  # AsyncOTSClient's only


class FactoryKeywords(ClientKeywords, total=False):
    """What ``create_client`` takes by keyword besides those that its signature names."""

    endpoint: str | None
    access_key_id: str | None
    access_key_secret: str | SecretStr | None
    instance_name: str | None
    region: str | None
    session: Any
    extra_headers: dict[str, str] | None
    ssl_version: int | None
    enable_native: bool
    native_fallback: bool
    sign_date: str | None
    auto_update_v4_sign: bool | None
