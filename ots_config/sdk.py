"""The one door to the official SDK: imported without its noise, checked, and joined to our errors."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from inspect import signature
from typing import Any, cast

from ots_config.errors import OTSConfigError, ServiceError, _revive

with warnings.catch_warnings():  # it warns of its native codec; the log record of that is filtered in ots_config
    warnings.simplefilter("ignore")
    import tablestore
    import tablestore.protobuf.table_store_pb2 as pb2
    from tablestore.credentials import StaticCredentialsProvider
    from tablestore.protocol import OTSProtocol

__all__ = ["OTSProtocol", "StaticCredentialsProvider", "official", "pb2", "tablestore"]

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


def official(error: OTSConfigError) -> OTSConfigError:
    """Make an error of ours also one of the official SDK's, so that ``except OTSServiceError`` catches it.

    The same object is returned, with its traceback, cause and notes: only its class gains a base.
    """
    if not isinstance(error, tablestore.OTSError):
        error.__class__ = _official_type(type(error))
    return error
