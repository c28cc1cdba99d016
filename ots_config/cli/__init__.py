"""The command line: ``ots-config``, or ``python -m ots_config``; a module for each group of commands.

Exit codes: 0 for success, 1 for a failure, 2 for wrong arguments, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ots_config.cli import completion, credentials, doctor, emulator, keychain, ping, settings, start, tables
from ots_config.cli.output import Output, OutputLost, abandon_stdout, prepare_streams
from ots_config.errors import OTSConfigError
from ots_config.shown_text import failure_text

_GROUPS = (settings, start, keychain, credentials, doctor, ping, tables, emulator, completion)
_EXAMPLES = """\
examples:
  ots-config init            write an env file or a profile, the secret into the keyring
  ots-config doctor          find out why a program does not reach its instance
"""


class _Version(argparse.Action):
    """Prints the version; importing it must not make every other command slower."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ots_config import __version__

        print(f"ots-config {__version__}")  # noqa: T201
        parser.exit()


class _CommandParser(argparse.ArgumentParser):
    """A parser whose help fails where it cannot be written; the inherited one loses it in silence."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            (file or sys.stderr).write(message)


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _CommandParser(
        prog="ots-config",
        description="Work with Alibaba Cloud Tablestore: settings, credentials, tables, and an emulator.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add_parser(commands)
    parser.set_defaults(command_line=parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The arguments after the program's name, those of this process if None.

    Returns:
        The exit code.
    """
    has_output = prepare_streams()
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        return 130
    except OutputLost as error:
        return _lost(str(error))
    return code if has_output else _lost("standard output is closed")


def _run(arguments: Sequence[str] | None) -> int:
    output = Output()
    try:
        given = command_line().parse_args(arguments)
    except SystemExit as end:
        output.flush()
        return end.code if isinstance(end.code, int) else 2
    except OSError as error:  # the help cannot be written
        raise OutputLost(error.strerror) from None
    output = Output(as_json=getattr(given, "json", False))
    try:
        code: int = given.run(given, output)
        output.flush()
    except (OutputLost, KeyboardInterrupt):
        raise
    except SystemExit as end:  # arguments that do not go together
        return end.code if isinstance(end.code, int) else 2
    except OTSConfigError as error:
        output.failure(error)
        return 1
    except Exception as error:  # noqa: BLE001 - a person gets a sentence, never a traceback
        output.failure(OTSConfigError(f"the command failed unexpectedly with {failure_text(error)}"))
        return 1
    return code


def _lost(reason: str) -> int:
    abandon_stdout()
    if sys.stderr is not None and "Broken pipe" not in reason:  # `| head` wants no more, and no complaint
        sys.stderr.write(f"ots-config: the output cannot be written: {reason}\n")
    return 1
