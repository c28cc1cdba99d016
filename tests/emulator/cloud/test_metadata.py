"""The metadata service and the credentials URI answer as those of an instance and a container do."""

import http.client
import json
import time
from datetime import datetime
from typing import Any

import pytest

from ots_config.emulator import Emulator
from ots_config.emulator.cloud.access_keys import AccessKeys
from ots_config.emulator.cloud.metadata import MetadataService
from ots_config.emulator.messages import EmulatorRequest
from ots_config.sdk import tablestore

TOKEN = "/latest/api/token"
ROLES = "/latest/meta-data/ram/security-credentials/"
TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"


def fetch(emulator: Emulator, method: str, target: str, **headers: str) -> tuple[int, str]:
    """Return status and text of an answer; underscores in names of headers are dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    try:
        connection.request(method, target, None, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def token(emulator: Emulator, seconds: str = "21600") -> str:
    """Return a metadata token."""
    status, text = fetch(emulator, "PUT", TOKEN, X_aliyun_ecs_metadata_token_ttl_seconds=seconds)
    assert status == 200
    return text


def works(emulator: Emulator, text: str) -> dict[str, Any]:
    """Return the credentials in an answer, after using them."""
    given: dict[str, Any] = json.loads(text)
    assert given["Code"] == "Success"
    tablestore.OTSClient(
        emulator.endpoint,
        given["AccessKeyId"],
        given["AccessKeySecret"],
        "demo",
        sts_token=given["SecurityToken"],
    ).list_table()
    return given


@pytest.mark.parametrize("prefix", ["", "http://100.100.100.200"])
def test_version_2_hands_out_keys_for_a_token(emulator: Emulator, prefix: str) -> None:
    """A token, the role's name with it, the role's key with it; also in absolute form, as a proxy receives it."""
    status, mark = fetch(emulator, "PUT", prefix + TOKEN, X_aliyun_ecs_metadata_token_ttl_seconds="60")
    assert status == 200
    status, role = fetch(emulator, "GET", prefix + ROLES, X_aliyun_ecs_metadata_token=mark)
    assert (status, role) == (200, "emulator-role")
    status, text = fetch(emulator, "GET", prefix + ROLES + role, X_aliyun_ecs_metadata_token=mark)
    given = works(emulator, text)
    assert set(given) == {
        "Code",
        "AccessKeyId",
        "AccessKeySecret",
        "SecurityToken",
        "LastUpdated",
        "Expiration",
    }
    left = datetime.fromisoformat(given["Expiration"]).timestamp() - time.time()
    assert 21_500 < left <= 21_601


def test_version_1_needs_no_token(emulator: Emulator) -> None:
    """Instances that are not hardened answer without."""
    assert fetch(emulator, "GET", ROLES) == (200, "emulator-role")
    works(emulator, fetch(emulator, "GET", ROLES + "emulator-role")[1])


def test_version_1_can_be_refused() -> None:
    """A hardened instance answers only for a token."""
    metadata = MetadataService(AccessKeys(), v1=False)
    assert metadata.respond(EmulatorRequest("GET", ROLES, {}), 0).status == 403
    mark = metadata.respond(EmulatorRequest("PUT", TOKEN, {TTL.lower(): "10"}), 0).body.decode()
    request = EmulatorRequest("GET", ROLES, {"x-aliyun-ecs-metadata-token": mark})
    assert metadata.respond(request, 9).status == 200
    assert metadata.respond(request, 10).status == 401


@pytest.mark.parametrize("seconds", ["", "0", "21601", "-1", "1e3"])
def test_a_token_has_a_lifetime(emulator: Emulator, seconds: str) -> None:
    """It is asked for in a header, from one second to six hours."""
    assert fetch(emulator, "PUT", TOKEN, X_aliyun_ecs_metadata_token_ttl_seconds=seconds)[0] == 400


def test_what_is_not_there_is_told(emulator: Emulator) -> None:
    """Unknown paths, roles, tokens and methods have their own statuses."""
    assert fetch(emulator, "GET", "/latest/user-data")[0] == 404
    assert fetch(emulator, "GET", ROLES + "other")[0] == 404
    assert fetch(emulator, "GET", ROLES, X_aliyun_ecs_metadata_token="stranger")[0] == 401
    assert fetch(emulator, "GET", TOKEN)[0] == 405
    assert fetch(emulator, "POST", ROLES)[0] == 405
    assert fetch(emulator, "POST", "/credentials")[0] == 405
    assert fetch(emulator, "GET", "/latest/meta-data/region-id") == (200, "cn-hangzhou")
    assert [entry["operation"] for entry in emulator.log()] == ["metadata"] * 5 + ["uri", "metadata"]
    assert [entry["applied"] for entry in emulator.log()] == [False] * 6 + [True]


def test_the_key_is_replaced_before_it_ends() -> None:
    """It stays for the first half of its life, as on an instance, and is another one after that."""
    keys = AccessKeys()
    metadata = MetadataService(keys)

    def key(now: float) -> str:
        answer = metadata.respond(EmulatorRequest("GET", ROLES + "emulator-role", {}), now)
        return str(json.loads(answer.body)["AccessKeyId"])

    first = key(0)
    assert key(10_000) == first
    second = key(10_900)
    assert second != first
    keys.revoke(second)
    third = key(10_901)
    assert third not in {first, second}
    keys.lifetime = 2
    fourth = key(10_902)
    assert fourth != third
    assert key(10_902.5) == fourth != key(10_904)


def test_the_credentials_uri_hands_out_keys(emulator: Emulator) -> None:
    """One GET, no token."""
    works(emulator, fetch(emulator, "GET", "/credentials")[1])


def test_faults_hit_these_services(emulator: Emulator) -> None:
    """Each by its name."""
    emulator.fault(operation="metadata", kind="error", code="InternalError")
    emulator.fault(operation="uri", kind="status", status=502)
    status, text = fetch(emulator, "GET", ROLES)
    assert (status, json.loads(text)) == (500, {"Code": "InternalError", "Message": "InternalError"})
    status, text = fetch(emulator, "GET", "/credentials")
    assert status == 502
    assert text.startswith("<html>")


def test_tokens_are_not_kept_for_ever() -> None:
    """A client that asks for a token with each request does not fill the memory, nor lose the newest."""
    metadata = MetadataService(AccessKeys())
    for _ in range(10_000):
        mark = metadata.respond(EmulatorRequest("PUT", TOKEN, {TTL.lower(): "60"}), 0).body.decode()
    assert len(metadata._tokens) <= 4096
    assert metadata.respond(EmulatorRequest("GET", ROLES, {"x-aliyun-ecs-metadata-token": mark}), 1).status == 200


def test_a_body_that_is_too_large_is_refused(emulator: Emulator) -> None:
    """The metadata service takes no more than the others."""
    request = EmulatorRequest("PUT", TOKEN, {TTL.lower(): "60"})
    request.unread = 413
    answer = emulator.server(request)
    assert getattr(answer, "status", None) == 413


def test_peers_get_keys(emulator: Emulator) -> None:
    """The vendor's own library gets working keys from both services."""
    pytest.importorskip("alibabacloud_credentials")
    from alibabacloud_credentials.http import HttpOptions
    from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider, URLCredentialsProvider

    through_proxy = HttpOptions(proxy=emulator.endpoint)
    for provider in (
        EcsRamRoleCredentialsProvider(http_options=through_proxy, async_update_enabled=False),
        EcsRamRoleCredentialsProvider(
            role_name="emulator-role", disable_imds_v1=True, http_options=through_proxy, async_update_enabled=False
        ),
        URLCredentialsProvider(uri=emulator.endpoint + "/credentials"),
    ):
        key = provider.get_credentials()
        tablestore.OTSClient(
            emulator.endpoint,
            key.get_access_key_id(),
            key.get_access_key_secret(),
            "demo",
            sts_token=key.get_security_token(),
        ).list_table()
