"""The command line: what it prints, what it returns, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ots_config import OTSClient
from ots_config.cli import main
from ots_config.sdk import tablestore

COMMAND = [sys.executable, "-m", "ots_config"]


class Served:
    """An emulator in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "emulator", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.endpoint = self.first.removeprefix("listening on ").strip()

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; return exit code, and the rest of the output."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return code, self.process.stdout.read(), self.process.stderr.read()


@pytest.fixture
def serve() -> Iterator[type[Served]]:
    """Return what starts an emulator; those that still run at the end are killed."""
    started: list[Served] = []

    class Kept(Served):
        def __init__(self, *arguments: str) -> None:
            super().__init__(*arguments)
            started.append(self)

    yield Kept
    for served in started:
        served.process.kill()
        served.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(interruptible: None, serve: type[Served], number: int) -> None:
    """The first line has the endpoint, the official client works there, and a signal ends it with 0."""
    served = serve("--instance", "one", "--instance", "two", "--access-key-id", "id", "--access-key-secret", "secret")
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", served.first)
    for instance in ("one", "two"):
        client = tablestore.OTSClient(served.endpoint, "id", "secret", instance)
        assert client.list_table() == ()
    code, out, err = served.end(number)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:6] == [
        f"export OTS_ENDPOINT={served.endpoint}",
        "export OTS_INSTANCE_NAME=one",
        "export OTS_ACCESS_KEY_ID=id",
        "export OTS_ACCESS_KEY_SECRET=secret",
        f"export OTS_STS_ENDPOINT={served.endpoint}",
        f"export OTS_ECS_ENDPOINT={served.endpoint}",
    ]
    assert [line.split()[1:5] for line in lines[6:]] == [["ListTable", "-", "200", "-"]] * 2


def test_quiet_prints_no_requests(serve: type[Served]) -> None:
    """With --quiet only the start is printed."""
    served = serve("--quiet")
    assert tablestore.OTSClient(served.endpoint, "testid", "testsecret", "demo").list_table() == ()
    code, out, err = served.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    assert all(line.startswith("export OTS_") for line in out.splitlines())


def test_the_variables_are_written_to_a_file(serve: type[Served], tmp_path: Path) -> None:
    """A program that is given the file reaches the emulator; only its owner can read it, and nothing lies beside it."""
    from ots_config import create_client

    path = tmp_path / "emulator.env"
    path.write_text("OLD=1\n")
    path.chmod(0o644)
    served = serve("--write-env", str(path))
    assert served.process.stdout is not None
    served.process.stdout.readline()  # the file is complete when the variables are printed
    assert path.stat().st_mode & 0o777 == 0o600
    assert "OLD" not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
    with create_client(env_file=path) as client:
        assert client.list_table() == ()


def test_a_terminal_that_is_not_read_keeps_nothing_from_ending(serve: type[Served]) -> None:
    """A program whose output nobody reads serves on and ends at once."""
    served = serve()
    with OTSClient(served.endpoint, "testid", "testsecret", "demo") as client:
        for _ in range(1200):  # more lines than a pipe holds
            client.list_table()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0


def test_an_ignored_interrupt_stays_ignored(interruptible: None, serve: type[Served]) -> None:
    """Started with SIGINT ignored, as a job in the background, it serves on after one; SIGTERM still ends it with 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    served = serve()
    served.process.send_signal(signal.SIGINT)
    for _ in range(20):  # one answer may still come from a server that is stopping, new connections may not
        assert tablestore.OTSClient(served.endpoint, "testid", "testsecret", "demo").list_table() == ()
    code, _, err = served.end(signal.SIGTERM)
    assert (code, err) == (0, "")


def test_the_authority_is_told(serve: type[Served]) -> None:
    """With --tls the second line is the file to trust, which is gone afterwards."""
    pytest.importorskip("cryptography")
    served = serve("--tls")
    assert served.endpoint.startswith("https://127.0.0.1:")
    assert served.process.stdout is not None
    bundle = Path(served.process.stdout.readline().removeprefix("CA bundle: ").strip())
    assert bundle.read_text().startswith("-----BEGIN CERTIFICATE-----")
    code, out, err = served.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    assert f"export OTS_TLS__CA_BUNDLE={bundle}\n" in out
    assert not bundle.exists()


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command; return exit code and outputs."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_port_in_use_is_told_in_a_sentence() -> None:
    """Exit code 1, one line, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = run("emulator", "--port", str(port))
    assert (code, out) == (1, "")
    assert err == (
        f"ots-config emulator: 127.0.0.1:{port} is in use already; "
        "stop what listens there, or choose another --port (0 for any)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "no.such.host.invalid"], 1, "there is no host 'no.such.host.invalid' to listen on"),
        (["--certificate", "none.pem"], 1, "none.pem cannot be read: No such file or directory"),
        (["--certificate", "text.pem"], 1, "text.pem and its key cannot be used"),
        (["--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:0: "),
        (["--key", "key.pem"], 2, "--key goes with --certificate"),
        (["--instance", "de.mo"], 2, "an instance's name is letters, digits, - and _, not 'de.mo'"),
        (["--port", "70000"], 2, "a port is a whole number from 0 to 65535, not '70000'"),
        (["--idle-timeout", "never"], 2, "seconds are a number above 0, not 'never'"),
        (["--write-env", "none/emulator.env"], 1, "none/emulator.env cannot be written: No such file or directory"),
        (["--messages", "2027"], 2, "invalid choice: '2027'"),
    ],
)
def test_what_cannot_be_served_is_told(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each mistake ends in a sentence and its exit code."""
    monkeypatch.chdir(tmp_path)
    Path("text.pem").write_text("nothing")
    try:
        returned = main(["emulator", "--port", "0", *arguments])
    except SystemExit as error:
        returned = int(error.code or 0)
    shown = capsys.readouterr()
    assert returned == code
    assert words in shown.err
    assert "export" not in shown.out


def test_help_lists_the_operations(capsys: pytest.CaptureFixture[str]) -> None:
    """Every implemented operation is in the help."""
    from ots_config.emulator.tablestore.service import IMPLEMENTED

    assert main(["emulator", "--help"]) == 0
    shown = capsys.readouterr().out
    assert set(IMPLEMENTED) | {"AssumeRole", "AssumeRoleWithOIDC", "GetCallerIdentity"} <= set(
        re.findall(r"\w+", shown)
    )


def test_help_and_mistakes_load_nothing_heavy() -> None:
    """The command line answers at once where nothing needs the official SDK."""
    code = (
        "import sys\nfrom ots_config.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('tablestore', 'pydantic', 'requests', 'aiohttp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "emulator" in done.stdout


def test_settings_are_shown_with_their_origins(tmp_path: Path) -> None:
    """Each setting has its value and where it comes from, and a secret is never shown."""
    (tmp_path / "prod.env").write_text(
        "OTS_ENDPOINT=https://demo.cn-hangzhou.ots.aliyuncs.com\n"
        "OTS_ACCESS_KEY_ID=testid\nOTS_ACCESS_KEY_SECRET=marked-secret\n"
    )
    code, out, err = run(
        "settings", "--env-file", str(tmp_path / "prod.env"), OTS_MAX_CONNECTION="7", OTS_STS_TOKEN="marked-token"
    )
    assert code == 0
    exposed, token = err.splitlines()
    assert re.fullmatch(r"warning: .*prod.env holds secrets and other users can read or change it.*", exposed)
    assert re.fullmatch(r"warning: sts_token \(environment variable OTS_STS_TOKEN\) .*prod.env line 3", token)
    lines = out.splitlines()
    assert lines[0].split() == ["setting", "value", "from", "overrides"]
    table = {line.split()[0]: line for line in lines[1:]}
    assert "https://demo.cn-hangzhou.ots.aliyuncs.com" in table["endpoint"]
    assert "prod.env" in table["endpoint"]
    assert re.search(r"\b7\b.*OTS_MAX_CONNECTION", table["max_connection"])
    assert "marked" not in out


def test_settings_that_cannot_be_used_are_told() -> None:
    """Exit code 1 and the reasons, without a traceback and without a secret."""
    code, out, err = run("settings", OTS_ENDPOINT="ftp://nowhere", OTS_ACCESS_KEY_SECRET="marked-secret")
    assert (code, out) == (1, "")
    assert "endpoint" in err
    assert "Traceback" not in err
    assert "marked" not in err


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal rich colours the table, and shows values as they are."""
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("OTS_ENDPOINT", "https://demo.cn-hangzhou.ots.aliyuncs.com")
    monkeypatch.setenv("OTS_LOGGER_NAME", "[red]name")
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b[1m" in shown
    assert "[red]name" in shown


def test_a_reader_that_leaves_is_no_failure() -> None:
    """Output into a closed pipe ends without a traceback."""
    with subprocess.Popen(
        [*COMMAND, "settings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OTS_ENDPOINT": "https://demo.cn-hangzhou.ots.aliyuncs.com"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1
