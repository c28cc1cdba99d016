"""Exceptions by which a program ends a call: those that its signal handlers raise, and not those of the system."""

from __future__ import annotations

import signal
from functools import partial
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType


def is_from_system(error: OSError) -> bool:
    """Return whether the system or TLS reported an error; one without a number was raised by a program.

    ``TimeoutError`` is an ``OSError``: a signal handler that raises it must not be taken for a broken connection.
    """
    return error.errno is not None


def raised_by_signal_handler(errors: Iterable[BaseException]) -> Exception | None:
    """Return the one of some errors that was raised in a signal handler of this program, None if there is none.

    urllib3 takes a handler's ``TimeoutError`` for one of the socket, and raises an error of its own in its place.

    Args:
        errors: An error and its causes.
    """
    handlers: set[CodeType] | None = None
    for error in errors:
        if not isinstance(error, Exception):
            continue
        for frame, _ in walk_tb(error.__traceback__):
            if handlers is None:
                handlers = set(filter(None, map(_code, map(signal.getsignal, signal.valid_signals()))))
            if frame.f_code in handlers:
                return error
    return None


def _code(handler: Any) -> CodeType | None:
    """Return the code of a handler that is written in Python."""
    while isinstance(handler, partial):
        handler = handler.func
    if not callable(handler):  # SIG_IGN and SIG_DFL
        return None
    handler = getattr(handler, "__func__", handler)
    function = handler if hasattr(handler, "__code__") else vars(type(handler)).get("__call__")
    code: CodeType | None = getattr(function, "__code__", None)
    return code
