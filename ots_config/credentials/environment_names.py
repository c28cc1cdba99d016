"""The environment variables that sources read: each named once, and read when a source is asked, never at import."""

from __future__ import annotations

import os
from typing import Final

SETTING: Final = "a setting or argument"
"""What names a source, in messages, if it is no variable."""

ROLE_SESSION_NAME: Final = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
ROLE_EXTERNAL_ID: Final = ("OTS_ROLE_EXTERNAL_ID", "ALIBABA_CLOUD_EXTERNAL_ID")
STS_ENDPOINT: Final = ("OTS_STS_ENDPOINT", "ALIBABA_CLOUD_STS_ENDPOINT")
STS_REGION: Final = ("OTS_STS_REGION", "ALIBABA_CLOUD_STS_REGION")
STS_VPC: Final = ("OTS_STS_VPC", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")
OIDC_ROLE_ARN: Final = "ALIBABA_CLOUD_ROLE_ARN"
OIDC_PROVIDER_ARN: Final = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
OIDC_TOKEN_FILE: Final = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
METADATA_ROLE: Final = "ALIBABA_CLOUD_ECS_METADATA"
METADATA_DISABLED: Final = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
METADATA_V1_DISABLED: Final = "ALIBABA_CLOUD_IMDSV1_DISABLED"
METADATA_ENDPOINT: Final = "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT"
CREDENTIALS_URI: Final = "ALIBABA_CLOUD_CREDENTIALS_URI"
PROFILE: Final = ("ALIBABACLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE")
CONFIG_FILE: Final = "ALIBABA_CLOUD_CONFIG_FILE"
CREDENTIALS_FILE: Final = "ALIBABA_CLOUD_CREDENTIALS_FILE"
PROFILE_DISABLED: Final = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE")
PROCESS_DISABLED: Final = "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"


def variable(*names: str) -> str:
    """Return the first of these variables that is set to something now, else an empty text."""
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return value
    return ""


def name_of_set(*names: str) -> str:
    """Return the name of the first of these variables that is set to something now, else an empty text."""
    for name in names:
        if os.environ.get(name, "").strip():
            return name
    return ""


def switched_on(*names: str) -> bool:
    """Return whether the first of these variables that is set says yes."""
    return is_yes(variable(*names))


def is_yes(value: object) -> bool:
    """Return whether a value of an environment or a profile says yes: ``true``, ``1``, ``yes`` or ``on``."""
    return value is True or str(value).strip().lower() in {"true", "1", "yes", "on"}
