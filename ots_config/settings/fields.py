"""What can be set: each setting with its type, its check, its default and its meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from ots_config.settings import checks
from ots_config.settings.parts import RetrySettings, TLSSettings

Network = Literal["public", "vpc", "internal", "dual-stack"]
SignatureVersion = Literal["auto", "v2", "v4"]

_arn = checks.text("Write acs:ram::ACCOUNT:role/NAME.")
_file = checks.text("Name a file.")


class Fields(BaseSettings):
    """The settings as a table; ``OTSSettings`` finds, keeps and explains them."""

    endpoint: Annotated[str, BeforeValidator(checks.endpoint)] = Field(
        description="The instance's URL, as in https://INSTANCE.REGION.ots.aliyuncs.com."
    )
    instance_name: Annotated[str, BeforeValidator(checks.instance_name)] = Field(description="The instance.")
    region: Annotated[str | None, BeforeValidator(checks.region)] = Field(
        default=None, description="The region's id, as in cn-hangzhou; given, it also turns on signature V4."
    )
    network: Annotated[Network, BeforeValidator(checks.choice("public", "vpc", "internal", "dual-stack"))] = Field(
        default="public", description="The network of a derived endpoint: public, vpc, internal, dual-stack."
    )
    access_key_id: Annotated[str | None, BeforeValidator(checks.access_key_id)] = Field(
        default=None, description="The AccessKey ID; without one the chain of credentials is asked."
    )
    access_key_secret: Annotated[SecretStr | None, BeforeValidator(checks.access_key_secret)] = Field(
        default=None, description="The AccessKey secret."
    )
    sts_token: Annotated[SecretStr | None, BeforeValidator(checks.sts_token)] = Field(
        default=None, description="The token of temporary keys."
    )
    encoding: Annotated[str, BeforeValidator(checks.encoding)] = Field(
        default="utf8", description="How texts of a request become bytes."
    )
    socket_timeout: Annotated[float | tuple[float, float], BeforeValidator(checks.socket_timeout)] = Field(
        default=50, description="Seconds to wait for a connection and for an answer, or both: 3,30."
    )
    max_connection: Annotated[int, BeforeValidator(checks.count(checks.MOST_CONNECTIONS))] = Field(
        default=50, description="The most connections at once."
    )
    logger_name: Annotated[str | None, BeforeValidator(checks.logger_name)] = Field(
        default=None, description="The logger's name; one that ends in .log is also a log file."
    )
    retry: RetrySettings = Field(default_factory=RetrySettings, description="How failed requests are repeated.")
    tls: TLSSettings = Field(default_factory=TLSSettings, description="How servers are verified.")
    signature: Annotated[SignatureVersion, BeforeValidator(checks.choice("auto", "v2", "v4"))] = Field(
        default="auto", description="Which signatures are made: v2, v4, or auto, which is v4 if a region is given."
    )
    proxies: Annotated[dict[str, str] | None, BeforeValidator(checks.proxies)] = Field(
        default=None, description="The proxy's URL, or one for each of http and https as JSON."
    )
    allow_http: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=False, description="Whether http is allowed beyond this machine."
    )
    idle_timeout: Annotated[float, BeforeValidator(checks.seconds())] = Field(
        default=5.0, description="Seconds after which an unused connection is closed."
    )
    credentials: Annotated[str | None, BeforeValidator(checks.provider_name)] = Field(
        default=None, description="The one provider of credentials to use instead of the whole chain."
    )
    credentials_process: Annotated[SecretStr | None, BeforeValidator(checks.hidden("Give a command line."))] = Field(
        default=None, description="A command that prints keys as JSON, as the Aliyun CLI's external mode has it."
    )
    credentials_uri: Annotated[SecretStr | None, BeforeValidator(checks.hidden("Give a URL."))] = Field(
        default=None, description="The URL that answers with keys; else `ALIBABA_CLOUD_CREDENTIALS_URI`."
    )
    credentials_profile: Annotated[str | None, BeforeValidator(checks.text("Name a profile."))] = Field(
        default=None, description="The profile of the Aliyun CLI or the SDKs; else `ALIBABA_CLOUD_PROFILE`."
    )
    credentials_file: Annotated[str | None, BeforeValidator(_file)] = Field(
        default=None, description="The SDKs' file of profiles; else `ALIBABA_CLOUD_CREDENTIALS_FILE`."
    )
    cli_config_file: Annotated[str | None, BeforeValidator(_file)] = Field(
        default=None, description="The Aliyun CLI's file of profiles; else `ALIBABA_CLOUD_CONFIG_FILE`."
    )
    credentials_cache: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=False,
        description="Whether fetched credentials are shared with other processes in a file of the user's.",
    )
    keyring_profile: Annotated[str | None, BeforeValidator(checks.text("Name an entry."))] = Field(
        default=None, description="The entry in the keychain; else named as the chosen profile, else `default`."
    )
    keyring_plaintext: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=False, description="Whether a keychain that keeps secrets as plain text may be used."
    )
    oidc_role_arn: Annotated[str | None, BeforeValidator(_arn)] = Field(
        default=None, description="The role of an OIDC token; else `ALIBABA_CLOUD_ROLE_ARN`."
    )
    oidc_provider_arn: Annotated[
        str | None, BeforeValidator(checks.text("Write acs:ram::ACCOUNT:oidc-provider/NAME."))
    ] = Field(default=None, description="The OIDC provider; else `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`.")
    oidc_token_file: Annotated[str | None, BeforeValidator(_file)] = Field(
        default=None, description="The file with the OIDC token; else `ALIBABA_CLOUD_OIDC_TOKEN_FILE`."
    )
    ecs_role: Annotated[str | None, BeforeValidator(checks.text("Name a role."))] = Field(
        default=None, description="The role of the ECS instance; else `ALIBABA_CLOUD_ECS_METADATA`, else asked for."
    )
    ecs_endpoint: Annotated[str | None, BeforeValidator(checks.text("Write http://100.100.100.200."))] = Field(
        default=None,
        description="The metadata service's URL; else `ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT`.",
    )
    ecs_v1: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=False,
        description="Whether version 1 of that service may be spoken, unless `ALIBABA_CLOUD_IMDSV1_DISABLED` forbids.",
    )
    ecs_disabled: Annotated[bool, BeforeValidator(checks.boolean)] = Field(
        default=False, description="Whether that service is never asked; also `ALIBABA_CLOUD_ECS_METADATA_DISABLED`."
    )
    role_arn: Annotated[str | None, BeforeValidator(_arn)] = Field(
        default=None, description="The role to assume with the credentials found: acs:ram::ACCOUNT:role/NAME."
    )
    role_via: Annotated[tuple[str, ...] | None, BeforeValidator(checks.several("Write ARNs of roles."))] = Field(
        default=None, description="Roles to assume before `role_arn`, in this order, separated by commas."
    )
    role_session_name: Annotated[str | None, BeforeValidator(checks.text("Give a name."))] = Field(
        default=None, description="What the audit log calls the session; else `ALIBABA_CLOUD_ROLE_SESSION_NAME`."
    )
    role_duration: Annotated[int | None, BeforeValidator(checks.count(43_200))] = Field(
        default=None, description="Seconds that the role's keys live, 900 to 43200."
    )
    role_policy: Annotated[str | None, BeforeValidator(checks.policy)] = Field(
        default=None, description="A policy that narrows the role, as JSON."
    )
    role_external_id: Annotated[str | None, BeforeValidator(checks.text("Give the id."))] = Field(
        default=None, description="What the role's trust policy asks for; else `ALIBABA_CLOUD_EXTERNAL_ID`."
    )
    sts_endpoint: Annotated[str | None, BeforeValidator(checks.text("Write sts.cn-hangzhou.aliyuncs.com."))] = Field(
        default=None, description="The host or URL of STS; else `ALIBABA_CLOUD_STS_ENDPOINT`."
    )
    sts_region: Annotated[str | None, BeforeValidator(checks.region)] = Field(
        default=None, description="The region whose STS is asked; else `ALIBABA_CLOUD_STS_REGION`."
    )
    sts_vpc: Annotated[bool | None, BeforeValidator(checks.boolean)] = Field(
        default=None, description="Whether STS is asked inside a VPC; else `ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED`."
    )
