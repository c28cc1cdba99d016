"""The STS issues keys for requests signed by the published rule, and refuses with the service's errors."""

import base64
import http.client
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any
from urllib.parse import urlencode

import pytest

from ots_config.credentials.rpc_signature import sign_rpc
from ots_config.emulator import Emulator
from ots_config.sdk import tablestore

ROLE = "acs:ram::1234567890123456:role/Worker"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
USER = ("testid", "testsecret", "")


def timestamp(offset: float = 0) -> str:
    """Return a time as requests carry it."""
    return (datetime.now(UTC) + timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fetch(
    emulator: Emulator, method: str, target: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, JSON and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    try:
        connection.request(method, target, body, {"Host": "http://sts.aliyuncs.com", **headers})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), dict(response.headers)
    finally:
        connection.close()


def parameters(action: str, key: tuple[str, str, str] = USER, **changes: str | None) -> dict[str, str]:
    """Return the parameters of a request but its signature; None leaves one out."""
    given: dict[str, str | None] = {
        "Action": action,
        "Version": "2015-04-01",
        "Format": "JSON",
        "AccessKeyId": key[0],
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": timestamp(),
        "SecurityToken": key[2] or None,
    }
    if action == "AssumeRole":
        given |= {"RoleArn": ROLE, "RoleSessionName": "session-1"}
    return {name: value for name, value in (given | changes).items() if value is not None}


def call(
    emulator: Emulator, action: str, key: tuple[str, str, str] = USER, *, form: bool = False, **changes: str | None
) -> tuple[int, dict[str, Any]]:
    """Send a signed request; return status and JSON."""
    given = parameters(action, key, **changes)
    if "Signature" not in changes:
        given["Signature"] = sign_rpc(key[1], "POST" if form else "GET", given)
    if not form:
        return fetch(emulator, "GET", "/?" + urlencode(given))[:2]
    # As some SDKs do: what belongs to the protocol in the query, what belongs to the action in the form.
    query = {name: given.pop(name) for name in ("Action", "Version", "Signature", "Timestamp") if name in given}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return fetch(emulator, "POST", "/?" + urlencode(query), urlencode(given), **kind)[:2]


def keys_of(answer: dict[str, Any]) -> tuple[str, str, str]:
    """Return the key of an answer."""
    issued = answer["Credentials"]
    return issued["AccessKeyId"], issued["AccessKeySecret"], issued["SecurityToken"]


def list_tables(emulator: Emulator, key: tuple[str, str, str]) -> Any:
    """List tables with a key."""
    client = tablestore.OTSClient(emulator.endpoint, key[0], key[1], "demo", sts_token=key[2] or None)
    return client.list_table()


@pytest.mark.parametrize("form", [False, True])
def test_assume_role_issues_a_key_that_works(emulator: Emulator, form: bool) -> None:
    """The answer has the documented fields, and Tablestore accepts the key with its token, and only with it."""
    policy = '{"Version": "1", "Statement": [{"Action": ["ots:*"], "Effect": "Allow", "Resource": ["*"]}]}'
    status, answer = call(emulator, "AssumeRole", form=form, Policy=policy, DurationSeconds="900", ExternalId="abc:1")
    assert status == 200
    assert set(answer) == {"RequestId", "AssumedRoleUser", "Credentials"}
    user = answer["AssumedRoleUser"]
    assert user["Arn"] == "acs:ram::1234567890123456:role/worker/session-1"
    assert user["AssumedRoleId"].endswith(":session-1")
    assert answer["Credentials"]["AccessKeyId"].startswith("STS.")
    left = datetime.fromisoformat(answer["Credentials"]["Expiration"]).timestamp() - time.time()
    assert 895 < left <= 901
    assert list_tables(emulator, keys_of(answer)) == ()
    with pytest.raises(tablestore.OTSServiceError, match="The AccessKeyID does not exist"):
        list_tables(emulator, (*keys_of(answer)[:2], ""))


def test_a_key_ends(emulator: Emulator) -> None:
    """A lifetime that was ordered holds whatever was asked for, and after it the key is refused everywhere."""
    emulator.sts(lifetime=0.5)
    key = keys_of(call(emulator, "AssumeRole", DurationSeconds="3600")[1])
    list_tables(emulator, key)
    with pytest.raises(tablestore.OTSServiceError, match="The AccessKeyID does not exist") as caught:
        any(list_tables(emulator, key) for _ in repeat(None))
    assert (caught.value.get_http_status(), caught.value.get_error_code()) == (403, "OTSAuthFailed")
    assert call(emulator, "GetCallerIdentity", key)[1]["Code"] == "InvalidSecurityToken.Expired"


def test_roles_chain(emulator: Emulator) -> None:
    """A temporary key assumes a role too, with its token, and has another identity then."""
    first = keys_of(call(emulator, "AssumeRole")[1])
    second = keys_of(call(emulator, "AssumeRole", first, RoleArn="acs:ram::9876543210987654:role/other")[1])
    list_tables(emulator, second)
    status, identity = call(emulator, "GetCallerIdentity", second)
    assert status == 200
    assert (identity["IdentityType"], identity["AccountId"]) == ("AssumedRoleUser", "9876543210987654")
    assert identity["Arn"] == "acs:ram::9876543210987654:assumed-role/other/session-1"
    assert identity["PrincipalId"] == identity["RoleId"] + ":session-1"
    assert call(emulator, "AssumeRole", (*first[:2], ""))[1]["Code"] == "MissingSecurityToken"
    wrong = call(emulator, "AssumeRole", (*first[:2], second[2]))[1]
    assert wrong["Code"] == "InvalidSecurityToken.MismatchWithAccessKey"


def test_get_caller_identity_knows_the_user(emulator: Emulator) -> None:
    """The permanent key is a RAM user's."""
    status, identity = call(emulator, "GetCallerIdentity")
    del identity["RequestId"]
    assert (status, identity) == (
        200,
        {
            "IdentityType": "RAMUser",
            "AccountId": "1234567890123456",
            "PrincipalId": "212345678901234567",
            "UserId": "212345678901234567",
            "Arn": "acs:ram::1234567890123456:user/emulator",
        },
    )


REFUSALS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no action": ({"Action": None}, 400, "MissingAction"),
    "unknown action": ({"Action": "AssumeRoles"}, 404, "InvalidAction.NotFound"),
    "no version": ({"Version": None}, 400, "MissingVersion"),
    "wrong version": ({"Version": "2014-05-26"}, 400, "InvalidVersion"),
    "XML": ({"Format": "XML"}, 400, "InvalidParameter.Format"),
    "no key": ({"AccessKeyId": None}, 400, "MissingAccessKeyId"),
    "unknown key": ({"AccessKeyId": "stranger"}, 404, "InvalidAccessKeyId.NotFound"),
    "no signature": ({"Signature": None}, 400, "MissingSignature"),
    "wrong signature": ({"Signature": "AAAA"}, 400, "SignatureDoesNotMatch"),
    "other signature": ({"SignatureMethod": "HMAC-MD5"}, 400, "InvalidParameter.SignatureMethod"),
    "other rule": ({"SignatureVersion": "2.0"}, 400, "InvalidParameter.SignatureVersion"),
    "no nonce": ({"SignatureNonce": None}, 400, "MissingSignatureNonce"),
    "no time": ({"Timestamp": None}, 400, "MissingTimestamp"),
    "no such time": ({"Timestamp": "2026-13-01T00:00:00Z"}, 400, "InvalidTimeStamp.Format"),
    "other time": ({"Timestamp": "now"}, 400, "InvalidTimeStamp.Format"),
    "old time": ({"Timestamp": timestamp(-1000)}, 400, "InvalidTimeStamp.Expired"),
    "token of none": ({"SecurityToken": "token"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"),
    "no role": ({"RoleArn": None}, 400, "MissingRoleArn"),
    "wrong role": ({"RoleArn": "acs:ram::1:user/x"}, 400, "InvalidParameter.RoleArn"),
    "no session": ({"RoleSessionName": ""}, 400, "MissingRoleSessionName"),
    "short session": ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName"),
    "wrong session": ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
    "short time": ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
    "long time": ({"DurationSeconds": "43201"}, 400, "InvalidParameter.DurationSeconds"),
    "odd time": ({"DurationSeconds": "1e3"}, 400, "InvalidParameter.DurationSeconds"),
    "no policy": ({"Policy": "allow"}, 400, "InvalidParameter.PolicyGrammar"),
    "empty policy": ({"Policy": "{}"}, 400, "InvalidParameter.PolicyGrammar"),
    "large policy": ({"Policy": "x" * 2049}, 400, "InvalidParameter.PolicySize"),
    "wrong id": ({"ExternalId": "a b"}, 400, "InvalidParameter.ExternalId"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_wrong_is_told_by_its_code(emulator: Emulator, case: str) -> None:
    """Each mistake has the documented code, as JSON, and nothing is issued."""
    changes, status, code = REFUSALS[case]
    answer = call(emulator, "AssumeRole", **changes)
    assert (answer[0], answer[1]["Code"]) == (status, code)
    assert set(answer[1]) == {"RequestId", "HostId", "Code", "Message"}
    entry = emulator.log()[-1]
    assert (entry["operation"], entry["code"], entry["applied"]) == ("sts", code, False)


def test_a_nonce_is_used_once(emulator: Emulator) -> None:
    """The same signed request is not taken twice."""
    assert call(emulator, "GetCallerIdentity", SignatureNonce="once")[0] == 200
    assert call(emulator, "GetCallerIdentity", SignatureNonce="once")[1]["Code"] == "SignatureNonceUsed"


def test_a_wrong_secret_is_told_from_a_wrong_key(emulator: Emulator) -> None:
    """A known key with another's signature does not match."""
    assert call(emulator, "GetCallerIdentity", ("testid", "other", ""))[1]["Code"] == "SignatureDoesNotMatch"


def test_a_signature_for_get_is_none_for_post(emulator: Emulator) -> None:
    """The method is signed."""
    given = parameters("GetCallerIdentity")
    given["Signature"] = sign_rpc("testsecret", "GET", given)
    assert fetch(emulator, "POST", "/?" + urlencode(given))[1]["Code"] == "SignatureDoesNotMatch"
    assert fetch(emulator, "DELETE", "/?" + urlencode(given))[:1] == (405,)


def test_a_revoked_key_assumes_nothing(emulator: Emulator) -> None:
    """A revoked key is inactive; temporary keys issued to it before still work."""
    emulator.add_key("leaving", "secret")
    key = ("leaving", "secret", "")
    issued = keys_of(call(emulator, "AssumeRole", key)[1])
    emulator.revoke("leaving")
    assert call(emulator, "AssumeRole", key)[1]["Code"] == "InvalidAccessKeyId.Inactive"
    list_tables(emulator, issued)
    emulator.revoke(issued[0])
    with pytest.raises(tablestore.OTSServiceError, match="is disabled"):
        list_tables(emulator, issued)


@pytest.mark.parametrize(
    ("code", "status"), [("Throttling.User", 400), ("InternalError", 500), ("NoPermission", 403), ("Odd.Code", 400)]
)
def test_rejections_are_ordered(emulator: Emulator, code: str, status: int) -> None:
    """While a rejection is ordered every request is answered with it."""
    emulator.sts(reject=code)
    for action in ("AssumeRole", "GetCallerIdentity"):
        answer = call(emulator, action)
        assert (answer[0], answer[1]["Code"]) == (status, code)
    emulator.sts()
    assert call(emulator, "AssumeRole")[0] == 200


# --- AssumeRoleWithOIDC -------------------------------------------------------------------------------------


def token(**claims: Any) -> str:
    """Return an unsigned JSON web token."""
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "c2ln"))


def oidc(emulator: Emulator, **changes: str) -> tuple[int, dict[str, Any]]:
    """Send an unsigned request, as this action is."""
    given = {"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON", "RoleArn": ROLE}
    given |= {"OIDCProviderArn": PROVIDER, "RoleSessionName": "pod", "OIDCToken": "a token\n", **changes}
    return fetch(emulator, "POST", "/?Timestamp=" + timestamp(), urlencode(given))[:2]


def test_a_token_of_a_provider_is_worth_a_key(emulator: Emulator) -> None:
    """The action needs no signature, and the response has the token's claims."""
    issued = token(sub="system:pod", iss="https://issuer", aud=["sts.aliyuncs.com"], exp=time.time() + 60)
    status, answer = oidc(emulator, OIDCToken=issued)
    assert status == 200
    assert answer["OIDCTokenInfo"] == {
        "Subject": "system:pod",
        "Issuer": "https://issuer",
        "ClientIds": "sts.aliyuncs.com",
    }
    list_tables(emulator, keys_of(answer))


def test_any_text_is_a_token(emulator: Emulator) -> None:
    """Tests need no issuer: a text that is no JSON web token is taken too, also with a line end."""
    assert [oidc(emulator, OIDCToken=text)[0] for text in ("plain\n", "a.b.c", "a.W10.c")] == [200, 200, 200]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"OIDCToken": ""}, "MissingOIDCToken"),
        ({"OIDCToken": "abc"}, "InvalidParameter.OIDCToken"),
        ({"OIDCToken": token(exp=1)}, "AuthenticationFail.OIDCToken.Expired"),
        ({"OIDCProviderArn": ""}, "MissingOIDCProviderArn"),
        ({"OIDCProviderArn": "ack"}, "AuthenticationFail.NoPermission"),
        ({"RoleArn": ""}, "MissingRoleArn"),
    ],
)
def test_what_is_wrong_with_a_token_is_told(emulator: Emulator, changes: dict[str, str], code: str) -> None:
    """Each mistake has the documented code."""
    status, answer = oidc(emulator, **changes)
    assert (status, answer["Code"]) == (400, code)


# --- faults and other clients -------------------------------------------------------------------------------


def test_faults_hit_the_sts(emulator: Emulator) -> None:
    """By the name of the service or of the action, in the service's own way of telling errors."""
    emulator.fault(operation="AssumeRole", kind="error", code="Throttling.User", count=1)
    assert call(emulator, "GetCallerIdentity")[0] == 200
    answer = call(emulator, "AssumeRole")
    assert (answer[0], answer[1]["Code"]) == (400, "Throttling.User")
    emulator.fault(operation="sts", kind="status", status=502, body="{}")
    assert call(emulator, "GetCallerIdentity") == (502, {})


def test_skew_moves_the_clock_of_the_sts(emulator: Emulator) -> None:
    """The header Date and the expiration are of the wrong clock, and the key still works until then."""
    emulator.fault(operation="sts", kind="skew", seconds=600)
    given = parameters("AssumeRole", DurationSeconds="900")
    given["Signature"] = sign_rpc("testsecret", "GET", given)
    _, answer, headers = fetch(emulator, "GET", "/?" + urlencode(given))
    date = datetime.strptime(headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert 590 < date.timestamp() - time.time() < 610
    assert 1490 < datetime.fromisoformat(answer["Credentials"]["Expiration"]).timestamp() - time.time() < 1510
    list_tables(emulator, keys_of(answer))
    emulator.clear_faults()
    emulator.fault(operation="sts", kind="skew", seconds=-1000)
    assert call(emulator, "AssumeRole")[1]["Code"] == "InvalidTimeStamp.Expired"


@pytest.fixture
def peer() -> Callable[..., Any]:
    """Return what makes a provider of the peer library."""
    pytest.importorskip("alibabacloud_credentials")
    from alibabacloud_credentials.provider import (
        OIDCRoleArnCredentialsProvider,
        RamRoleArnCredentialsProvider,
        StaticSTSCredentialsProvider,
    )

    kinds = (RamRoleArnCredentialsProvider, OIDCRoleArnCredentialsProvider, StaticSTSCredentialsProvider)
    return lambda kind, **arguments: kinds[kind](**arguments)


def test_a_peer_assumes_a_role(emulator: Emulator, peer: Callable[..., Any]) -> None:
    """The vendor's own library gets a key from its key, and another role's from that."""
    role = {"role_arn": ROLE, "role_session_name": "peer", "sts_endpoint": emulator.endpoint}
    first = peer(0, access_key_id="testid", access_key_secret="testsecret", **role).get_credentials()
    source = peer(
        2,
        access_key_id=first.get_access_key_id(),
        access_key_secret=first.get_access_key_secret(),
        security_token=first.get_security_token(),
    )
    second = peer(0, credentials_provider=source, **role).get_credentials()
    for key in (first, second):
        list_tables(emulator, (key.get_access_key_id(), key.get_access_key_secret(), key.get_security_token()))


def test_a_peer_assumes_a_role_with_a_token(emulator: Emulator, peer: Callable[..., Any], tmp_path: Any) -> None:
    """The vendor's own library gets a key for the token in a file."""
    file = tmp_path / "token"
    file.write_text("a token of a pod\n")
    key = peer(
        1,
        role_arn=ROLE,
        oidc_provider_arn=PROVIDER,
        oidc_token_file_path=str(file),
        role_session_name="peer",
        sts_endpoint=emulator.endpoint,
    ).get_credentials()
    list_tables(emulator, (key.get_access_key_id(), key.get_access_key_secret(), key.get_security_token()))
