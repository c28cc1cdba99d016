"""``ots-config completion``: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from typing import Any

from ots_config.cli.output import Output
from ots_config.cli.sources import add_command
from ots_config.errors import OTSConfigError

_SHELLS = ("bash", "zsh", "tcsh")


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "completion",
        "Print a script that completes commands and options in a shell.",
        'eval "$(ots-config completion bash)"\nots-config completion zsh > ~/.zfunc/_ots-config',
        sources=False,
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace, output: Output) -> int:
    """Print the script; return the exit code."""
    try:
        import shtab
    except ModuleNotFoundError:
        failure = OTSConfigError("completion needs shtab, which is not installed")
        failure.hint = 'Install it: pip install "ots-config[cli]".'
        raise failure from None
    script = shtab.complete(given.command_line, given.shell)
    if output.as_json:
        output.document({"shell": given.shell, "script": script})
    else:
        output.raw(script)
    return 0
