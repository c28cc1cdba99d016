"""``ots-config tables``: list, describe and create tables, and show the first rows of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output
from ots_config.cli.sources import add_command, read_settings

if TYPE_CHECKING:
    from ots_config.client.sync_client import OTSClient

_TYPES = {"STRING": "STRING", "INTEGER": "INTEGER", "BINARY": "BINARY", "AUTO": "INTEGER"}
_MAX_ROWS = 1000


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    group: argparse.ArgumentParser = commands.add_parser(
        "tables",
        help="List, describe and create tables, and show rows",
        description="List, describe and create tables, and show the first rows of one.",
        epilog="examples:\n  ots-config tables list\n  ots-config tables create orders user:STRING,number:INTEGER",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = add_command(
        actions, "list", "List the tables of the instance.", "ots-config tables list\nots-config tables list --json"
    )
    parser.set_defaults(run=show_all)
    parser = add_command(
        actions,
        "describe",
        "Show the key, the options and the indexes of a table.",
        "ots-config tables describe orders\nots-config tables describe orders --json",
    )
    parser.add_argument("table", help="the table's name")
    parser.set_defaults(run=describe)
    parser = add_command(
        actions,
        "rows",
        "Show the first rows of a table.",
        "ots-config tables rows orders\nots-config tables rows orders --limit 100 --json",
    )
    parser.add_argument("table", help="the table's name")
    parser.add_argument("--limit", type=_limit, default=20, help="how many rows, 1 to 1000 (%(default)s)")
    parser.set_defaults(run=rows)
    parser = add_command(
        actions,
        "create",
        "Create a table. The key has one to four columns of type STRING, INTEGER, BINARY, or AUTO (not the first): an "
        "integer that the service chooses.",
        "ots-config tables create orders user:STRING,number:INTEGER\n"
        "ots-config tables create events day:STRING,id:AUTO --ttl 86400",
    )
    parser.add_argument("table", help="the table's name")
    parser.add_argument("key", type=_key, metavar="KEY:TYPE,...", help="the columns of the primary key")
    parser.add_argument("--ttl", type=int, default=-1, metavar="SECONDS", help="how long cells live (for ever)")
    parser.add_argument("--max-versions", type=int, default=1, metavar="N", help="versions of a cell (%(default)s)")
    parser.set_defaults(run=create)


def show_all(given: argparse.Namespace, output: Output) -> int:
    """List the tables; return the exit code."""
    with _client(given, output) as client:
        names = list(client.list_table())
    if output.as_json:
        output.document(names)
    elif names:
        for name in names:
            output.line(name)
    else:
        output.line("the instance has no table: `ots-config tables create` makes one")
    return 0


def describe(given: argparse.Namespace, output: Output) -> int:
    """Describe a table; return the exit code."""
    with _client(given, output) as client:
        found = client.describe_table(given.table)
    meta, options, throughput = found.table_meta, found.table_options, found.reserved_throughput_details.capacity_unit
    document: dict[str, Any] = {
        "table": meta.table_name,
        "key": [_key_text(column) for column in meta.schema_of_primary_key],
        "defined_columns": [f"{name}:{kind}" for name, kind in getattr(meta, "defined_columns", None) or ()],
        "time_to_live": options.time_to_live,
        "max_version": options.max_version,
        "max_time_deviation": options.max_time_deviation,
        "reserved_read": throughput.read,
        "reserved_write": throughput.write,
        "indexes": [index.index_name for index in getattr(found, "secondary_indexes", None) or ()],
    }
    if output.as_json:
        output.document(document)
    else:
        output.records(
            {name: ", ".join(value) if isinstance(value, list) else value for name, value in document.items()}
        )
    return 0


def rows(given: argparse.Namespace, output: Output) -> int:
    """Show the first rows; return the exit code."""
    from ots_config.sdk import tablestore

    with _client(given, output) as client:
        schema = client.describe_table(given.table).table_meta.schema_of_primary_key
        first = [(column[0], tablestore.INF_MIN) for column in schema]
        last = [(column[0], tablestore.INF_MAX) for column in schema]
        found: list[Any] = []
        start: Any = first
        while start is not None and len(found) < given.limit:
            _, start, page, _ = client.get_range(
                given.table, "FORWARD", start, last, None, limit=given.limit - len(found), max_version=1
            )
            found += page
    documents = [
        {name: _plain(value) for name, value, *_ in (*row.primary_key, *row.attribute_columns)} for row in found
    ]
    if output.as_json:
        output.document(documents)
    elif not documents:
        output.line("the table has no row")
    else:
        names = list(dict.fromkeys(name for document in documents for name in document))
        output.table(names, [[document.get(name) for name in names] for document in documents])
        if start is not None:
            output.line(f"the first {len(documents)} rows; --limit shows more", "skipped")
    return 0


def create(given: argparse.Namespace, output: Output) -> int:
    """Create a table; return the exit code."""
    from ots_config.sdk import tablestore

    meta = tablestore.TableMeta(given.table, given.key)
    options = tablestore.TableOptions(given.ttl, given.max_versions)
    throughput = tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0))
    with _client(given, output) as client:
        client.create_table(meta, options, throughput)
    if output.as_json:
        output.document({"created": given.table, "key": [_key_text(column) for column in given.key]})
    else:
        output.line(f"created: {given.table} ({', '.join(_key_text(column) for column in given.key)})", "ok")
        output.line("The service needs up to a minute until it takes rows.")
    return 0


def _client(given: argparse.Namespace, output: Output) -> OTSClient:
    from ots_config.factory import create_client

    return create_client(settings=read_settings(given, output))


def _plain(value: Any) -> Any:
    """Return a cell's value as JSON has it; bytes as hexadecimal digits."""
    return f"0x{bytes(value).hex()}" if isinstance(value, bytes | bytearray) else value


def _key_text(column: Sequence[Any]) -> str:
    name, kind, *auto = column
    return f"{name}:{'AUTO' if auto and auto[0] else kind}"


def _key(text: str) -> list[tuple[Any, ...]]:
    from ots_config.sdk import tablestore

    columns: list[tuple[Any, ...]] = []
    for part in text.split(","):
        name, colon, kind = (piece.strip() for piece in part.rpartition(":"))
        if not colon or not name or kind.upper() not in _TYPES:
            raise argparse.ArgumentTypeError(
                f"{part!r} is not NAME:TYPE with a type of {', '.join(_TYPES)}, as in user:STRING,number:INTEGER"
            )
        column = (name, _TYPES[kind.upper()])
        columns.append((*column, tablestore.PK_AUTO_INCR) if kind.upper() == "AUTO" else column)
    if not 1 <= len(columns) <= 4:
        raise argparse.ArgumentTypeError("a primary key has one to four columns")
    if len(columns[0]) > 2:
        raise argparse.ArgumentTypeError("the first column of a key cannot be AUTO")
    return columns


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_ROWS):
        raise argparse.ArgumentTypeError(f"a limit is a whole number from 1 to {_MAX_ROWS}, not {text!r}")
    return int(text)
