"""The emulator's door to the protobuf messages of the official SDK, which have no types and are imported quietly."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ots_config.sdk import tablestore  # noqa: F401  imported first, it makes the next imports quiet

pb2: Any = import_module("tablestore.protobuf.table_store_pb2")
search_pb2: Any = import_module("tablestore.protobuf.search_pb2")
