"""The command line: ``ots-config``, or ``python -m ots_config``; one module per command, loaded when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ots_config.cli import emulator, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The arguments after the program's name, those of this process if None.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for arguments or settings that cannot be used.
    """
    parser = argparse.ArgumentParser(prog="ots-config", description="Work with Alibaba Cloud Tablestore.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    emulator.add_parser(commands)
    settings.add_parser(commands)
    given = parser.parse_args(arguments)
    try:
        code: int = given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone, `head` for one; a second failure at exit would only be noise.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
