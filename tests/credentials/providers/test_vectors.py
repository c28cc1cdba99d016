"""The known answers of the RPC signature, published by Alibaba Cloud's documentation and libraries."""

from __future__ import annotations

import base64
import hmac

import pytest

from ots_config.credentials.rpc_signature import percent_encode, sign_rpc, string_to_sign
from ots_config.emulator.cloud.openapi import read_call, sign_acs3
from ots_config.emulator.messages import EmulatorRequest

V1 = {
    "AccessKeyId": "testid",
    "Action": "AssumeRole",
    "Format": "JSON",
    "RoleArn": "acs:ram::1234567890123:role/firstrole",
    "RoleSessionName": "client",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "571f8fb8-506e-11e5-8e12-b8e8563dc8d2",
    "SignatureVersion": "1.0",
    "Timestamp": "2015-09-01T05:57:34Z",
    "Version": "2015-04-01",
}
V2 = {
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "Format": "XML",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "SignatureVersion": "1.0",
    "Timestamp": "2016-02-23T12:46:24Z",
    "Version": "2014-05-26",
}
V3 = {
    "AccessKeyId": "testId",
    "Action": "SendSms",
    "Format": "XML",
    "OutId": "123",
    "PhoneNumbers": "15300000001",
    "RegionId": "cn-hangzhou",
    "SignName": "阿里云短信测试专用",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "45e25e9b-0a6f-4070-8c85-2956eda1b466",
    "SignatureVersion": "1.0",
    "TemplateCode": "SMS_71390007",
    "TemplateParam": '{"customer":"test"}',
    "Timestamp": "2017-07-12T02:42:19Z",
    "Version": "2017-05-25",
}
V6 = {
    **V1,
    "DurationSeconds": "3600",
    "SecurityToken": "CAIS+a/b=~",
    "Policy": '{"Version": "1", "Statement": [{"Action": ["ots:*"], "Effect": "Allow", "Resource": ["*"]}]}',
}


def test_string_to_sign_of_the_sts_documentation() -> None:
    """The text that is signed is the one in the documentation of AssumeRole, character by character."""
    assert string_to_sign("GET", V1) == (
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DAssumeRole%26Format%3DJSON%26RoleArn%3Dacs%253Aram%253A%253A"
        "1234567890123%253Arole%252Ffirstrole%26RoleSessionName%3Dclient%26SignatureMethod%3DHMAC-SHA1%26"
        "SignatureNonce%3D571f8fb8-506e-11e5-8e12-b8e8563dc8d2%26SignatureVersion%3D1.0%26Timestamp%3D"
        "2015-09-01T05%253A57%253A34Z%26Version%3D2015-04-01"
    )


@pytest.mark.parametrize(
    ("secret", "method", "parameters", "signature"),
    [
        pytest.param("testsecret", "GET", V1, "gNI7b0AyKZHxDgjBGPDgJ1Ce3L4=", id="V1-sts"),
        pytest.param("testsecret", "GET", V2, "OLeaidS1JvxuMvnyHOwuJ+uX5qY=", id="V2-ecs"),
        pytest.param("testSecret", "GET", V3, "zJDF+Lrzhj/ThnlvIToysFRq6t4=", id="V3-sms-utf8"),
        pytest.param("secret", "GET", {"query": "test", "body": "test"}, "XlUyV4sXjOuX5FnjUz9IF9tm5rU=", id="V4"),
        pytest.param("testsecret", "GET", V6, "fw+9mOOGHB71vw70CnjeC7q+mPE=", id="V6-policy-with-spaces-get"),
        pytest.param("testsecret", "POST", V6, "5ff6QE2E2hxdA4XkaijI90WirZg=", id="V6-policy-with-spaces-post"),
    ],
)
def test_signature(secret: str, method: str, parameters: dict[str, str], signature: str) -> None:
    """Each published request has its published signature, whatever Signature it already carries."""
    assert sign_rpc(secret, method, parameters) == signature
    assert sign_rpc(secret, method, {**parameters, "Signature": "another"}) == signature


def test_encoding() -> None:
    """A space, a tilde, a slash, an asterisk, a minus and a plus are encoded as RFC 3986 says."""
    assert percent_encode(" ~/*-+") == "%20~%2F%2A-%2B"


@pytest.mark.parametrize(
    ("key", "text", "digest"),
    [
        ("secret", "source", "Jv4yi8SobFhg5t1C7nWLbhBSFZQ="),
        ("secret", "中文", "CqCYIa39h9SSWuXnTz8F5hh9UPA="),
        ("secret", "123", "sU6S6xf2t47FogXuDhqyIPt/htc="),
    ],
)
def test_primitive(key: str, text: str, digest: str) -> None:
    """V5: the HMAC that everything rests on gives the other libraries' answers."""
    assert base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode() == digest


def test_the_peers_mistake_is_not_ours() -> None:
    """A policy with spaces is not signed as alibabacloud-credentials 1.0.12 signs it, which STS refuses."""
    assert sign_rpc("testsecret", "GET", V6) != "2NLCSUbSPUFy/dv1iXIBvlIopaM="


A1 = {
    "x-acs-date": "2023-10-26T10:22:32Z",
    "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}


@pytest.mark.parametrize(
    ("target", "headers", "signature"),
    [
        pytest.param(
            "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
            {"host": "ecs.cn-shanghai.aliyuncs.com", "x-acs-action": "RunInstances", "x-acs-version": "2014-05-26"},
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
            id="A1-ecs",
        ),
        pytest.param(
            "/",
            {
                "host": "sts.aliyuncs.com",
                "x-acs-action": "GetCallerIdentity",
                "x-acs-version": "2015-04-01",
                "x-acs-security-token": "CAIS+a/b=~",
            },
            "7cdd8c63c3113eab33f8567fb45c242ca09bbfe2cc25f51787b66d19a64a0c09",
            id="A3-sts-with-a-token",
        ),
    ],
)
def test_the_newer_signature(target: str, headers: dict[str, str], signature: str) -> None:
    """The emulator's STS also takes the newer signature, by the published rule and by no other secret."""
    sent = {**A1, **headers}
    names = ";".join(sorted(sent))
    sent["authorization"] = f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={signature}"
    call = read_call(EmulatorRequest("POST", target, sent))
    assert call.verify("YourAccessKeySecret")
    assert not call.verify("AnotherAccessKeySecret")


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "d16b30a7699ae9e43875b13195b2f81bcc3ed10c14a9b5eb780e51619aa50be1"),
        ("", "4ab59fffe3c5738ff8a2729f90cc04fe18b02a4b15b2102cbaf92f9ff3df2ea3"),
    ],
)
def test_the_newer_signature_of_a_payload(method: str, signature: str) -> None:
    """A2: the hash of a payload, an empty parameter and a merged header are signed as darabonba-openapi signs them."""
    payload = "55e12e91650d2fec56ec74e1d3e4ddbfce2ef3a65890c2a19ecf88a307e76a23"
    query, headers = {"test": "ok", "empty": ""}, {"x-acs-test": "http,https"}
    assert sign_acs3("secret", method, "/", query, headers, payload) == signature
