"""The commands against the emulator: what they print for people and for programs, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ots_config import Emulator
from ots_config.cli import command_line
from tests.cli.conftest import Command

COMMANDS = (
    *("settings", "check", "init", "login", "logout", "logins", "credentials", "whoami", "export"),
    *("doctor", "ping", "tables", "emulator", "completion"),
)


def test_every_command_has_help_with_two_examples(command: Command) -> None:
    """``--help`` of each command ends with 0 and shows two examples of it."""
    for name in COMMANDS:
        done = command(name, "--help")
        assert done.code == 0
        assert done.out.count(f"ots-config {name}") >= 3, done.out  # the usage and both examples
        assert max(map(len, done.out.splitlines())) <= 100


def test_the_version_is_printed(command: Command) -> None:
    """``--version`` prints name and version."""
    from ots_config import __version__

    assert command("--version")[:2] == (0, f"ots-config {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["settings", "--nothing"],
        ["tables"],
        ["tables", "rows", "t", "--limit", "0"],
        ["tables", "create", "t", "a"],
        ["tables", "create", "t", "a:TEXT"],
        ["tables", "create", "t", "a:AUTO"],
        ["tables", "create", "t", "a:STRING,b:STRING,c:STRING,d:STRING,e:STRING"],
        ["ping", "--count", "x"],
        ["ping", "--interval", "-1"],
        ["export", "--format", "yaml"],
        ["login", "--secret", "never-an-argument"],
    ],
)
def test_wrong_arguments_end_with_2(command: Command, arguments: list[str]) -> None:
    """What the command line does not know is explained on standard error, with the exit code 2."""
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "error:" in done.err


def test_only_settings_that_are_set_are_shown(command: Command, reach: Emulator) -> None:
    """``settings`` leaves defaults out; ``--all`` shows them in groups; both mask the secret."""
    few, everything = command("settings"), command("settings", "--all")
    assert "socket_timeout" not in few.out
    assert "socket_timeout" in everything.out
    assert [line for line in everything.out.splitlines() if line in ("client", "credentials", "retry", "tls")]
    assert reach.access_key_secret not in few.out + everything.out
    document = command("settings", "--json").document
    assert document[0] == {
        "setting": "endpoint",
        "value": reach.endpoint,
        "from": "environment variable OTS_ENDPOINT",
        "overrides": {},
    }


def test_check_lists_every_problem(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` ends with 1 and names each wrong setting, its origin and how to fix it."""
    monkeypatch.setenv("OTS_ENDPOINT", "ftp://x")
    monkeypatch.setenv("OTS_MAX_CONNECTION", "many")
    done = command("check")
    assert done.code == 1
    assert "OTS_ENDPOINT" in done.out
    assert "OTS_MAX_CONNECTION" in done.out
    document = command("check", "--json").document
    assert document["ok"] is False
    assert {problem["field"] for problem in document["problems"]} >= {"endpoint", "max_connection"}
    assert all(problem["hint"] and problem["origin"] for problem in document["problems"])


def test_check_strict_fails_on_a_warning(command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is a warning; with ``--strict`` it is a failure."""
    monkeypatch.setenv("OTS_SOKET_TIMEOUT", "5")
    assert command("check").code == 0
    done = command("check", "--strict")
    assert done.code == 1
    assert "OTS_SOKET_TIMEOUT" in done.out


def test_the_chain_shows_why_each_source_has_no_keys(
    command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``credentials`` lists every source with its result, and ends with 1 if none has keys."""
    found = command("credentials", "--json").document
    assert found["sources"][0]["result"] == "used"
    assert found["used"]["source"] == "environment OTS_ACCESS_KEY_ID"
    monkeypatch.delenv("OTS_ACCESS_KEY_ID")
    monkeypatch.delenv("OTS_ACCESS_KEY_SECRET")
    monkeypatch.setenv("OTS_ECS_DISABLED", "true")
    done = command("credentials")
    assert done.code == 1
    assert "not configured" in done.out
    assert done.out.count("not asked") == 0
    assert command("credentials", "--json").document["used"] is None


def test_a_role_is_shown_after_the_chain(command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that is assumed with the keys is named, and the keys in use are the role's."""
    monkeypatch.setenv("OTS_ROLE_ARN", "acs:ram::1234567890123456:role/reader")
    document = command("credentials", "--json").document
    assert document["roles"] == ["acs:ram::1234567890123456:role/reader"]
    assert document["used"]["source"].startswith("assume_role/")
    assert document["expires_at"]


def test_whoami_names_the_identity(command: Command, reach: Emulator) -> None:
    """``whoami`` shows what STS says of the keys."""
    assert command("whoami", "--json").document["arn"].startswith("acs:ram::")
    assert "acs:ram::" in command("whoami").out


def test_a_refusal_names_hint_and_code(command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing command prints one error on standard error; with ``--json`` it is an object with code and hint."""
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "wrong")
    done = command("tables", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    error = json.loads(command("tables", "list", "--json").err)["error"]
    assert error["code"] == "OTSAuthFailed"
    assert error["hint"]
    assert error["request_id"]


def test_export_is_for_other_tools(command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three formats hold the keys; the environment format works in a shell whatever the secret holds."""
    secret = 'it\'s $HOME `x` \\ "q"'
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", secret)
    monkeypatch.setenv("OTS_STS_TOKEN", "token+/=")
    text = command("export").out
    script = f'{text}\nprintf %s "$OTS_ACCESS_KEY_SECRET"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={"HOME": "/"})
    assert done.stdout == secret
    assert command("export", "--format", "process").document == {
        "mode": "StsToken",
        "access_key_id": reach.access_key_id,
        "access_key_secret": secret,
        "sts_token": "token+/=",
    }
    assert command("export", "--format", "json").document["source"] == "environment OTS_ACCESS_KEY_ID"


def test_what_export_prints_is_what_the_process_source_reads(
    command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``export --format process`` is a program for ``credentials_process`` of another client."""
    monkeypatch.setenv("OTS_CREDENTIALS_PROCESS", f"{sys.executable} -m ots_config export --format process")
    monkeypatch.setenv("OTS_CREDENTIALS", "process")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    # The program would find the same settings and run itself, over and over: it gets keys of its own.
    monkeypatch.setenv(
        "OTS_CREDENTIALS_PROCESS",
        f"env OTS_CREDENTIALS=env {sys.executable} -m ots_config export --format process",
    )
    assert command("credentials", "--json").document["used"]["source"].startswith("process")


def test_tables_are_created_described_listed_and_read(command: Command, reach: Emulator) -> None:
    """A table made by the command line is seen by all the others; binary cells are shown as digits."""
    from ots_config import create_client
    from ots_config.sdk import tablestore

    assert "no table" in command("tables", "list").out
    assert command("tables", "create", "orders", "user:STRING,n:AUTO", "--max-versions", "2").code == 0
    assert command("tables", "list").out == "orders\n"
    described = command("tables", "describe", "orders", "--json").document
    assert described["key"] == ["user:STRING", "n:AUTO"]
    assert described["max_version"] == 2
    assert "no row" in command("tables", "rows", "orders").out
    with create_client() as client:
        for number in range(3):
            key = [("user", "u"), ("n", tablestore.PK_AUTO_INCR)]
            client.put_row("orders", tablestore.Row(key, [("名", f"\x1b[31m{number}"), ("b", bytearray(b"\xff"))]))
    rows = command("tables", "rows", "orders", "--limit", "2", "--json").document
    assert [row["名"] for row in rows] == ["\x1b[31m0", "\x1b[31m1"]
    assert rows[0]["b"] == "0xff"
    shown = command("tables", "rows", "orders", "--limit", "2").out
    assert "\x1b" not in shown
    assert "the first 2 rows" in shown
    assert command("tables", "describe", "nothing").code == 1


def test_ping_measures_and_counts_failures(command: Command, reach: Emulator) -> None:
    """``ping`` shows a line per request and a histogram; failed requests are counted by code and end with 1."""
    done = command("ping", "--count", "4", "--interval", "0")
    assert done.code == 0
    assert "median" in done.out
    document = command("ping", "--count", "4", "--interval", "0", "--json").document
    assert document["requests"] == 4
    assert sum(each["count"] for each in document["histogram"]) == 4
    reach.fault(operation="ListTable", kind="error", code="OTSServerBusy", status=503, count=2)
    failed = command("ping", "--count", "4", "--interval", "0", "--json")
    assert failed.code == 1
    assert failed.document["errors"] == {"OTSServerBusy": 2}


def test_completion_knows_every_command(command: Command) -> None:
    """The script for a shell names the commands, and a shell can read it."""
    pytest.importorskip("shtab")
    done = command("completion", "bash")
    assert all(name in done.out for name in COMMANDS)
    subprocess.run(["bash", "-n"], input=done.out, text=True, check=True)  # noqa: S607 - the user's shell
    assert command_line().prog in done.out


def test_an_unexpected_failure_is_a_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours prints its type and place, never a traceback, and ends with 1."""
    monkeypatch.setattr("ots_config.cli.settings.read_settings", lambda *_: 1 / 0)
    done = command("settings")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
