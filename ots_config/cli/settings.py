"""``ots-config settings``: the settings in use, where each value comes from, and what it overrode."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ots_config.errors import SettingsError

_HEADINGS = ("setting", "value", "from", "overrides")


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "settings",
        help="show the settings in use and where each comes from",
        description="Show each setting in use, where it comes from and what it overrides; no secret is shown.",
    )
    parser.add_argument("--env-file", metavar="FILE", action="append", help="an env file; may be repeated")
    parser.add_argument("--secrets-dir", metavar="FOLDER", help="a folder with one file for each setting")
    parser.add_argument("--profile", metavar="NAME", help="a profile of ots.toml")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Show the settings; return the exit code."""
    from ots_config.settings import OTSSettings

    sources = {"env_file": given.env_file, "secrets_dir": given.secrets_dir, "profile": given.profile}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            settings = OTSSettings(**{name: value for name, value in sources.items() if value is not None})
        except SettingsError as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 2
    for each in caught:
        print(f"warning: {each.message}", file=sys.stderr)  # noqa: T201
    rows = [
        (row.field, row.value, row.origin, ", ".join(f"{value} from {origin}" for origin, value in row.overrode))
        for row in settings.explain()
    ]
    _show(rows)
    return 0


def _show(rows: Sequence[Sequence[str]]) -> None:
    """Print a table, with rich where it is installed and there is a terminal to print it on."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
        except ModuleNotFoundError:
            pass
        else:
            from rich.text import Text

            table = Table(*_HEADINGS)
            for row in rows:
                table.add_row(*map(Text, row))  # as texts: a value may hold what looks like markup
            Console().print(table)
            return
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    for row in (_HEADINGS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
