"""How a setting is refused or doubted: by reason and hint, never by its value."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable

_PACKAGE = __name__.partition(".")[0]


class Refusal(ValueError):
    """A check refused a value.

    Attributes:
        reason: What is wrong, without the value.
        hint: How to put it right.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class SettingsWarning(UserWarning):
    """Something about the settings is doubtful, but they can be used."""


def warn(messages: Iterable[str]) -> None:
    """Issue each message as a ``SettingsWarning`` that points at the caller's own code."""
    level, frame = 1, sys._getframe(0)  # noqa: SLF001 - as `warnings` itself finds its caller
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    del frame
    for message in messages:
        warnings.warn(message, SettingsWarning, stacklevel=level)
