"""What can be set: each setting with its type, its default and its meaning; the nested ones first."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ots_config.credential_rules import MAX_DURATION, MIN_DURATION
from ots_config.errors import SettingsError, SettingsProblem
from ots_config.settings import validators as v
from ots_config.settings.problems import fill, refuse_change
from ots_config.settings.provenance import ProxyText

PolicyName = Literal["default", "write", "none", "no-delay"]
TLSVersion = Literal["TLSv1.2", "TLSv1.3"]
Network = Literal["public", "vpc", "internal", "dual-stack"]
SignatureVersion = Literal["auto", "v2", "v4"]


class Part(BaseModel):
    """Nested settings; what is wrong with them is a ``SettingsError``, which never shows a value."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __init__(self, **arguments: Any) -> None:
        problems = fill(self, arguments, type(self).model_fields)
        arguments.clear()
        if problems:
            raise SettingsError(*(SettingsProblem(*problem[:2], "argument", problem.hint) for problem in problems))

    def __setattr__(self, name: str, value: Any) -> None:
        del value
        refuse_change(name)

    def __delattr__(self, name: str) -> None:
        refuse_change(name)


class RetrySettings(Part):
    """How often and how long a failed request is retried.

    >>> RetrySettings(policy="write", deadline="none").deadline is None
    True
    """

    shorthand: ClassVar[str] = "policy"

    policy: Annotated[PolicyName, v.Word] = Field(
        default="default", description="Which failures are retried: default, write (writes too), none, no-delay."
    )
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=1000), v.Numeric] = Field(
        default=21, description="The most attempts of one call, the first one included."
    )
    max_delay: v.Number = Field(default=3.0, description="The longest wait between two attempts, in seconds.")
    deadline: Annotated[v.Seconds | None, v.NoneWord] = Field(
        default=60.0, description="The time that one call may take in total, in seconds; none for no limit."
    )
    budget_share: v.Number = Field(
        default=0.1, description="How many retries each call adds to its client's budget, 0.1 for one in ten."
    )
    budget_rate: v.Number = Field(default=10.0, description="How many retries are added to that budget each second.")
    budget_waits: v.Flag = Field(
        default=True, description="Whether a retry beyond the budget waits for its turn within the deadline, or fails."
    )


class TLSSettings(Part):
    """How servers are verified.

    >>> TLSSettings(minimum_version="1.3").minimum_version
    'TLSv1.3'
    """

    ca_bundle: v.CABundle | None = Field(
        default=None, description="A PEM file of the authorities to trust instead of certifi's."
    )
    minimum_version: Annotated[TLSVersion, v.TLSWord] = Field(
        default="TLSv1.2", description="The oldest TLS version that is accepted, TLSv1.2 or TLSv1.3."
    )


def _without_shown_passwords(proxies: dict[str, str] | None) -> dict[str, str] | None:
    return None if proxies is None else {scheme: ProxyText(url) for scheme, url in proxies.items()}


class Fields(BaseSettings):
    """The settings as a table; ``OTSSettings`` finds, keeps and explains them."""

    # Only OTSSettings is ever built, so only its schema is.
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(defer_build=True)

    endpoint: v.Endpoint = Field(description="The instance's URL, as in https://INSTANCE.REGION.ots.aliyuncs.com.")
    instance_name: v.InstanceName = Field(description="The instance's name.")
    region: v.Region | None = Field(
        default=None, description="The region's id, as in cn-hangzhou; if given, requests are signed with V4."
    )
    network: Annotated[Network, v.Word] = Field(
        default="public", description="The network of a derived endpoint: public, vpc, internal, dual-stack."
    )
    access_key_id: v.AccessKeyID | None = Field(
        default=None, description="The AccessKey ID; if there is none, the other sources of credentials are used."
    )
    access_key_secret: v.AccessKeySecret | None = Field(default=None, description="The AccessKey secret.")
    sts_token: v.STSToken = Field(default=None, description="The STS token of temporary keys.")
    sts_expiration: v.Expiration | None = Field(
        default=None, description="When temporary keys end: 2026-01-31T08:00:00Z, or seconds since 1970."
    )
    encoding: v.Encoding = Field(default="utf8", description="How the text in requests is encoded.")
    socket_timeout: v.Timeout = Field(
        default=50.0, description="Seconds to wait for a connection and for a response, or both: 3,30."
    )
    max_connection: Annotated[int, Field(strict=True, ge=1, le=65_535), v.Numeric] = Field(
        default=50, description="The most connections at the same time."
    )
    logger_name: v.LoggerName | None = Field(
        default=None, description="The logger's name; one that ends in .log is also a log file."
    )
    retry: RetrySettings = Field(default_factory=RetrySettings, description="How failed requests are retried.")
    tls: TLSSettings = Field(default_factory=TLSSettings, description="How servers are verified.")
    signature: Annotated[SignatureVersion, v.Word] = Field(
        default="auto", description="The version of signatures: v2, v4, or auto, which is v4 if a region is given."
    )
    proxies: Annotated[v.Proxies, AfterValidator(_without_shown_passwords)] = Field(
        default=None, description="The proxy's URL, or one each for http and https as JSON."
    )
    allow_http: v.Flag = Field(default=False, description="Whether http is allowed to other machines too.")
    idle_timeout: v.Seconds = Field(default=5.0, description="Seconds after which an unused connection is closed.")
    credentials: v.ProviderName | None = Field(
        default=None,
        description="The provider to use instead of the whole chain, or several in their order: env,oidc,ecs.",
    )
    credentials_process: v.Command | None = Field(
        default=None, description="A command that prints keys as JSON, as in the Aliyun CLI's external mode."
    )
    credentials_uri: v.CredentialsURI | None = Field(
        default=None, description="A URL that returns keys; else `ALIBABA_CLOUD_CREDENTIALS_URI`."
    )
    credentials_profile: v.ProfileName | None = Field(
        default=None, description="The profile of the Aliyun CLI or the SDKs; else `ALIBABA_CLOUD_PROFILE`."
    )
    credentials_file: v.FileName | None = Field(
        default=None, description="The SDKs' file of profiles; else `ALIBABA_CLOUD_CREDENTIALS_FILE`."
    )
    cli_config_file: v.FileName | None = Field(
        default=None, description="The Aliyun CLI's file of profiles; else `ALIBABA_CLOUD_CONFIG_FILE`."
    )
    credentials_cache: v.Flag = Field(
        default=False,
        description="Whether fetched credentials are shared with other processes in a file of the user's.",
    )
    keyring_profile: v.EntryName | None = Field(
        default=None, description="The entry in the keyring; else the name of the chosen profile, else `default`."
    )
    keyring_plaintext: v.Flag = Field(
        default=False, description="Whether a keyring that stores secrets as plain text may be used."
    )
    oidc_role_arn: v.RoleARN | None = Field(
        default=None, description="The role for an OIDC token; else `ALIBABA_CLOUD_ROLE_ARN`."
    )
    oidc_provider_arn: v.ProviderARN | None = Field(
        default=None, description="The OIDC provider; else `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`."
    )
    oidc_token_file: v.FileName | None = Field(
        default=None, description="The file with the OIDC token; else `ALIBABA_CLOUD_OIDC_TOKEN_FILE`."
    )
    ecs_role: v.RoleName | None = Field(
        default=None, description="The ECS instance's role; else `ALIBABA_CLOUD_ECS_METADATA`, else looked up."
    )
    ecs_endpoint: v.MetadataURL | None = Field(
        default=None,
        description="The metadata service's URL; else `ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT`.",
    )
    ecs_v1: v.Flag = Field(
        default=False,
        description="Whether version 1 of that service may be used, unless `ALIBABA_CLOUD_IMDSV1_DISABLED` forbids it.",
    )
    ecs_disabled: v.Flag = Field(
        default=False, description="Whether that service is never used; also `ALIBABA_CLOUD_ECS_METADATA_DISABLED`."
    )
    role_arn: v.RoleARN | None = Field(
        default=None, description="The role to assume with the credentials found: acs:ram::ACCOUNT:role/NAME."
    )
    role_via: v.Roles | None = Field(
        default=None, description="Roles to assume before `role_arn`, in this order, separated by commas."
    )
    role_session_name: v.SessionName | None = Field(
        default=None, description="The session's name in the audit log; else `ALIBABA_CLOUD_ROLE_SESSION_NAME`."
    )
    role_duration: Annotated[int, Field(strict=True, ge=MIN_DURATION, le=MAX_DURATION), v.Numeric] | None = Field(
        default=None, description="How many seconds the role's keys are valid, 900 to 43200."
    )
    role_policy: v.Policy | None = Field(default=None, description="A policy that limits the role further, as JSON.")
    role_external_id: v.ExternalID | None = Field(
        default=None, description="The id that the role's trust policy requires; else `ALIBABA_CLOUD_EXTERNAL_ID`."
    )
    sts_endpoint: v.STSEndpoint | None = Field(
        default=None, description="The host or URL of STS; else `ALIBABA_CLOUD_STS_ENDPOINT`."
    )
    sts_region: v.Region | None = Field(
        default=None, description="The region whose STS is used; else `ALIBABA_CLOUD_STS_REGION`."
    )
    sts_vpc: v.Flag | None = Field(
        default=None, description="Whether STS is reached inside a VPC; else `ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED`."
    )
