"""A call is over at its deadline, wherever it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ots_config import Emulator, OTSConfigError, create_async_client, create_client
from ots_config.sdk import tablestore as ts
from tests.proof.calls import KEYS, direct_client, large, make_tables, read
from tests.proof.certificates import Authority
from tests.proof.conftest import Tell
from tests.proof.scale import FULL, scaled
from tests.proof.slow_places import SLOW, Place, Places

DEADLINE = scaled(0.25, 1.5)
HUNG = DEADLINE + scaled(4.0, 1.0)
"""Every place is slow for 9 seconds: a call that has no deadline there takes longer, even on a busy machine."""

SAMPLE = (
    *("full_pool_then_silent_server", "http_proxy_dripping_response", "tls_stall_behind_connect", "slow_dns"),
    *("host_with_dead_addresses", "slow_provider", "dripping_sts"),
)
NAMES = Places(*[None] * 3, 0.0).names() if FULL else SAMPLE  # type: ignore[arg-type] # only the names
Timed = tuple[float, BaseException | None]


def options_of(place: Place) -> dict[str, Any]:
    """Return the arguments of a client, whose own timeouts are much longer than the deadline."""
    keys = dict(zip(("access_key_id", "access_key_secret", "instance_name"), KEYS, strict=True))
    if "credentials_provider" in place.options:
        del keys["access_key_id"], keys["access_key_secret"]
    retry = {"deadline": DEADLINE, "budget_rate": 1e6}
    return {"endpoint": place.endpoint, **keys, "socket_timeout": 2 * SLOW, "retry": retry, **place.options}


def sync_calls(place: Place) -> list[Timed]:
    """Return what each caller had, making the client included."""
    call = large if place.large else read
    made: list[Any] = []

    def timed(begin: Callable[[], Any]) -> Timed:
        began = time.monotonic()
        try:
            call(begin(), 1)
        except OTSConfigError as error:
            return time.monotonic() - began, error
        return time.monotonic() - began, None

    def client() -> Any:
        made.append(create_client(**options_of(place)))
        return made[0]

    try:
        if place.callers == 1:
            return [timed(client)]
        shared = direct_options(place)
        made.append(shared)
        with ThreadPoolExecutor(place.callers) as threads:
            return list(threads.map(lambda _: timed(lambda: shared), range(place.callers)))
    finally:
        for each in made:
            each.close()


def direct_options(place: Place) -> Any:
    """Return a client that is made without asking for credentials."""
    from ots_config import OTSClient

    return OTSClient(**options_of(place))


def async_calls(place: Place) -> list[Timed]:
    """Return what each caller had."""
    call = large if place.large else read

    async def run() -> list[Timed]:
        client = create_async_client(**options_of(place))

        async def timed() -> Timed:
            began = time.monotonic()
            try:
                await call(client, 1)
            except OTSConfigError as error:
                return time.monotonic() - began, error
            return time.monotonic() - began, None

        try:
            return await asyncio.gather(*(timed() for _ in range(place.callers)))
        finally:
            await client.close()

    return asyncio.run(run())


def official_calls(place: Place) -> list[Timed]:
    """Return what a caller of the official client has, with the deadline as its timeout."""
    client = ts.OTSClient(place.endpoint, *KEYS, socket_timeout=DEADLINE)
    began = time.monotonic()
    try:
        (large if place.large else read)(client, 1)
    except Exception as error:  # noqa: BLE001 - the official client lets urllib3's through
        return [(time.monotonic() - began, error)]
    return [(time.monotonic() - began, None)]


CALLERS: dict[str, Callable[[Place], list[Timed]]] = {"sync": sync_calls, "async": async_calls}
if FULL:
    CALLERS["official"] = official_calls


@pytest.fixture
def places(emulator: Emulator, running_tls: Emulator, authority: Authority) -> Places:
    """Return the places."""
    make_tables(direct_client(emulator))
    return Places(emulator, running_tls, authority.bundle, DEADLINE)


@pytest.mark.parametrize("kind", CALLERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_call_is_over_at_its_deadline(places: Places, name: str, kind: str, show: Tell) -> None:
    """It fails with an error of ours, or succeeds where it can, without much delay."""
    with places.make(name) as place:
        if kind == "official" and not place.official:
            return
        ended = CALLERS[kind](place)
    slowest = max(seconds for seconds, _ in ended)
    succeeded = all(error is None for _, error in ended)
    show("deadlines", place=name.replace("_", " "), **{f"{kind}, s over": slowest - DEADLINE})
    if kind == "official":
        return
    assert slowest < HUNG
    assert succeeded == place.succeeds, ended
