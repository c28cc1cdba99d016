"""An emulator of Tablestore, of STS and of the ECS metadata service, for tests and for work without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ots_config.emulator.emulator import Emulator as Emulator
    from ots_config.emulator.http import Limits as Limits

__all__ = ["Emulator", "Limits"]


def __getattr__(name: str) -> Any:
    """Load what is asked for: the modules of the emulator need the official SDK, which is slow to import."""
    if name == "Emulator":
        from ots_config.emulator.emulator import Emulator

        return Emulator
    if name == "Limits":
        from ots_config.emulator.http import Limits

        return Limits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
