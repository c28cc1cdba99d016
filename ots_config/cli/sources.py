"""Where commands take their settings from: the options that all of them share, and the settings these give."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output, add_json

if TYPE_CHECKING:
    from ots_config.settings import OTSSettings


def add_command(commands: Any, name: str, description: str, examples: str, *, sources: bool = True) -> Any:
    """Add a command to the command line, and return its parser.

    Args:
        commands: What holds the commands.
        name: Its name.
        description: One or two sentences; the first is shown in the list of commands.
        examples: Two of them, a line each.
        sources: Whether it takes ``--env-file``, ``--secrets-dir`` and ``--profile``.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.split(". ", maxsplit=1)[0].removesuffix("."),
        description=description,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.description = _paragraph(description)
    if sources:
        group = parser.add_argument_group("where the settings are read")
        group.add_argument("--env-file", metavar="FILE", action="append", help="an env file; may be repeated")
        group.add_argument("--secrets-dir", metavar="FOLDER", help="a folder with one file for each setting")
        group.add_argument("--profile", metavar="NAME", help="a profile of ots.toml")
    add_json(parser)
    return parser


def read_settings(given: argparse.Namespace, output: Output) -> OTSSettings:
    """Return the settings that a command works with; warnings about them go to standard error.

    Raises:
        SettingsError: If they cannot be used.
    """
    settings, warned = settings_and_warnings(given)
    for text in warned:
        output.warning(text)
    return settings


def settings_and_warnings(given: argparse.Namespace) -> tuple[OTSSettings, list[str]]:
    """Return the settings that a command works with, and the warnings about them.

    Raises:
        SettingsError: If they cannot be used; a note on it holds each warning.
    """
    from ots_config.errors import SettingsError
    from ots_config.settings import OTSSettings

    sources = {"env_file": given.env_file, "secrets_dir": given.secrets_dir, "profile": given.profile}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            settings = OTSSettings(**{name: value for name, value in sources.items() if value is not None})
        except SettingsError as error:
            for each in caught:
                error.add_note(str(each.message))
            raise
    return settings, [str(each.message) for each in caught]


def _paragraph(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 79)
