"""Faults of the STS, the metadata service and the credentials URI."""

import http.client
import json
from collections.abc import Iterator

import pytest

from ots_config.emulator import Emulator
from ots_config.emulator.faults import KINDS


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Run an emulator for this file's tests."""
    with Emulator() as running:
        yield running


_WITH = {
    "error": {"code": 'a"b', "message": "why"},
    "status": {"status": 502},
    "delay": {"seconds": 0},
    "skew": {"seconds": 60},
}
_CALLS = {
    "metadata": "/latest/meta-data/region-id",
    "uri": "/credentials",
    "sts": "/?Action=AssumeRoleWithOIDC&Version=2015-04-01&RoleArn=acs:ram::1:role/x&RoleSessionName=me"
    "&OIDCProviderArn=acs:ram::1:oidc-provider/x&OIDCToken=token",
}


@pytest.mark.parametrize("service", _CALLS)
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"corrupt_md5", "corrupt_signature", "rows"}))
def test_every_kind_is_done_to_the_other_services(emulator: Emulator, service: str, kind: str) -> None:
    """They fail in each way that makes sense for them, once, and are well again."""
    emulator.fault(operation=service, kind=kind, count=1, **_WITH.get(kind, {}))

    def fetch() -> tuple[int, bytes] | None:
        connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
        try:
            connection.request("GET", _CALLS[service])
            response = connection.getresponse()
            return response.status, response.read()
        except (ConnectionError, http.client.IncompleteRead):
            return None
        finally:
            connection.close()

    answer = fetch()
    entry = emulator.log()[-1]
    logged = (entry["operation"], entry["status"], entry["code"], entry["applied"])
    if kind == "error":
        assert answer is not None
        assert json.loads(answer[1])["Code"] == 'a"b'
        assert json.loads(answer[1])["Message"] == "why"
        assert logged == (service, answer[0], 'a"b', False)
    else:
        expected = {
            "status": (502, False),
            "reset_before": (None, False),
            "reset_after": (None, True),
        }.get(kind, (200, True))
        assert logged == (service, expected[0], None, expected[1])
        whole = kind in {"status", "delay", "skew"}
        assert (None if answer is None else answer[0]) == (expected[0] if whole else None)
    again = fetch()
    assert again is not None
    assert again[0] == 200
