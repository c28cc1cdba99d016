"""The service without sockets, driven by the official client: it writes the requests and reads the answers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from ots_config.emulator.tablestore.errors import WORDINGS
from ots_config.emulator.tablestore.model import Instance
from ots_config.emulator.tablestore.service import execute
from ots_config.sdk import tablestore
from ots_config.testing.clock import ManualClock


class DirectClient(tablestore.OTSClient):
    """The official client, with the network taken out between its encoder and its decoder."""

    def __init__(self, *, messages: str = "docs", **options: Any) -> None:
        super().__init__("http://127.0.0.1:1", "id", "secret", "demo")
        self.clock = ManualClock(1_790_000_000.0)
        self.instance = Instance(clock=self.clock.wall, wording=WORDINGS[messages], **options)
        self.row_fault: Callable[[], tuple[str, str] | None] | None = None
        self.suffix = b""  # put behind each request: protobuf fields that the official encoder lacks

    def _request_helper(self, api_name: str, *args: Any, **kwargs: Any) -> Any:
        message = self.protocol.encoder.encode_request(api_name, *args, **kwargs)
        body = self.send(api_name, message.SerializeToString() + self.suffix)
        return self.protocol.decoder.decode_response(api_name, body, "request")[0]

    def encoded(self, api_name: str, *args: Any) -> Any:
        """Return a request as a protobuf message, to be changed and sent; the native encoder makes only bytes."""
        body = self.protocol.encoder.encode_request(api_name, *args).SerializeToString()
        return getattr(tablestore.protobuf.table_store_pb2, f"{api_name}Request").FromString(body)

    def send(self, api_name: str, body: bytes) -> bytes:
        """Hand bytes to the service and return its bytes, or raise its error as the official client does."""
        result = execute(self.instance, api_name, body, row_fault=self.row_fault)
        if result.status != 200:
            error = tablestore.protobuf.table_store_pb2.Error.FromString(result.body)
            assert not result.applied
            raise tablestore.OTSServiceError(result.status, error.code, error.message, "request")
        assert result.applied
        return result.body

    def make_table(
        self,
        name: str,
        *key: tuple[str, ...],
        defined: Any = (),
        options: Any = None,
        indexes: Any = (),
    ) -> None:
        """Create a table that reserves nothing."""
        self.create_table(
            tablestore.TableMeta(name, list(key), list(defined)),
            options or tablestore.TableOptions(),
            tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
            list(indexes),
        )

    def put(self, table: str, key: Any, columns: Any = (), **arguments: Any) -> Any:
        """Put a row whatever is there."""
        return self.put_row(table, tablestore.Row(list(key), list(columns)), **arguments)

    def columns(self, table: str, key: Any, **arguments: Any) -> dict[str, Any] | None:
        """Return the attributes of a row by name, None if it is not there."""
        row = self.get_row(table, list(key), **arguments)[1]
        return None if row is None else {name: value for name, value, _ in row.attribute_columns}

    def keys(self, table: str, start: Any, stop: Any, direction: str = "FORWARD", **arguments: Any) -> list[Any]:
        """Return the keys of a range, without the names of their columns."""
        rows = self.get_range(table, direction, list(start), list(stop), **arguments)[2]
        return [tuple(value for _, value in row.primary_key) for row in rows]


@contextmanager
def _refused(code: str, message: str | None = None, status: int = 400) -> Any:
    with pytest.raises(tablestore.OTSServiceError) as caught:
        yield
    error = caught.value
    assert (error.get_http_status(), error.get_error_code()) == (status, code), error.get_error_message()
    if message is not None:
        assert error.get_error_message() == message


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Return what expects an error of the service, by its code, words and status."""
    return _refused


@pytest.fixture(scope="session")
def make_client() -> Callable[..., DirectClient]:
    """Return what makes a client with a service of its own."""
    return DirectClient


@pytest.fixture
def client() -> DirectClient:
    """Return a client of an empty service."""
    return DirectClient()


@pytest.fixture
def table(client: DirectClient) -> str:
    """Return the name of a table with the key (a INTEGER, b STRING)."""
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    return "t"
