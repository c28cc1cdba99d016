"""The one door to the official SDK: imported without its noise, checked, and joined to our errors."""

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

from ots_config.errors import OTSConfigError, ServiceError, _revive


class _Later(ModuleType):
    """Stands for a module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        value = getattr(import_module(self.__name__), name)
        vars(self)[name] = value
        return value


@contextmanager
def _later(*names: str) -> Iterator[None]:
    """Import what asks for these modules without them, until it uses them; only it gets what stands for them."""
    # Beside other threads nothing is put off: one that imports a part of these just now would find it missing.
    stands = {name: _Later(name) for name in names if name not in sys.modules and active_count() == 1}
    if "aiohttp" in stands:  # the SDK takes one name out of it at once, to be called in AsyncOTSClient
        vars(stands["aiohttp"]).update(
            __path__=[], ClientTimeout=lambda **limits: import_module("aiohttp").ClientTimeout(**limits)
        )
    sys.modules.update(stands)
    try:
        yield
    finally:
        for name, stand in stands.items():
            if sys.modules.get(name) is stand:
                del sys.modules[name]


# Half of the SDK's time to be imported goes into these two, which only time series and AsyncOTSClient use.
with _later("numpy", "aiohttp"), warnings.catch_warnings():
    # It warns of its native codec; the log record of that is filtered in ots_config.
    warnings.simplefilter("ignore")
    import tablestore
    import tablestore.protobuf.table_store_pb2 as pb2
    from tablestore.credentials import StaticCredentialsProvider
    from tablestore.protocol import OTSProtocol

__all__ = ["OTSProtocol", "StaticCredentialsProvider", "as_sdk_error", "pb2", "tablestore"]

if "request_context" not in signature(OTSProtocol.make_request).parameters:  # pragma: no cover
    raise ImportError(
        f"ots_config needs tablestore >= 6.3.8, < 6.5, and found {version('tablestore')}: "
        "run pip install 'tablestore>=6.3.8,<6.5'"
    )


_official_types: dict[type[OTSConfigError], type[OTSConfigError]] = {}


def _official_type(cls: type[OTSConfigError]) -> type[OTSConfigError]:
    if cls in _official_types:
        return _official_types[cls]
    base = tablestore.OTSServiceError if issubclass(cls, ServiceError) else tablestore.OTSClientError

    def reduce(self: OTSConfigError) -> tuple[Any, ...]:
        return _revive_official, (cls, self.args, dict(self.__dict__))

    names = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    made = cast("type[OTSConfigError]", type(cls.__name__, (cls, base), {**names, "__reduce__": reduce}))
    return _official_types.setdefault(cls, made)


def _revive_official(cls: type[OTSConfigError], args: tuple[Any, ...], state: dict[str, Any]) -> OTSConfigError:
    return _revive(_official_type(cls), args, state)


def as_sdk_error(error: OTSConfigError) -> OTSConfigError:
    """Make an error of ours also one of the official SDK's, so that ``except OTSServiceError`` catches it.

    The same object is returned, with its traceback, cause and notes: only its class gains a base.
    """
    if not isinstance(error, tablestore.OTSError):
        error.__class__ = _official_type(type(error))
    return error
