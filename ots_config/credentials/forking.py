"""What a forked child must begin anew: locks that a vanished thread may hold, and work that it was doing."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something with locks or threads of its own."""

    def after_fork(self) -> None:
        """Put new locks in place and forget work under way; only the forking thread exists."""


_living: WeakSet[Forkable] = WeakSet()


def reset_after_fork(living: Forkable) -> None:
    """Have ``living.after_fork()`` called in every forked child, for as long as the object is alive."""
    _living.add(living)


def _reset_all() -> None:
    for living in list(_living):
        living.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
