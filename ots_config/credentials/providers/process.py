"""Keys that a program of the user's prints, by the convention of the Aliyun CLI."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from ots_config.credentials.environment_names import PROCESS_DISABLED, SETTING, switched_on
from ots_config.credentials.http import keys_in
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, ask_nested, missing, unwrap
from ots_config.credentials.single_flight import BACKGROUND

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials

MAX_OUTPUT = 1 << 20
# After the program has ended, what it left running may hold its output open.
_GRACE = 2.0
_PRINTED_KEYS = {"", "ak", "ststoken"}


class ProcessProvider(Provider):
    """The keys that a program prints.

    The command is split as a shell would split it, and run without one. It has a minute, after which it and what it
    started are killed. It prints one JSON object: ``mode`` (``AK`` or ``StsToken``), ``access_key_id``,
    ``access_key_secret``, ``sts_token`` and ``expiration``. Nothing that it prints is ever shown, on
    stderr neither. ``ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS`` forbids running anything.

    With ``terminal`` it may ask the person at the terminal, for an MFA code, if this program is in the foreground there
    and somebody waits for the credentials: stdin, stderr and ``/dev/tty`` are then the terminal. Everywhere else, in a
    service and in refreshes in the background, it has an empty stdin and no terminal.

    Args:
        command: A command line, or the program and its arguments.
        timeout: Seconds that the program may take.
        terminal: Whether it may ask at the terminal.
        other_modes: Returns the provider of a printed profile of another mode; without it, only ``AK`` and ``StsToken``
            may be printed.
        clock: Our time, in seconds since 1970.
    """

    name = "process"

    def __init__(
        self,
        command: str | Sequence[str | os.PathLike[str]] | None,
        *,
        timeout: float = 60.0,
        terminal: bool = False,
        other_modes: Callable[[Mapping[str, Any]], Provider | SourceFailure] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._command = command
        self._timeout = timeout
        self._terminal = terminal
        self._other_modes = other_modes
        self._clock = clock

    def fetch_credentials(self) -> Credentials:
        """Run the program once."""
        return unwrap(self._printed())

    def _printed(self) -> Credentials | SourceFailure:
        arguments = _split(self._command)
        if isinstance(arguments, SourceFailure):
            return arguments
        if switched_on(PROCESS_DISABLED):
            return SourceFailure(f"{PROCESS_DISABLED} forbids running {arguments[0]}")
        who = f"the program {arguments[0]}"
        terminal = self._terminal and BACKGROUND.somebody_waits() and _is_in_foreground()
        output = _run(arguments, who, self._timeout, terminal=terminal)
        fields = output if isinstance(output, SourceFailure) else _fields(output, who)
        if isinstance(fields, SourceFailure):
            return fields
        if self._other_modes is None or str(fields.get("mode") or "").lower() in _PRINTED_KEYS:
            return _keys(fields, who, self.name, self._clock())
        provider = self._other_modes(fields)
        if isinstance(provider, SourceFailure):
            return SourceFailure(f"{who} printed a profile that cannot be used: {provider.reason}")
        return ask_nested(f"the profile that {who} printed", provider.get_credentials)

    def named_by(self) -> str:
        """Return whether there is a command."""
        return SETTING if self._command else ""

    def describe(self) -> str:
        """Return the program; its arguments may hold secrets, so a digest stands for them."""
        arguments = _split(self._command)
        if isinstance(arguments, SourceFailure):
            return "no program"
        if len(arguments) == 1:
            return f"program {arguments[0]}"
        from hashlib import sha256

        mark = sha256(repr(arguments[1:]).encode()).hexdigest()[:8]
        return f"program {arguments[0]} with arguments {mark}"


def _split(command: str | Sequence[str | os.PathLike[str]] | None) -> list[str] | SourceFailure:
    """Split a command line into the program and its arguments."""
    if not isinstance(command, str):
        given = list(command or ())
        if not all(isinstance(argument, str | os.PathLike) for argument in given):
            return SourceFailure("the program and its arguments must be texts or paths")
        return [os.fspath(argument) for argument in given] or missing("no command is set")
    try:
        # Windows paths have backslashes, which POSIX rules would take for escapes.
        arguments = shlex.split(command, posix=os.name != "nt")
    except ValueError:
        return SourceFailure("the program's command line has an open quotation mark")
    if os.name == "nt":
        arguments = [argument.strip('"') for argument in arguments]
    return arguments or missing("no command is set")


def _is_in_foreground() -> bool:
    """Return whether this process may read from a terminal."""
    try:
        return os.isatty(0) and os.isatty(2) and (os.name == "nt" or os.tcgetpgrp(0) == os.getpgrp())
    except OSError:
        return False


def _run(arguments: list[str], who: str, timeout: float, *, terminal: bool) -> bytes | SourceFailure:
    """Run a program and return what it printed."""
    deadline = time.monotonic() + timeout
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command, split and without a shell
            arguments,
            stdin=None if terminal else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if terminal else subprocess.PIPE,
            # In a session of its own it has no terminal, and can be killed with all that it has started.
            start_new_session=not terminal,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return SourceFailure(f"{who} cannot be run: {reason}")
    output, errors = bytearray(), bytearray()
    readers = [
        threading.Thread(target=_drain, args=streams, name="ots-config-process", daemon=True)
        for streams in ((process.stdout, output), (process.stderr, errors))
        if streams[0] is not None
    ]
    for reader in readers:
        reader.start()
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _kill(process, terminal=terminal)
        return SourceFailure(f"{who} was killed: it had not ended after {timeout:g} s", transient=True)
    except BaseException:
        _kill(process, terminal=terminal)
        output.clear()
        raise
    ends = min(deadline, time.monotonic() + _GRACE)
    for reader in readers:
        reader.join(max(0.05, ends - time.monotonic()))
    if status != 0:
        # What it printed is not repeated: a program in trouble prints whatever it has, its secrets too.
        ended = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        said = "; run it in a terminal to see what it says" if errors else ""
        return SourceFailure(f"{who} {ended}{said}")
    return bytes(output)


def _drain(stream: IO[bytes], kept: bytearray) -> None:
    """Read a stream to its end, however long, and keep no more than credentials need."""
    with contextlib.suppress(OSError, ValueError), stream:
        while piece := stream.read1(65536):  # type: ignore[attr-defined]
            kept += piece[: max(0, MAX_OUTPUT + 1 - len(kept))]


def _kill(process: subprocess.Popen[bytes], *, terminal: bool) -> None:
    """Kill a program and everything in its session, if that is not ours."""
    with contextlib.suppress(OSError):
        if terminal or os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _fields(output: bytes, who: str) -> dict[str, Any] | SourceFailure:
    """Read the object that a program printed."""
    if len(output) > MAX_OUTPUT:
        return SourceFailure(f"{who} printed more than credentials need")
    try:
        fields = json.loads(output)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return SourceFailure(f"{who} printed {'no JSON object' if output.strip() else 'nothing'}")
    return fields


def _keys(fields: dict[str, Any], who: str, source: str, now: float) -> Credentials | SourceFailure:
    """Return the keys that a program printed."""
    mode = str(fields.get("mode") or "").lower()
    if mode not in _PRINTED_KEYS:
        return SourceFailure(f"{who} printed a mode that is neither AK nor StsToken")
    if mode == "ak":
        fields = {name: value for name, value in fields.items() if name != "sts_token"}
    return keys_in(fields, who=who, source=source, token=mode == "ststoken", now=now)
