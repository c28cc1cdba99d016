"""Keys that a program prints."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.process import ProcessProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

KEYS = {"mode": "StsToken", "access_key_id": "STS.x", "access_key_secret": "MARKEDsecret", "sts_token": "MARKEDtoken"}


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Return what writes a Python program and gives its command line."""

    def write(text: str, *arguments: str) -> str:
        path = tmp_path / "my program.py"
        path.write_text(text)
        return shlex.join([sys.executable, "-S", str(path), *arguments])

    return write


def printing(value: Any, then: str = "") -> str:
    """Return a program that prints something."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"print({text!r})\n{then}"


def test_temporary_keys(program: Any) -> None:
    """The keys, the token and the end are those that are printed."""
    command = program(printing({**KEYS, "expiration": "2030-01-02T03:04:05.5Z"}))
    keys = ProcessProvider(command).fetch_credentials()
    assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == (
        "STS.x",
        "MARKEDsecret",
        "MARKEDtoken",
    )
    assert keys.expires_at.isoformat() == "2030-01-02T03:04:05.500000+00:00"
    assert keys.source == "process"


def test_temporary_keys_without_an_end(program: Any) -> None:
    """A token without an end is taken to live a quarter of an hour, so that the program is run again."""
    keys = ProcessProvider(program(printing(KEYS))).fetch_credentials()
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 900, abs=5)


@pytest.mark.parametrize("mode", ["AK", "ak", None])
def test_permanent_keys(program: Any, mode: str | None) -> None:
    """Mode AK, in any case or left out, needs no token."""
    fields = {"mode": mode, "access_key_id": "LTAI", "access_key_secret": "MARKEDsecret"}
    keys = ProcessProvider(program(printing(fields))).fetch_credentials()
    assert (keys.get_security_token(), keys.expires_at) == (None, None)


def test_a_stray_token_of_mode_ak_is_not_used(program: Any) -> None:
    """Mode AK means that there is no token, whatever else is printed."""
    keys = ProcessProvider(program(printing({**KEYS, "mode": "AK"}))).fetch_credentials()
    assert keys.get_security_token() is None


def test_there_is_no_shell(program: Any, tmp_path: Path) -> None:
    """What a shell would carry out arrives as an argument, quotation marks are understood."""
    text = "import json, sys\nprint(json.dumps({'access_key_id': 'x', 'access_key_secret': sys.argv[1] + sys.argv[2]}))"
    command = program(text) + f" 'two words' $(touch {tmp_path}/touched)"
    assert ProcessProvider(command).fetch_credentials().get_access_key_secret() == "two words$(touch"
    assert not (tmp_path / "touched").exists()


def test_a_sequence_of_arguments(program: Any) -> None:
    """A command may be given as it is run."""
    assert ProcessProvider(shlex.split(program(printing(KEYS)))).fetch_credentials().access_key_id == "STS.x"


@pytest.mark.parametrize("command", [None, "", "   ", []], ids=repr)
def test_no_command(command: Any) -> None:
    """Without a command the source does not apply."""
    with pytest.raises(CredentialsUnavailable, match="no command is set"):
        ProcessProvider(command).fetch_credentials()
    assert ProcessProvider(command).describe() == "no program"


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
def test_running_programs_can_be_forbidden(program: Any, tmp_path: Path, value: str, environment: Any) -> None:
    """ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS keeps anything from being run, and does not let a chain drift on."""
    command = program(f"open({str(tmp_path / 'ran')!r}, 'w')")
    environment({"ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS": value})
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids"):
        ProcessProvider(command).fetch_credentials()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (printing(""), "printed nothing"),
        (printing("MARKED"), "printed no JSON object"),
        (printing([1]), "printed no JSON object"),
        (printing({**KEYS, "mode": "MARKED"}), "a mode that is neither AK nor StsToken"),
        (printing({**KEYS, "sts_token": ""}), "gave no token"),
        (printing({"mode": "AK", "access_key_secret": "MARKED"}), "gave no access key id"),
        (printing({**KEYS, "expiration": "MARKED"}), "not a time"),
        ("print('M' * (1 << 21))", "printed more than credentials need"),
        (printing(KEYS, "raise SystemExit(3)"), r"ended with status 3$"),
        (printing(KEYS, "import os\nos.kill(os.getpid(), 9)"), "was ended by signal 9"),
        (
            "import sys\nsys.exit('no ticket: run kinit')",
            "ended with status 1; run it in a terminal to see what it says$",
        ),
        (
            printing(KEYS, "import sys\nsys.exit('sent MARKEDsecret\\x1b[2J and MARKED0123456789abcdefghi')"),
            r"status 1; run it in a terminal to see what it says$",
        ),
        ("import sys\nsys.exit('y ' * 100000)", r"status 1; run it in a terminal to see what it says$"),
    ],
    ids=[
        *("nothing", "text", "list", "mode", "no-token", "no-id", "end", "too-much", "status", "signal", "stderr"),
        *("stderr-with-secrets", "stderr-too-long"),
    ],
)
def test_programs_that_give_no_keys(program: Any, text: str, told: str, shows_no_secret: Any) -> None:
    """What went wrong is told, with nothing of what the program printed."""
    with pytest.raises(CredentialsRefused, match=told) as caught:
        ProcessProvider(program(text)).fetch_credentials()
    shows_no_secret(caught.value)


@pytest.mark.parametrize("command", ["/does/not/exist --secret MARKED", "'open MARKED", "/etc MARKED"])
def test_programs_that_cannot_be_run(command: str, shows_no_secret: Any) -> None:
    """A program that is not there, a quotation mark that stays open, a folder: refusals without the arguments."""
    with pytest.raises(CredentialsRefused, match=r"cannot be run|open quotation mark") as caught:
        ProcessProvider(command).fetch_credentials()
    shows_no_secret(caught.value)


def test_a_program_that_hangs_is_killed_with_what_it_started(program: Any, tmp_path: Path) -> None:
    """After the timeout the whole group is killed, and what it had printed is not told."""
    note = tmp_path / "pid"
    text = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        "print('MARKED', flush=True)\ntime.sleep(600)\n"
    )
    with pytest.raises(CredentialsRefused, match=r"was killed: it had not ended after 1\.5 s"):
        ProcessProvider(program(text), timeout=1.5).fetch_credentials()
    pid = int(note.read_text())
    for _ in range(500):
        if not runs(pid):
            return
        time.sleep(0.01)
    pytest.fail("what the program started still runs")


def runs(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()


def test_what_a_program_leaves_running_does_not_hold_up(program: Any) -> None:
    """A program that ends is read even if something it started keeps its output open."""
    start = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(8)'])"
    keys = ProcessProvider(program(printing(KEYS, start)), timeout=30).fetch_credentials()
    assert keys.access_key_id == "STS.x"


def test_much_on_stderr_does_not_block(program: Any) -> None:
    """A program that writes more to stderr than a pipe holds still ends."""
    text = f"import sys\nsys.stderr.write('x' * (1 << 21))\n{printing(KEYS)}"
    assert ProcessProvider(program(text)).fetch_credentials().access_key_id == "STS.x"


def test_the_environment_reaches_the_program(program: Any, environment: Any) -> None:
    """The program runs in this process's environment as it is now."""
    text = "import json, os\nprint(json.dumps({'access_key_id': 'x', 'access_key_secret': os.environ['MINE']}))"
    environment({"MINE": "theirs"})
    assert ProcessProvider(program(text)).fetch_credentials().get_access_key_secret() == "theirs"


def test_description_hides_the_arguments() -> None:
    """Arguments are a mark that tells two commands apart."""
    one, two = (ProcessProvider(f"/bin/tool --password MARKED{n}").describe() for n in (1, 2))
    assert one != two
    assert one.startswith("program /bin/tool with arguments ")
    assert "MARKED" not in one + repr(ProcessProvider("/bin/tool MARKED"))
    assert ProcessProvider("/bin/tool").describe() == "program /bin/tool"


@pytest.mark.parametrize("command", [["program", 5], [7], ["program", None], ["program", b"x"], (1.5, "x")])
def test_arguments_that_are_no_texts(command: Any) -> None:
    """A number among a program's arguments is an error of ours, and nothing is run."""
    with pytest.raises(CredentialsRefused, match="must be texts or paths"):
        ProcessProvider(command).fetch_credentials()
    assert ProcessProvider(command).describe() == "no program"


ASKING = """
import json, sys
print("code: ", end="", file=sys.stderr, flush=True)
try:
    code = open("/dev/tty").readline().strip()
except OSError:
    code = "no terminal"
if not code.isdecimal():
    sys.exit(7)
print(json.dumps({"mode": "AK", "access_key_id": "LTAI" + code, "access_key_secret": "MARKED"}))
"""
PROGRAM = """
import fcntl, json, shlex, sys, termios
from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsError

if sys.argv[2] == "terminal":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # as a shell does that starts a program
command = shlex.join([sys.executable, "-S", sys.argv[1] + "/ask.py"])
with open(sys.argv[1] + "/config.json", "w") as file:
    json.dump({"current": "a", "profiles": [{"name": "a", "mode": "External", "process_command": command}]}, file)
provider = RefreshingProvider(ProfileProvider(fetch=None, path=sys.argv[1] + "/config.json"))
try:
    print(provider.get_credentials().access_key_id)
except CredentialsError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.parametrize("where", ["terminal", "service"])
def test_a_program_may_ask_at_the_terminal(tmp_path: Path, where: str, clean_environment: Path) -> None:
    """The program of a profile of mode External reads an MFA code at the terminal; in a service it has none."""
    import pty

    (tmp_path / "ask.py").write_text(ASKING)
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), where],
        stdin=terminal if where == "terminal" else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal if where == "terminal" else subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    os.close(terminal)
    if where == "terminal":
        shown = b""
        while b"code: " not in shown:
            shown += os.read(controller, 1024)
        os.write(controller, b"123456\n")
    told, _ = process.communicate(timeout=20)
    os.close(controller)
    assert ("LTAI123456" in told) == (where == "terminal")
    assert ("ended with status 7" in told) == (where == "service")
