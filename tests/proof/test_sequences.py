"""A state machine over client, network and server: no sequence of faults makes a write happen twice, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ots_config import (
    AsyncOTSClient,
    DefaultRetryPolicy,
    Emulator,
    NoRetryPolicy,
    OTSClient,
    RequestError,
    WriteRetryPolicy,
)
from tests.proof import calls
from tests.proof.calls import KEYS, UNBOUNDED, Call, applied, direct_client, make_tables, row_error
from tests.proof.certificates import HOST
from tests.proof.conftest import Tell
from tests.proof.fault_proxy import KINDS, FaultProxy, NetworkFault
from tests.proof.scale import scaled

TIMEOUT = 0.12
EXAMPLES, STEPS = scaled((6, 12), (120, 30))
POLICIES = {"default": DefaultRetryPolicy(3, 0.01), "write": WriteRetryPolicy(3, 0.01), "none": NoRetryPolicy()}
SERVER_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "error", "code": "OTSServerBusy"},
    {"kind": "error", "code": "OTSInternalServerError"},
    {"kind": "error", "code": "OTSTimeout"},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "status", "status": 429, "body": "slow down"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
    {"kind": "corrupt_md5"},
    {"kind": "corrupt_signature"},
    {"kind": "delay", "seconds": TIMEOUT * 1.5},
    {"kind": "skew", "seconds": -2000},
)
NETWORK_FAULTS = st.builds(
    NetworkFault,
    st.sampled_from(KINDS),
    st.sampled_from(["request", "response"]),
    st.sampled_from([0, 1, 40, 200, 380, 450, 600]),
    st.sampled_from([0.0, TIMEOUT / 4, TIMEOUT * 1.5]),
)
WRITES = st.sampled_from([calls.increment, calls.automatic, calls.insert, calls.version, calls.batch, calls.put])


class Network(RuleBasedStateMachine):
    """One client whose network and server fail as hypothesis chooses, and the count of what it wrote."""

    emulator: ClassVar[Emulator]
    totals: ClassVar[dict[str, int]]

    @initialize(
        policy=st.sampled_from(sorted(POLICIES)),
        tasks=st.booleans(),
        speaks_http=st.booleans(),
    )
    def begin(self, policy: str, tasks: bool, speaks_http: bool) -> None:
        """Connect a client through a proxy."""
        self.emulator.reset()
        make_tables(direct_client(self.emulator))
        self.faults: list[NetworkFault] = []
        self.proxy = FaultProxy(self.emulator.port, speaks_http=speaks_http, plan=self.next_fault)
        self.runner = asyncio.Runner() if tasks else None
        self.options: dict[str, Any] = {
            "retry_policy": POLICIES[policy],
            "retry": UNBOUNDED,
            "deadline": 1.0,
            "socket_timeout": TIMEOUT,
            "max_connection": 2,
        }
        self.endpoint = self.proxy.url
        if speaks_http:
            self.endpoint = f"http://{HOST}"
            self.options |= {"allow_http": True, "proxies": {"http": self.proxy.url}}
        self.client: Any = (AsyncOTSClient if tasks else OTSClient)(self.endpoint, *KEYS, **self.options)
        self.made: list[tuple[Call, RequestError | None]] = []

    def next_fault(self) -> NetworkFault | None:
        """Return the fault of a turn."""
        return self.faults.pop(0) if self.faults else None

    @rule(faults=st.lists(NETWORK_FAULTS, min_size=1, max_size=3))
    def break_the_network(self, faults: list[NetworkFault]) -> None:
        """Hit the next turns."""
        self.faults += faults

    @rule(fault=st.sampled_from(SERVER_FAULTS), count=st.integers(1, 2))
    def break_the_server(self, fault: dict[str, Any], count: int) -> None:
        """Hit the next requests."""
        self.emulator.fault(count=count, **fault)

    @rule()
    def mend_everything(self) -> None:
        """Clear what was not hit yet."""
        self.faults.clear()
        self.emulator.clear_faults()

    @precondition(lambda self: self.made)
    @rule()
    def drop_connections(self) -> None:
        """Reset what is open."""
        self.proxy.drop_connections()

    @precondition(lambda self: self.made)
    @rule()
    def restart_the_server(self) -> None:
        """Stop the server, and start it on the same port with the same rows."""
        self.emulator.stop()
        self.emulator.start()

    @rule(writes=st.lists(WRITES, min_size=1, max_size=4))
    def write(self, writes: list[Call]) -> None:
        """Write some rows of their own."""
        for call in writes:
            self.made.append((call, self.outcome(call, len(self.made))))

    @rule()
    def read(self) -> None:
        """Read; whatever was acknowledged before is seen."""
        error = self.outcome(calls.read, 0)
        assert error is None or not error.may_have_happened

    def outcome(self, call: Call, number: int) -> RequestError | None:
        """Return what a call raises; anything else than an error of ours goes through."""
        try:
            result = call(self.client, number) if self.runner is None else self.runner.run(self.awaited(call, number))
        except RequestError as error:
            return error
        if call is calls.batch:
            return row_error(result)
        return None

    async def awaited(self, call: Call, number: int) -> Any:
        """Await a call."""
        return await call(self.client, number)

    def teardown(self) -> None:
        """Count."""
        if not hasattr(self, "client"):
            return
        if self.runner is None:
            self.client.close()
        else:
            self.runner.run(self.client.close())
            self.runner.close()
        self.proxy.close()
        self.emulator.clear_faults()
        time.sleep(0.02)
        counts = applied(direct_client(self.emulator), settle=0.03)
        for number, (call, error) in enumerate(self.made):
            count = counts[number]
            assert count <= 1, f"{call.__name__} was applied {count} times"
            if error is None:
                assert count == 1, f"{call.__name__} was acknowledged and is not there"
            elif count:
                assert error.may_have_happened, f"{call.__name__} was applied: {error}"
                assert error.sent
        self.totals["sequences"] += 1
        self.totals["writes"] += len(self.made)
        self.totals["failed"] += sum(error is not None for _, error in self.made)
        target(float(self.proxy.fired))


def test_no_sequence_of_faults_makes_a_write_happen_twice(running: Emulator, show: Tell) -> None:
    """Whatever fails in whatever order: applied at most once, once if acknowledged, and never denied."""
    Network.emulator = running
    Network.totals = {"sequences": 0, "writes": 0, "failed": 0}
    run_state_machine_as_test(
        Network,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    show("sequences", steps=STEPS, **Network.totals, broken=0)
