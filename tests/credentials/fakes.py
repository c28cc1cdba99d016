"""A provider whose answers a test decides, keys that tell who gave them, and a profile of ``ots.toml``."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.errors import CredentialsUnavailable

MARK = "S3cr3tM4rk"


class Fake(Provider):
    """A provider that counts how often it is asked, and answers or fails as told."""

    def __init__(self, name: str, answer: Credentials | BaseException | None = None, *, instant: bool = False) -> None:
        self.name = name
        self.instant = instant
        self.answer = answer if answer is not None else CredentialsUnavailable(f"{name} is not configured")
        self.calls = 0
        self.before: Callable[[], object] | None = None

    def fetch_credentials(self) -> Credentials:
        """Count, and answer or fail."""
        self.calls += 1
        if self.before is not None:
            self.before()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def describe(self) -> str:
        """Tell what it looks at."""
        return f"drawer {self.name}"


def keys(name: str) -> Credentials:
    """Make keys that tell who gave them."""
    return Credentials(f"LTAI5t{name:0<14}", f"{MARK}{name}", source=name)


def toml(values: Mapping[str, Any]) -> str:
    """Write a profile of ``ots.toml``."""
    return "[profiles.default]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
