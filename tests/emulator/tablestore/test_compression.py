"""Bodies that a client compressed are what they were before."""

import time
import zlib
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse
from ots_config.emulator.server import EmulatorServer
from ots_config.emulator.tablestore.compression import MAX_INFLATED, decompress
from ots_config.emulator.tablestore.errors import TablestoreError
from ots_config.request.signing import Signer
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
KIND, SIZE = "x-ots-request-compress-type", "x-ots-request-compress-size"


def test_a_compressed_request_is_carried_out() -> None:
    """The checksum and the signature are of the body as it was sent; the operation gets it as it was."""
    server = EmulatorServer()
    message = pb2.CreateTableRequest(
        table_meta=pb2.TableMeta(table_name="t", primary_key=[pb2.PrimaryKeySchema(name="a", type=pb2.INTEGER)]),
        reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=0, write=0)),
        table_options=pb2.TableOptions(time_to_live=-1),
    ).SerializeToString()
    body = zlib.compress(message)
    signer = Signer("demo", extra_headers={KIND: "deflate", SIZE: str(len(message))})
    headers = signer.sign("/CreateTable", body, Credentials("testid", "testsecret"), time.time())[0]
    assert headers[KIND] == "deflate"
    request = EmulatorRequest("POST", "/CreateTable", headers)
    request.body = body
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    assert answer.status == 200


@pytest.mark.parametrize("body", [b"", b"text", bytes(MAX_INFLATED)], ids=len)
def test_what_was_compressed_comes_back(body: bytes) -> None:
    """With and without its size, and untouched without the header."""
    assert decompress({KIND: "deflate"}, zlib.compress(body)) == body
    assert decompress({KIND: "deflate", SIZE: str(len(body))}, zlib.compress(body)) == body
    assert decompress({}, body) == body


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({KIND: "gzip"}, b"", "OTSParameterInvalid"),
        ({KIND: "deflate"}, b"", "OTSParameterInvalid"),
        ({KIND: "deflate"}, b"no zlib", "OTSParameterInvalid"),
        ({KIND: "deflate"}, zlib.compress(b"text")[:-1], "OTSParameterInvalid"),
        ({KIND: "deflate", SIZE: "5"}, zlib.compress(b"text"), "OTSParameterInvalid"),
        ({KIND: "deflate"}, zlib.compress(bytes(MAX_INFLATED + 1)), "OTSRequestBodyTooLarge"),
        ({KIND: "deflate"}, zlib.compress(bytes(100 * MAX_INFLATED), 9), "OTSRequestBodyTooLarge"),
    ],
)
def test_what_is_not_compressed_so_is_refused(headers: Any, body: bytes, code: str) -> None:
    """A body that is not what its headers say is the client's fault, and a small one cannot become a huge one."""
    with pytest.raises(TablestoreError) as caught:
        decompress(headers, body)
    assert caught.value.code == code
