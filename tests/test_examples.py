"""Every example runs as a user would run it, offline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EXPECTED = {
    "quickstart": ["endpoint ", "['OTSServerBusy', 'OTSServerBusy', 200]", "Scan: 3 rows", "Deleted: notes"],
    "env_files": ["https://orders.cn-hangzhou.ots.aliyuncs.com", "argument"],
    "explicit_keys": ["<OTSClient demo at http://127.0.0.1:"],
    "sts_token": ["tables: ()"],
    "assume_role": [
        "AssumedRoleUser acs:ram::1234567890123456:assumed-role/reader/nightly-report",
        "from assume_role/assume_role",
    ],
    "bulk_load": ["1999 written", "row 1234 failed: OTSParameterInvalid", "all: 1999 rows"],
    "cli_profile": ["from profile"],
    "cloud_library": ["tables: ()", "alibabacloud_credentials.client.Client"],
    "ecs_role": ["from ecs", "from uri"],
    "external_process": ["tables: () from process", "until: "],
    "faults": ["[502, None, 200]", "stored once: ('count', 1)"],
    "long_running_job": ["rotated: ", "the old one revoked", " 0 requests refused"],
    "ots_profiles": ["from profile [profiles.default] in", "from assume_role/profile [profiles.ops] in"],
    "sdk_profile": ["tables: () from ini reports/assume_role/ini"],
    "oidc_role": ["provider: oidc"],
    "official_sdk": ["tables: ()"],
    "own_provider": ["source='our vault'"],
    "own_retry_policy": ["PatientWithThrottles listed", "RetryPolicy listed"],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    """The example ends well, prints what it promises, no warning, and no secret of the emulator's."""
    environment = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for text in EXPECTED.get(path.stem, []):
        assert text in done.stdout
    assert "testsecret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_quickstart_leaves_nothing_behind_on_an_instance(tmp_path: Path) -> None:
    """With an env file it uses a table of its own, asks nobody who is not there, and deletes the table."""
    from ots_config import Emulator, create_client

    with Emulator() as emulator:
        env_file = tmp_path / "prod.env"
        env_file.touch(mode=0o600)
        env_file.write_text(
            f"OTS_ENDPOINT={emulator.endpoint}\nOTS_INSTANCE_NAME=demo\n"
            f"OTS_ACCESS_KEY_ID={emulator.access_key_id}\nOTS_ACCESS_KEY_SECRET={emulator.access_key_secret}\n"
        )
        command = [sys.executable, str(ROOT / "examples/quickstart.py"), "--env-file", str(env_file)]
        for fails in (False, True):
            if fails:
                emulator.fault(operation="UpdateRow", kind="error", code="OTSParameterInvalid", status=400)
            emulator.clear_log()
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            assert (done.returncode != 0) is fails, done.stderr
            operations = [entry["operation"] for entry in emulator.log()]
            assert (operations[0], operations[-1]) == ("CreateTable", "DeleteTable")
        with create_client(settings=emulator.settings) as client:
            assert client.list_table() == ()


def test_the_sample_of_an_env_file_can_be_filled_in(tmp_path: Path) -> None:
    """Every line of ``.env.example`` is a setting, also those that are commented out."""
    from ots_config import OTSSettings

    text = (ROOT / ".env.example").read_text().replace("# OTS_", "OTS_").replace("OTS_STS_TOKEN=", "# ")
    path = tmp_path / "sample.env"
    path.touch(mode=0o600)
    path.write_text(text)
    settings = OTSSettings(env_file=path)
    assert settings.instance_name == "myinstance"
    assert settings.retry.policy == "default"


def test_each_example_says_what_one_learns() -> None:
    """The first line of each example is a sentence about it, and none is long."""
    for path in EXAMPLES:
        lines = path.read_text().splitlines()
        assert lines[0].startswith('"""')
        assert len(lines) < 80
