"""``ots-config emulator``: serve the emulator until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import math
import shlex
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ots_config.cli.output import Output
from ots_config.secret_files import write_private_file

_DESCRIPTION = """\
Serve Tablestore in memory, with STS, the ECS metadata service and a credentials
URI on the same port. The first line of the output has the address; with --tls the
next one names the file of the authority to trust. Then come the variables of a
program that uses it, ready to be pasted into a shell, and a line for each request.
It serves until SIGINT or SIGTERM."""
_EXAMPLES = """\
examples:
  ots-config emulator --port 0 --write-env emulator.env
  ots-config emulator --tls --instance orders --instance users
"""
_OPEN_FILES = 4096


class _NotWritten(Exception):
    """The file of variables cannot be written; the message says why."""


class _Help(argparse.Action):
    """Shows the help with the implemented operations, whose import is slow."""

    def __call__(
        self, parser: argparse.ArgumentParser, _: Any, values: str | Sequence[Any] | None, option: str | None = None
    ) -> None:
        del values, option
        from ots_config.emulator.cloud.sts import ACTIONS
        from ots_config.emulator.tablestore.service import IMPLEMENTED

        def lines(names: Sequence[str]) -> str:
            return textwrap.fill(", ".join(names), 78, initial_indent="  ", subsequent_indent="  ")

        parser.epilog = (
            f"{_EXAMPLES}\noperations of Tablestore:\n{lines(IMPLEMENTED)}\nactions of the STS:\n{lines(ACTIONS)}"
        )
        parser.print_help()
        parser.exit()


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "emulator",
        help="serve an emulator of Tablestore",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add = parser.add_argument
    add("-h", "--help", action=_Help, nargs=0, help="show this help and the implemented operations, and exit")
    add("--host", default="127.0.0.1", help="the host to listen on (%(default)s)")
    add("--port", type=_port, default=8087, help="the port to listen on, 0 for any that is free (%(default)s)")
    add("--instance", type=_instance, action="append", metavar="NAME", help="an instance, may be repeated (demo)")
    add("--access-key-id", default="testid", metavar="ID", help="the key that is accepted (%(default)s)")
    add("--access-key-secret", default="testsecret", metavar="SECRET", help="its secret (%(default)s)")
    add("--tls", action="store_true", help="speak https, with an authority and a certificate made at start")
    add("--certificate", type=Path, metavar="FILE", help="speak https with this certificate")
    add("--key", type=Path, metavar="FILE", help="its private key, if that is a file of its own")
    add(
        "--messages",
        choices=("docs", "2026"),
        default="docs",
        help="whose words errors use where documents and recordings of 2026 disagree (%(default)s)",
    )
    add(
        "--require-transaction-flag",
        action="store_true",
        help="allow local transactions only in tables created with them enabled",
    )
    add(
        "--limit-throughput-changes",
        action="store_true",
        help="allow reserved throughput to be changed once in two minutes, as the service does",
    )
    add("--require-metadata-token", action="store_true", help="refuse version 1 of the metadata service")
    add(
        "--idle-timeout",
        type=_seconds,
        default=75.0,
        metavar="SECONDS",
        help="close connections that are silent for so long (%(default)g)",
    )
    add("--data", type=Path, metavar="FILE", help="keep tables and keys in this file; without it, in memory")
    add("--quiet", action="store_true", help="print no line for each request")
    add("--write-env", type=Path, metavar="FILE", help="write the variables to this env file, for its owner only")
    parser.set_defaults(run=run, parser=parser)


def run(given: argparse.Namespace, _: Output) -> int:
    """Serve until stopped and return the exit code."""
    if given.key is not None and given.certificate is None:
        given.parser.error("--key goes with --certificate")
    from ots_config.emulator.data_file import DataFileUnusable

    try:
        _serve(given)
    except (_NotWritten, DataFileUnusable) as error:
        print(f"ots-config emulator: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except (OSError, ModuleNotFoundError) as error:
        print(f"ots-config emulator: {_sentence(given, error)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(given: argparse.Namespace) -> None:
    from ots_config.cli.request_printer import RequestPrinter
    from ots_config.emulator import Emulator, ServerLimits

    _allow_connections()
    emulator = Emulator(
        host=given.host,
        port=given.port,
        instances=given.instance,
        access_key_id=given.access_key_id,
        access_key_secret=given.access_key_secret,
        tls=given.tls,
        certificate=given.certificate,
        key=given.key,
        messages=given.messages,
        require_transaction_flag=given.require_transaction_flag,
        limit_throughput_changes=given.limit_throughput_changes,
        metadata_v1=not given.require_metadata_token,
        limits=ServerLimits(idle=given.idle_timeout),
        data=given.data,
    )
    with _stop_signals() as stopped, emulator:
        print(f"listening on {emulator.endpoint}", flush=True)  # noqa: T201
        if given.tls and given.certificate is None:
            print(f"CA bundle: {emulator.ca_bundle}", flush=True)  # noqa: T201
        variables = emulator.environment_for(emulator.instance_name)
        if given.write_env is not None:
            try:
                write_private_file(given.write_env, "".join(f"{name}={value}\n" for name, value in variables.items()))
            except OSError as error:
                raise _NotWritten(f"{given.write_env} cannot be written: {error.strerror}") from None
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        print(*lines, sep="\n", flush=True)  # noqa: T201
        with nullcontext() if given.quiet else RequestPrinter(emulator, sys.stdout.fileno()):
            while not stopped.wait(1.0):  # a wait without end cannot be interrupted on Windows
                pass


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set an event at SIGINT and SIGTERM, in place of their handlers.

    A SIGINT that is ignored when the program starts stays ignored: a shell starts background jobs so, and a Ctrl-C for
    the job in the foreground must not end them.
    """
    stopped = threading.Event()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    numbers = (signal.SIGTERM,) if ignored else (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _allow_connections() -> None:
    """Raise this process's limit of open files, which is 1024 on many systems, to what the emulator may need."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _sentence(given: argparse.Namespace, error: OSError | ModuleNotFoundError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return str(error)
    import errno
    import socket
    import ssl

    where = f"{given.host}:{given.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use already; stop what listens there, or choose another --port (0 for any)"
    if isinstance(error, socket.gaierror):
        return f"there is no host {given.host!r} to listen on"
    if isinstance(error, ssl.SSLError):
        return f"{given.certificate} and its key cannot be used: {error.reason or error}"
    if error.filename is not None or given.certificate is not None:
        return f"{error.filename or given.certificate} cannot be read: {error.strerror}"
    return f"cannot listen on {where}: {error.strerror or error}"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to 65535, not {text!r}")
    return int(text)


def _instance(text: str) -> str:
    if not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
        raise argparse.ArgumentTypeError(f"an instance's name is letters, digits, - and _, not {text!r}")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"seconds are a number above 0, not {text!r}")
    return seconds
