"""The environment variables that sources read: each named once, and read when a source is asked, never at import."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

ROLE_ARN: Final = "OTS_ROLE_ARN"
ROLE_SESSION_NAME: Final = ("OTS_ROLE_SESSION_NAME", "ALIBABA_CLOUD_ROLE_SESSION_NAME")
ROLE_DURATION: Final = "OTS_ROLE_DURATION"
ROLE_POLICY: Final = "OTS_ROLE_POLICY"
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
PROFILE: Final = "ALIBABA_CLOUD_PROFILE"
CONFIG_FILE: Final = "ALIBABA_CLOUD_CONFIG_FILE"
CREDENTIALS_FILE: Final = "ALIBABA_CLOUD_CREDENTIALS_FILE"
PROFILE_DISABLED: Final = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE")
PROCESS_DISABLED: Final = "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"


class Overlaid(Mapping[str, str]):
    """This process's environment as it is at each look, but for some variables that are told otherwise.

    Args:
        values: What to say in place of the environment; None leaves a variable as it is.
    """

    def __init__(self, values: Mapping[str, str | None]) -> None:
        self._values = {name: value for name, value in values.items() if value}

    def __getitem__(self, name: str) -> str:
        return self._values[name] if name in self._values else os.environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**os.environ, **self._values})

    def __len__(self) -> int:
        return len({*os.environ, *self._values})

    def __repr__(self) -> str:
        return f"<the environment, with other {', '.join(self._values) or 'nothing'}>"


def variable(environ: Mapping[str, str] | None, *names: str) -> str:
    """Return the first of these variables that is set to something, else an empty text.

    Args:
        environ: Where to look; None is this process's environment as it is now.
        names: The variables, the most important first.
    """
    known = os.environ if environ is None else environ
    return next((value for name in names if (value := known.get(name, "").strip())), "")


def switched_on(environ: Mapping[str, str] | None, *names: str) -> bool:
    """Tell whether the first of these variables that is set says yes: ``true``, ``1``, ``yes`` or ``on``."""
    return is_yes(variable(environ, *names))


def is_yes(value: object) -> bool:
    """Tell whether a value of an environment or a profile says yes."""
    return value is True or str(value).strip().lower() in {"true", "1", "yes", "on"}
