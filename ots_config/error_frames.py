"""How errors leave: without the frames of functions that held keys, tokens and signatures."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ots_config.errors import OTSConfigError

P = ParamSpec("P")
R = TypeVar("R")


def without_frames(error: OTSConfigError) -> OTSConfigError:
    """Remove traceback, cause and context from an error: their frames hold keys, tokens and signatures."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def without_secret_frames(
    present: Callable[[OTSConfigError], OTSConfigError] = without_frames,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remove the frames, which hold its arguments, from the errors of a function that takes secrets.

    Args:
        present: Gives an error the types that the caller expects.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except OTSConfigError as error:
                failure = present(without_frames(error))
            finally:
                del args, kwargs  # also where arguments do not fit, which is no error of ours
            raise failure

        return call

    return decorate
