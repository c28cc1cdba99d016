"""An emulator of Tablestore, STS and the ECS metadata service, for tests and for work without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ots_config.emulator.emulator import Emulator as Emulator
    from ots_config.emulator.limits import ServerLimits as ServerLimits

__all__ = ["Emulator", "ServerLimits"]


def __getattr__(name: str) -> Any:
    """Import a name when it is used: the emulator needs the official SDK and aiohttp, which are slow to import."""
    if name == "Emulator":
        from ots_config.emulator.emulator import Emulator

        return Emulator
    if name == "ServerLimits":
        from ots_config.emulator.limits import ServerLimits

        return ServerLimits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
