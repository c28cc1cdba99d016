"""Tasks: one fetch for all of them, and an event loop that goes on meanwhile."""

import asyncio
from typing import Any

import pytest

from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused

PATIENCE = 20.0


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


async def until(event: Any) -> int:
    """Wait for a thread's event by turning the loop; return how often it turned."""
    turns = 0
    while not event.is_set():
        await asyncio.sleep(0.001)
        turns += 1
        assert turns < PATIENCE * 1000
    return turns


@pytest.mark.asyncio
@pytest.mark.parametrize("age", [0, 3600])
async def test_100_tasks_share_one_fetch_and_the_loop_runs_on(scripted: Any, clock: Any, age: int) -> None:
    """100 tasks without credentials, or at their end, cause one fetch; only the running loop can end it."""
    source = scripted()
    provider = refreshing(source)
    if age:
        await provider.get_credentials_async()
        clock.advance(age)
    before = source.calls
    source.started.clear()
    source.gate.clear()
    tasks = [asyncio.create_task(provider.get_credentials_async()) for _ in range(100)]
    await until(source.started)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not any(task.done() for task in tasks)
    source.gate.set()
    keys = {credentials.access_key_id for credentials in await asyncio.gather(*tasks)}
    assert keys == {f"STS.NUMBER{before + 1:04d}KEYKEY"}
    assert source.calls == before + 1


@pytest.mark.asyncio
async def test_no_task_waits_while_the_old_credentials_live(scripted: Any, clock: Any) -> None:
    """In the last quarter tasks get the old credentials without giving way once, however long the fetch takes."""
    source = scripted()
    provider = refreshing(source)
    old = await provider.get_credentials_async()
    clock.advance(3500)
    source.gate.clear()
    for _ in range(100):
        step = provider.get_credentials_async()
        with pytest.raises(StopIteration) as done:
            step.send(None)
        assert done.value.value is old
    source.gate.set()


@pytest.mark.asyncio
async def test_tasks_share_the_failure(scripted: Any) -> None:
    """100 tasks are told of one failure, each in an error of its own."""
    source = scripted()
    source.failure = CredentialsRefused("STS is down")
    provider = refreshing(source)
    tasks = [provider.get_credentials_async() for _ in range(100)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"STS is down"}
    assert len({id(outcome) for outcome in outcomes}) == 100
    assert source.calls == 1


@pytest.mark.asyncio
async def test_a_task_gives_up_or_is_cancelled_alone(scripted: Any) -> None:
    """A task whose time is up, or that is cancelled, leaves the fetch and the other tasks alone."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)
    patient = asyncio.create_task(provider.get_credentials_async())
    cancelled = asyncio.create_task(provider.get_credentials_async())
    await until(source.started)
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.01 s"):
        await provider.get_credentials_async(timeout=0.01)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    source.gate.set()
    assert (await patient).access_key_id == "STS.NUMBER0001KEYKEY"
    assert source.calls == 1


@pytest.mark.asyncio
async def test_a_task_that_gave_up_leaves_no_error_in_the_loop(scripted: Any) -> None:
    """When the fetch ends after a task has given up and another was cancelled, the loop has nothing to report."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    cancelled = asyncio.create_task(provider.get_credentials_async())
    await until(source.started)
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.01 s"):
        await provider.get_credentials_async(timeout=0.01)
    cancelled.cancel()
    patient = asyncio.create_task(provider.get_credentials_async())
    await asyncio.sleep(0)
    source.gate.set()
    await patient  # its callback is the last: the others' have run by now
    assert reported == []


@pytest.mark.asyncio
async def test_force_refresh_in_tasks(scripted: Any) -> None:
    """Tasks whose requests were refused with the same credentials cause one fetch; if it fails, the old ones stay."""
    source = scripted()
    provider = refreshing(source)
    refused = await provider.get_credentials_async()
    renewed = await asyncio.gather(*(provider.force_refresh_async(refused) for _ in range(100)))
    assert {credentials.access_key_id for credentials in renewed} == {"STS.NUMBER0002KEYKEY"}
    assert source.calls == 2
    assert (await provider.force_refresh_async(refused)) is renewed[0]
    source.clock.advance(1)
    source.failure = CredentialsRefused("STS is down")
    assert (await provider.force_refresh_async(renewed[0])) is renewed[0]
    assert source.calls == 3


def test_a_loop_that_is_closed_meanwhile_hurts_nobody(scripted: Any) -> None:
    """A fetch that ends after the loop of a waiting task was closed still serves the others."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)

    async def abandon() -> None:
        task = asyncio.create_task(provider.get_credentials_async())
        await until(source.started)
        task.cancel()

    asyncio.run(abandon())
    source.gate.set()
    assert provider.get_credentials().access_key_id == "STS.NUMBER0001KEYKEY"
    assert source.calls == 1


def test_a_loop_that_is_closed_meanwhile_does_not_hide_the_end_from_another(scripted: Any) -> None:
    """A task in another loop that waits for the same fetch is woken although an earlier loop was closed."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)

    async def abandon() -> None:
        task = asyncio.create_task(provider.get_credentials_async())
        await until(source.started)
        task.cancel()

    async def wait() -> str:
        task = asyncio.create_task(provider.get_credentials_async(timeout=PATIENCE))
        await asyncio.sleep(0.001)
        source.gate.set()
        return (await task).access_key_id

    asyncio.run(abandon())
    assert asyncio.run(wait()) == "STS.NUMBER0001KEYKEY"
