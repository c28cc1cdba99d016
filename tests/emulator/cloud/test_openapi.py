"""Signatures of OpenAPI requests are recognised by the published rules, and old keys are forgotten."""

import pytest

from ots_config.emulator.cloud.access_keys import AccessKeys
from ots_config.emulator.cloud.openapi import read_call
from ots_config.emulator.messages import EmulatorRequest

V1 = (
    "/?AccessKeyId=testid&Action=AssumeRole&Format=JSON&RoleArn=acs%3Aram%3A%3A1234567890123%3Arole%2Ffirstrole"
    "&RoleSessionName=client&SignatureMethod=HMAC-SHA1&SignatureNonce=571f8fb8-506e-11e5-8e12-b8e8563dc8d2"
    "&SignatureVersion=1.0&Timestamp=2015-09-01T05%3A57%3A34Z&Version=2015-04-01"
    "&Signature=gNI7b0AyKZHxDgjBGPDgJ1Ce3L4%3D"
)


def test_the_older_signature_follows_the_published_vector() -> None:
    """A request signed by HMAC-SHA1, as the service's documentation prints it, is recognised."""
    read = read_call(EmulatorRequest("GET", V1, {}))
    assert (read.action, read.access_key_id) == ("AssumeRole", "testid")
    assert read.verify("testsecret")
    assert not read.verify("another")
    assert not read_call(EmulatorRequest("POST", V1, {})).verify("testsecret")
    assert not read_call(EmulatorRequest("GET", V1.replace("client", "server"), {})).verify("testsecret")


def test_the_newer_signature_follows_the_published_vector() -> None:
    """A request signed by ACS3-HMAC-SHA256, as the service's documentation prints it, is recognised."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
        "authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
        "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    }
    target = "/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"
    read = read_call(EmulatorRequest("POST", target, headers))
    assert (read.action, read.access_key_id) == ("RunInstances", "YourAccessKeyId")
    assert read.verify("YourAccessKeySecret")
    assert not read.verify("another")
    changed = EmulatorRequest("POST", target, headers)
    changed.body = b"changed"
    assert not read_call(changed).verify("YourAccessKeySecret")


def test_ended_keys_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest temporary keys are forgotten in a run of many refreshes, the newest are not."""
    monkeypatch.setattr("ots_config.emulator.cloud.access_keys._MAX_TEMPORARY", 10)
    keys = AccessKeys()
    issued = [keys.issue(0, 60, role="r", session="s").id for _ in range(25)]
    assert keys.find(issued[0]) is None
    assert keys.find(issued[-1]) is not None
