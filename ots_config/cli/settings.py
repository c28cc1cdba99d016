"""``ots-config settings`` and ``check``: the settings in use, where each value comes from, and what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output, described
from ots_config.cli.sources import add_command, read_settings, settings_and_warnings
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.settings import Explanation

_HEADINGS = ("setting", "value", "from", "overrides")


def add_parser(commands: Any) -> None:
    """Add both commands to the command line."""
    parser = add_command(
        commands,
        "settings",
        "Show the settings that are set and where each comes from. No secret is shown.",
        "ots-config settings --env-file prod.env\nots-config settings --all --json",
    )
    parser.add_argument("--all", action="store_true", help="show those that have their default, too, in groups")
    parser.set_defaults(run=show)
    parser = add_command(
        commands,
        "check",
        "Check the settings, without any request. Every problem is listed; the exit code is 1 if there is one.",
        "ots-config check --env-file prod.env\nOTS_CONFIG_FILE=deploy/ots.toml ots-config check --profile prod",
    )
    parser.add_argument("--strict", action="store_true", help="fail on warnings, too")
    parser.set_defaults(run=check)


def show(given: argparse.Namespace, output: Output) -> int:
    """Show the settings; return the exit code."""
    rows = read_settings(given, output).explain()
    if not given.all:
        rows = [row for row in rows if row.origin != "default"]
    if output.as_json:
        output.document(
            [
                {"setting": row.field, "value": row.value, "from": row.origin, "overrides": dict(row.overrode)}
                for row in rows
            ]
        )
    elif given.all:
        for group, members in _groups(rows):
            output.line(group, "heading")
            output.table(_HEADINGS, members)
            output.line()
    elif rows:
        output.table(_HEADINGS, _cells(rows))
    else:
        output.line("nothing is set: run `ots-config init`, or see `ots-config settings --all`")
    return 0


def check(given: argparse.Namespace, output: Output) -> int:
    """Check the settings; return the exit code."""
    problem: SettingsError | None = None
    warnings: list[str] = []
    try:
        _, warnings = settings_and_warnings(given)
    except SettingsError as error:
        problem, warnings = error, list(getattr(error, "__notes__", ()))
    failed = problem is not None or (given.strict and bool(warnings))
    if output.as_json:
        problems = [] if problem is None else described(problem)["problems"]
        output.document({"ok": not failed, "problems": problems, "warnings": warnings})
        return int(failed)
    for text in warnings:
        output.line(f"warning: {text}", "warning", indent="  ")
    if problem is not None:
        for each in problem.problems:
            output.line(f"failure: {each}", "failure", indent="  ")
    if not failed:
        output.line("ok: the settings can be used", "ok")
    return int(failed)


def _groups(rows: Sequence[Explanation]) -> list[tuple[str, list[list[str]]]]:
    """Return the rows in groups by what they are about, each with its heading."""
    groups: dict[str, list[Explanation]] = {}
    for row in rows:
        groups.setdefault(_group(row.field), []).append(row)
    return [(name, _cells(members)) for name, members in groups.items()]


def _group(field: str) -> str:
    part, dot, _ = field.partition(".")
    if dot:
        return part
    if field.startswith(("access_key", "sts_", "role_", "oidc_", "ecs_", "keyring_", "credentials", "cli_")):
        return "credentials"
    return "client"


def _cells(rows: Sequence[Explanation]) -> list[list[str]]:
    return [
        [
            row.field,
            row.value,
            row.origin,
            ", ".join(f"{value} from {origin}" for origin, value in row.overrode),
        ]
        for row in rows
    ]
