"""The only import of the official SDK: without its warnings, of a checked version, and joined to our errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from threading import active_count
from types import ModuleType
from typing import Any, cast

from ots_config import errors  # its names stay out of this module: see __getattr__
from ots_config.error_arguments import revive


class _LazyModule(ModuleType):
    """Stands in for a module, which is imported when one of its names is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        value = getattr(import_module(self.__name__), name)
        vars(self)[name] = value
        return value


@contextmanager
def _imported_lazily(*names: str) -> Iterator[None]:
    """Import whatever needs these modules without importing them; only the importer gets the stand-ins."""
    # Not while other threads run: one that imports a part of such a module just now would find it missing.
    lazy = {name: _LazyModule(name) for name in names if name not in sys.modules and active_count() == 1}
    if "aiohttp" in lazy:  # the SDK takes one name out of it when it is imported, and calls it in AsyncOTSClient
        vars(lazy["aiohttp"]).update(
            __path__=[], ClientTimeout=lambda **limits: import_module("aiohttp").ClientTimeout(**limits)
        )
    sys.modules.update(lazy)
    try:
        yield
    finally:
        for name, module in lazy.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


# These two take half of the SDK's import time, and only time series and AsyncOTSClient use them.
with _imported_lazily("numpy", "aiohttp"), warnings.catch_warnings():
    # It warns about its native codec; ots_config filters the log record about it.
    warnings.simplefilter("ignore")
    import tablestore
    import tablestore.protobuf.table_store_pb2 as pb2
    from tablestore.credentials import StaticCredentialsProvider
    from tablestore.protocol import OTSProtocol

__all__ = ["OTSProtocol", "StaticCredentialsProvider", "as_sdk_error", "native", "pb2", "tablestore"]

_untyped: Any = tablestore
_has_native = getattr(_untyped.encoder, "NATIVE_ENCODER_AVAILABLE", False) and _untyped.decoder.NATIVE_DECODER_AVAILABLE
native: Any = _untyped.encoder._native_sdk if _has_native else None  # noqa: SLF001 - it has no public name
"""The codec in C++; None where there is none, as on every Python but CPython 3.12 for Linux x86-64."""

if "request_context" not in signature(OTSProtocol.make_request).parameters:  # pragma: no cover
    raise ImportError(
        f"ots_config needs tablestore >= 6.3.8, < 6.5, and found {version('tablestore')}: "
        "run pip install 'tablestore>=6.3.8,<6.5'"
    )


_sdk_types: dict[type[errors.OTSConfigError], type[errors.OTSConfigError]] = {}


def _sdk_type(cls: type[errors.OTSConfigError]) -> type[errors.OTSConfigError]:
    if cls in _sdk_types:
        return _sdk_types[cls]
    base = tablestore.OTSServiceError if issubclass(cls, errors.ServiceError) else tablestore.OTSClientError

    def reduce(self: errors.OTSConfigError) -> tuple[Any, ...]:
        return _revive_sdk_error, (cls, self.args, dict(self.__dict__))

    module = __name__ if cls.__module__ == errors.__name__ else cls.__module__
    names = {"__doc__": cls.__doc__, "__module__": module, "__qualname__": cls.__qualname__}
    made = cast("type[errors.OTSConfigError]", type(cls.__name__, (cls, base), {**names, "__reduce__": reduce}))
    return _sdk_types.setdefault(cls, made)


def __getattr__(name: str) -> Any:
    """Return the type of an error of ours that is also the SDK's: result back ends look it up by module and name."""
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, errors.OTSConfigError):
        return _sdk_type(found)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _revive_sdk_error(
    cls: type[errors.OTSConfigError], args: tuple[Any, ...], state: dict[str, Any]
) -> errors.OTSConfigError:
    return cast("errors.OTSConfigError", revive(_sdk_type(cls), args, state))


def as_sdk_error(error: errors.OTSConfigError) -> errors.OTSConfigError:
    """Make an error of ours also one of the SDK's, so that ``except OTSServiceError`` catches it.

    Returns the same object, with its traceback, cause and notes: only its class gains a base.
    """
    if not isinstance(error, tablestore.OTSError):
        error.__class__ = _sdk_type(type(error))
    return error
