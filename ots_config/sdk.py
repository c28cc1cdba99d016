"""The one door to the official SDK: imported without its noise, checked, and joined to our errors."""

from __future__ import annotations

import logging
import warnings
from functools import cache
from importlib.metadata import version
from inspect import signature
from typing import Any

from ots_config.errors import OTSConfigError, ServiceError, _revive


def _import_quietly() -> Any:
    """Import ``tablestore``; since 6.4.2 that logs a warning about its native codec, which reaches stderr."""

    def refuse(_: logging.LogRecord) -> bool:
        return False

    # Filters on its own loggers, set before it is imported and taken off after: logging at large is not touched.
    noisy = [logging.getLogger(name) for name in ("tablestore.encoder", "tablestore.decoder")]
    for logger in noisy:
        logger.addFilter(refuse)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tablestore
    finally:
        for logger in noisy:
            logger.removeFilter(refuse)
    return tablestore


tablestore = _import_quietly()

import tablestore.protobuf.table_store_pb2 as pb2  # noqa: E402
from tablestore.protocol import OTSProtocol  # noqa: E402

__all__ = ["OTSProtocol", "official", "pb2", "tablestore"]

if "request_context" not in signature(OTSProtocol.make_request).parameters:  # pragma: no cover
    raise ImportError(
        f"ots_config needs tablestore >= 6.3.8, < 6.5, and found {version('tablestore')}: "
        "run pip install 'tablestore>=6.3.8,<6.5'"
    )


@cache
def _official_type(cls: type[OTSConfigError]) -> type[OTSConfigError]:
    base = tablestore.OTSServiceError if issubclass(cls, ServiceError) else tablestore.OTSClientError

    def reduce(self: OTSConfigError) -> tuple[Any, ...]:
        return _revive_official, (cls, self.args, dict(self.__dict__))

    names = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls, base), {**names, "__reduce__": reduce})


def _revive_official(cls: type[OTSConfigError], args: tuple[Any, ...], state: dict[str, Any]) -> OTSConfigError:
    return _revive(_official_type(cls), args, state)


def official(error: OTSConfigError) -> OTSConfigError:
    """Make an error of ours also one of the official SDK's, so that ``except OTSServiceError`` catches it.

    The same object is returned, with its traceback, cause and notes: only its class gains a base.
    """
    if not isinstance(error, tablestore.OTSError):
        error.__class__ = _official_type(type(error))
    return error
