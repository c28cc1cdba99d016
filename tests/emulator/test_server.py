"""The whole server: the official clients against it, and its life inside another program."""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.credentials.credentials import Credentials
from ots_config.emulator import Emulator
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse
from ots_config.emulator.server import EmulatorServer
from ots_config.emulator.tablestore.service import IMPLEMENTED
from ots_config.request.operations import OPERATIONS
from ots_config.request.signing import Signer
from ots_config.sdk import tablestore

Message = tablestore.protobuf.table_store_pb2.ListTableRequest
REGION = b"GET /latest/meta-data/region-id HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Run an emulator for this file's tests."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> EmulatorServer:
    """Return the services without sockets."""
    return EmulatorServer()


def signed(path: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed request."""
    return Signer("demo").sign(path, body, Credentials("testid", "testsecret"), time.time())[0]


def connect(emulator: Emulator) -> socket.socket:
    """Return a connection."""
    return socket.create_connection(("127.0.0.1", emulator.port), timeout=20)


def ended(client: socket.socket) -> bool:
    """Tell whether the server closed a connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def make_table(client: Any, name: str) -> None:
    """Create a table with an integer key."""
    client.create_table(
        tablestore.TableMeta(name, [("k", "INTEGER")]),
        tablestore.TableOptions(),
        tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
    )


COLUMNS = [
    ("binary", bytearray(b"\0\xff")),
    ("bool", True),
    ("double", 1.5),
    ("integer", -(2**63)),
    ("text", "文字"),
]


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
def test_the_official_client_works(emulator: Emulator, region: str | None) -> None:
    """The unmodified official client writes and reads rows of every type, with both signatures."""
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo", region=region)
    name = f"official_{region or 'v2'}".replace("-", "_")
    make_table(client, name)
    client.put_row(name, tablestore.Row([("k", 1)], COLUMNS))
    row = client.get_row(name, [("k", 1)])[1]
    assert [(column, value) for column, value, _ in row.attribute_columns] == COLUMNS
    client.delete_row(name, tablestore.Row([("k", 1)]))
    assert client.get_row(name, [("k", 1)])[1] is None
    with pytest.raises(tablestore.OTSServiceError, match="Requested table does not exist"):
        client.get_row("none", [("k", 1)])


def test_the_official_asynchronous_client_works(emulator: Emulator) -> None:
    """The official client on aiohttp works the same way."""

    async def run() -> Any:
        async with tablestore.AsyncOTSClient(emulator.endpoint, "testid", "testsecret", "demo") as client:
            await client.create_table(
                tablestore.TableMeta("asynchronous", [("k", "INTEGER")]),
                tablestore.TableOptions(),
                tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
            )
            writes = (
                client.put_row("asynchronous", tablestore.Row([("k", number)], [("a", number)])) for number in range(50)
            )
            await asyncio.gather(*writes)
            return await client.get_range("asynchronous", "FORWARD", [("k", 0)], [("k", 50)])

    rows = asyncio.run(run())[2]
    assert [row.primary_key[0][1] for row in rows] == list(range(50))


def test_a_hundred_clients_at_once(emulator: Emulator) -> None:
    """A hundred connections, each with requests of its own, are all answered."""

    async def client(number: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
        answers = []
        for _ in range(5):
            writer.write(REGION if number % 2 else b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if number % 2:
                assert await reader.readexactly(11) == b"cn-hangzhou"
            answers.append(head.split(b" ", 2)[1])
        writer.close()
        await writer.wait_closed()
        return answers

    async def run() -> list[list[bytes]]:
        return await asyncio.gather(*(client(number) for number in range(100)))

    assert asyncio.run(run()) == [[b"400"] * 5, [b"200"] * 5] * 50


def test_the_control_surface_is_for_this_machine(server: EmulatorServer) -> None:
    """A client elsewhere is refused; one here is not, whatever form its address has."""
    for peer, status in {"10.0.0.1": 403, "": 403, "::1": 200, "127.0.0.9": 200, "::ffff:127.0.0.1": 200}.items():
        request = EmulatorRequest("GET", "/_emulator/log", {})
        request.peer = peer
        answer = server(request)
        assert isinstance(answer, EmulatorResponse)
        assert answer.status == status


CONTROL = ["faults", "log", "sts", "keys", "revoke", "reset", "", "none"]
METADATA = ["api/token", "meta-data/region-id", "meta-data/ram/security-credentials/", "meta-data/ram/none", ""]
PATHS = [
    *("", "/", "credentials", "*", "none", "PutRow/", "ListKnowledgeBase", "_emulator"),
    *(f"_emulator/{name}" for name in CONTROL),
    *(f"latest/{name}" for name in METADATA),
    *IMPLEMENTED,
]
PARAMETERS = st.lists(
    st.one_of(
        st.text(max_size=10),
        st.sampled_from(
            [
                *(f"Action={action}" for action in ("AssumeRole", "AssumeRoleWithOIDC", "GetCallerIdentity")),
                *("Version=2015-04-01", "AccessKeyId=testid", "Signature=x", "SignatureNonce=1", "Timestamp=now"),
                *("RoleArn=acs:ram::1:role/x", "RoleSessionName=me", "OIDCToken=a.e30.c", "DurationSeconds=9e9"),
                *("OIDCProviderArn=acs:ram::1:oidc-provider/x", "Policy={", "SecurityToken=%FF", "%FF=%FE"),
            ]
        ),
    ),
    max_size=12,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("x-ots-date", "x-ots-instancename", "x-ots-accesskeyid", "x-ots-contentmd5", "x-ots-signature"),
            *("x-ots-signaturev4", "x-ots-signdate", "x-ots-signregion", "x-ots-ststoken", "x-ots-apiversion"),
            *("authorization", "content-type", "x-acs-action", "x-acs-date", "x-acs-version"),
            *("x-aliyun-ecs-metadata-token", "x-aliyun-ecs-metadata-token-ttl-seconds"),
        ]
    ),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=12),
    max_size=4,
)


@settings(max_examples=600, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.sampled_from(PATHS),
    query=PARAMETERS,
    body=st.binary(max_size=60) | PARAMETERS.map(str.encode),
    headers=HEADERS,
    honest=st.booleans(),
)
def test_random_requests_to_every_path_are_answered(
    server: EmulatorServer, method: str, path: str, query: str, body: bytes, headers: dict[str, str], honest: bool
) -> None:
    """Whatever is asked of whom, there is an answer, and never one that says that the emulator failed."""
    sent = signed("/" + path, body) if honest else {}
    request = EmulatorRequest(method, f"/{path}?{query}", {**sent, **headers})
    request.body = body
    request.peer = "127.0.0.1"
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    assert 200 <= answer.status < 500


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(IMPLEMENTED), st.binary())
def test_random_bodies_of_signed_requests_are_answered(server: EmulatorServer, operation: str, body: bytes) -> None:
    """A body that is no message, from a client that may send one, is the client's fault."""
    request = EmulatorRequest("POST", "/" + operation, signed("/" + operation, body))
    request.body = body
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    assert answer.status in {200, 400, 404}


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {*IMPLEMENTED}))
def test_what_is_not_there_is_told_to_the_official_client(emulator: Emulator, name: str) -> None:
    """Each operation of the official client that is not emulated is unsupported, in the form that it can read."""
    client = tablestore.OTSClient(f"http://127.0.0.1:{emulator.port}", "testid", "testsecret", "demo")
    client.protocol.encoder.encode_request = lambda *_: Message()
    call = client._vectors_request_helper if OPERATIONS[name].json else client._request_helper
    with pytest.raises(tablestore.OTSServiceError) as caught:
        call(name, {})
    error = caught.value
    assert (error.get_http_status(), error.get_error_code()) == (400, "OTSParameterInvalid")
    assert error.get_error_message() == f"Unsupported operation: '{name}'."
    assert emulator.log()[-1]["code"] == "OTSParameterInvalid"


def test_several_emulators_run_at_once() -> None:
    """Each has its own port, tables and faults."""
    with Emulator() as one, Emulator(instance="two") as two:
        assert one.port != two.port
        one.fault(operation="*", kind="status", status=502)
        client = tablestore.OTSClient(two.endpoint, "testid", "testsecret", "two")
        make_table(client, "mine")
        assert client.list_table() == ("mine",)
        assert [entry["operation"] for entry in two.log()] == ["CreateTable", "ListTable"]
        assert one.log() == []


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_it_listens_on_any_host(host: str) -> None:
    """A name is served on its addresses, all on one port, and an IPv6 address is written as URLs want it."""
    try:
        emulator = Emulator(host=host).start()
    except OSError:
        pytest.skip(f"there is no {host} on this machine")
    with contextlib.closing(SimpleNamespace(close=emulator.stop)):
        assert emulator.endpoint == f"http://{'[::1]' if host == '::1' else host}:{emulator.port}"
        assert tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo").list_table() == ()


def test_a_restart_keeps_port_and_tables() -> None:
    """What was stored stays over a stop and a new start, as over a service's short outage."""
    emulator = Emulator()
    with emulator:
        client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo")
        make_table(client, "kept")
        port = emulator.port
    with pytest.raises(OSError, match="refused"):
        connect(emulator)
    with emulator:
        assert emulator.port == port
        assert client.list_table() == ("kept",)


def test_starting_twice_is_a_mistake() -> None:
    """One emulator runs once; stopping one that does not run is no mistake."""
    emulator = Emulator()
    emulator.stop()
    with emulator, pytest.raises(RuntimeError, match="running already"):
        emulator.start()


def test_a_port_in_use_is_told() -> None:
    """The error of the thread that would have served is raised where it was started."""
    with Emulator() as running, pytest.raises(OSError, match="in use"):
        Emulator(port=running.port).start()


def test_a_stop_does_not_wait_for_delays() -> None:
    """An answer that a fault holds back is given up when the server stops."""
    with Emulator() as emulator:
        emulator.fault(operation="metadata", kind="delay", seconds=3600)
        client = connect(emulator)
        client.sendall(REGION)
        while emulator.server.faults.describe()[0]["fired"] == 0:
            time.sleep(0.01)
    with client:
        assert ended(client)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_server_alone() -> None:
    """A child can use the server but not stop it, and its copies of the sockets do not outlive the parent's."""
    emulator = Emulator().start()
    context = multiprocessing.get_context("fork")
    go, done = context.Event(), context.Event()

    def child() -> None:
        emulator.stop()
        with connect(emulator) as client:
            client.sendall(REGION)
            assert client.recv(12) == b"HTTP/1.1 200"
        done.set()
        go.wait(20)

    client = connect(emulator)
    process = context.Process(target=child)
    process.start()
    assert done.wait(20)
    emulator.stop()
    with client:
        assert ended(client)
    with pytest.raises(OSError, match="refused"):
        connect(emulator)
    go.set()
    process.join()
    assert process.exitcode == 0


def test_instances_come_and_go(emulator: Emulator) -> None:
    """An instance can be added and dropped, shares no tables with others, and its name is not case-sensitive."""
    emulator.add_instance("More")
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "more")
    make_table(client, "here")
    assert client.list_table() == ("here",)
    assert tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "MORE").list_table() == ("here",)
    assert "here" not in tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo").list_table()
    emulator.add_instance("more")
    assert client.list_table() == ()
    emulator.drop_instance("more")
    with pytest.raises(ValueError, match=r"not 'a\.b'"):
        emulator.add_instance("a.b")
    with pytest.raises(tablestore.OTSServiceError, match="The instance is not found"):
        client.list_table()


def test_settings_lead_to_it(emulator: Emulator) -> None:
    """The settings it gives name its endpoint, instance and key."""
    given_ = emulator.settings
    assert (given_.endpoint, given_.instance_name, given_.access_key_id) == (emulator.endpoint, "demo", "testid")
    assert given_.access_key_secret is not None
    assert given_.access_key_secret.get_secret_value() == "testsecret"
