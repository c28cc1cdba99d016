"""``AsyncOTSClient``: the official SDK's asyncio client on this library's request layer."""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import Any, Self

from ots_config.assembly import USER_AGENT, Assembly, decoded_json, encoded_json
from ots_config.credentials.snapshot import CredentialsProvider
from ots_config.request.aio import AsyncTransport
from ots_config.request.repeat import is_repeatable
from ots_config.request.waiting import Suspending
from ots_config.sdk import tablestore


class AsyncOTSClient(Assembly, tablestore.AsyncOTSClient):  # type: ignore[misc] # the SDK has no types
    """A client of Alibaba Cloud Tablestore for asyncio: what ``OTSClient`` promises, without blocking the event loop.

        async with AsyncOTSClient(endpoint, key_id, key_secret, instance_name) as client:
            await client.put_row("orders", row)

    Tasks may share one client. It may be made outside of an event loop. Close it in the loop that used it, or use it
    in an ``async with`` block. A call may be cancelled at any time: its connection is given up, and whether a write
    was carried out is then not known.

    Args:
        force_close: Whether each connection is closed after its request.
        session: An ``aiohttp.ClientSession`` to send through, with its own connector; it is not closed here.
        credentials_provider: As for ``OTSClient``. One that may wait had better have ``get_credentials_async``, as
            ours have; without, it is called in a thread, unless it says that it is ``instant``.
        **arguments: Whatever ``OTSClient`` takes. ``keepalive_timeout`` is the official name of ``idle_timeout``.

    Raises:
        SettingsError: If a setting cannot be used; it is also a ``tablestore.OTSClientError``.
    """
