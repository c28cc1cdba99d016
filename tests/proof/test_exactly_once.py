"""Writes through a network that breaks: acknowledged ones are applied, and none is applied twice that may not be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ots_config import DefaultRetryPolicy, Emulator, NoDelayRetryPolicy, NoRetryPolicy, RequestError, WriteRetryPolicy
from ots_config.sdk import tablestore as ts
from tests.proof import calls
from tests.proof.calls import SHELLS, UNBOUNDED, Call, Outcome, applied, direct_client, make_tables, numbered
from tests.proof.certificates import HOST, Authority
from tests.proof.conftest import Tell
from tests.proof.fault_proxy import FaultProxy, NetworkFault, random_plan
from tests.proof.scale import FULL, scaled

TIMEOUT, DEADLINE = 0.3, 2.0
HUNG = 20.0
"""Seconds: ten deadlines, so a call that takes longer has none; a busy machine does not take that long."""

POLICIES: dict[str, Any] = {
    "default": DefaultRetryPolicy(4, 0.02),
    "write": WriteRetryPolicy(4, 0.02),
    "no-delay": NoDelayRetryPolicy(4),
    "none": NoRetryPolicy(),
}
OPTIONS: dict[str, Any] = {
    "retry": UNBOUNDED,
    "deadline": DEADLINE,
    "socket_timeout": TIMEOUT,
    "max_connection": 4,
}
PATHS = ("direct", "http proxy", "CONNECT")
SEEDS = scaled((1,), (1, 2, 3))
COUNT = scaled(50, 200)


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    """Return each way to the server."""
    return str(request.param)


@contextmanager
def way_to(path: str, emulator: Emulator, authority: Authority) -> Iterator[tuple[FaultProxy, str, dict[str, Any]]]:
    """Yield a proxy, the endpoint and the options of a client that reaches the emulator through it."""
    with FaultProxy(emulator.port, speaks_http=path != "direct") as proxy:
        match path:
            case "direct":
                yield proxy, proxy.url, {}
            case "http proxy":
                yield proxy, f"http://{HOST}", {"allow_http": True, "proxies": {"http": proxy.url}}
            case _:
                tls = {"ca_bundle": authority.bundle, "proxies": {"https": proxy.url}}
                yield proxy, f"https://{HOST}", tls


def check(made: list[tuple[Call, int]], outcomes: list[Outcome], counts: Counter[int]) -> Counter[str]:
    """Return how many calls broke which promise."""
    wrong: Counter[str] = Counter()
    for (call, number), outcome in zip(made, outcomes, strict=True):
        count, error = counts[number], outcome.error
        if call is not calls.read:
            wrong["twice"] += count > 1
            wrong["lost"] += outcome.acknowledged and not count
            wrong["false"] += isinstance(error, RequestError) and count > 0 and not error.may_have_happened
            wrong["never sent, and applied"] += isinstance(error, RequestError) and count > 0 and not error.sent
        else:
            wrong["false"] += isinstance(error, RequestError) and error.may_have_happened
        wrong["untyped"] += error is not None and not isinstance(error, RequestError)
        wrong["hung"] += outcome.seconds > HUNG
    return +wrong


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("policy", POLICIES if FULL else ["write"])
def test_no_write_is_applied_twice_or_lost(
    running: Emulator, running_tls: Emulator, authority: Authority, path: str, policy: str, shell: str, show: Tell
) -> None:
    """Whatever breaks on the way, each write is applied at most once, once if acknowledged, and else reported."""
    emulator, bundle = (running_tls, authority.bundle) if path == "CONNECT" else (running, None)
    wrong: Counter[str] = Counter()
    fired = failed = 0
    for seed in SEEDS:
        emulator.reset()
        make_tables(direct_client(emulator, bundle))
        made = numbered(COUNT)
        with way_to(path, emulator, authority) as (proxy, endpoint, options):
            proxy.plan = random_plan(seed, 0.25, timeout=TIMEOUT)
            outcomes = SHELLS[shell](endpoint, made, retry_policy=POLICIES[policy], **OPTIONS, **options)
            fired += proxy.fired
        failed += sum(outcome.error is not None for outcome in outcomes)
        wrong += check(made, outcomes, applied(direct_client(emulator, bundle)))
    assert fired > COUNT // 20  # else nothing was proven
    show(
        "exactly-once",
        client=f"ours, {shell}",
        path=path,
        policy=policy,
        calls=COUNT * len(SEEDS),
        faults=fired,
        failed=failed,
        **{name: wrong[name] for name in ("twice", "lost", "false")},
    )
    assert wrong == {}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_request_that_is_read_slowly_is_not_denied(running: Emulator, shell: str, show: Tell) -> None:
    """A large request that the network holds back for longer than the timeout, and delivers then, is never denied."""
    running.reset()
    make_tables(direct_client(running))
    made = numbered(scaled(2, 24), calls=(calls.huge,), large_each=10**6)
    fault = NetworkFault("stall", "request", 1000, 2 * TIMEOUT)
    with FaultProxy(running.port, plan=lambda: fault) as proxy:
        outcomes = SHELLS[shell](proxy.url, made, retry_policy=POLICIES["default"], **OPTIONS)
        time.sleep(2 * TIMEOUT)  # what the network still holds arrives
    wrong = check(made, outcomes, applied(direct_client(running)))
    show(
        "exactly-once",
        client=f"ours, {shell}",
        path="direct, held back",
        policy="default",
        calls=len(made),
        faults=len(made),
        failed=sum(outcome.error is not None for outcome in outcomes),
        **{name: wrong[name] for name in ("twice", "lost", "false")},
    )
    assert wrong == {}


@pytest.mark.skipif(not FULL, reason="a figure to compare with, in make proof")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("policy", ["default", "write"])
def test_what_the_official_client_does(running: Emulator, policy: str, shell: str, show: Tell) -> None:
    """The same calls through the same faults, with the official client's own policies."""
    kind = ts.AsyncOTSClient if shell == "tasks" else ts.OTSClient
    made_policy = ts.WriteRetryPolicy if policy == "write" else ts.DefaultRetryPolicy
    wrong: Counter[str] = Counter()
    fired = failed = 0
    for seed in SEEDS:
        running.reset()
        make_tables(direct_client(running))
        made = numbered(COUNT)
        with FaultProxy(running.port, plan=random_plan(seed, 0.25, timeout=TIMEOUT)) as proxy:
            outcomes = SHELLS[shell](
                proxy.url, made, kind=kind, retry_policy=made_policy(), socket_timeout=TIMEOUT, max_connection=4
            )
            fired += proxy.fired
        failed += sum(outcome.error is not None for outcome in outcomes)
        wrong += check(made, outcomes, applied(direct_client(running)))
    show(
        "exactly-once",
        client=f"official, {shell}",
        path="direct",
        policy=policy,
        calls=COUNT * len(SEEDS),
        faults=fired,
        failed=failed,
        twice=wrong["twice"],
        lost=wrong["lost"],
        false="-",
    )
    assert fired > COUNT // 20
