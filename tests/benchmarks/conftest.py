"""What the benchmarks of the client share: an emulator in another process, and a report of what was measured.

The report is printed. ``BENCH_RESULTS``, a directory, has it written there too: ``results.md`` and ``results.svg``.
``BENCH_JSON``, a file, gets the tables for ``side_by_side.py``.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import pytest

from ots_config import OTSClient
from ots_config.sdk import tablestore as ts


class Bar(NamedTuple):
    """What one thing costs as a share of what it costs the peer, and the share that is allowed."""

    name: str
    share: float
    budget: float


class Table:
    """One table of the report: its text, its columns, its rows, and the bars of the plot that belong to it."""

    def __init__(self, title: str, text: str, *columns: str) -> None:
        self.title = title
        self.text = text
        self.columns = columns
        self.rows: list[tuple[str, ...]] = []
        self.bars: list[Bar] = []

    def add(self, *cells: str, bar: Bar | None = None) -> None:
        """Add a row."""
        self.rows.append(cells)
        if bar is not None:
            self.bars.append(bar)

    def lines(self) -> list[str]:
        """Draw the table, in Markdown that is a table to the eye, too."""
        rows = [self.columns, *self.rows]
        widths = [max(len(row[at]) for row in rows) for at in range(len(self.columns))]
        drawn = [
            "| "
            + " | ".join(f"{c:<{w}}" if at == 0 else f"{c:>{w}}" for at, (c, w) in enumerate(zip(row, widths)))  # noqa: B905 - of one length
            + " |"
            for row in rows
        ]
        rule = "|" + "|".join("-" * (w + 1) + ("-" if at == 0 else ":") for at, w in enumerate(widths)) + "|"
        return [drawn[0], rule, *drawn[1:]]


class Report:
    """The tables of one run, in the order in which they were begun."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}

    def table(self, title: str, text: str, *columns: str) -> Table:
        """Begin a table, or go on with it."""
        return self.tables.setdefault(title, Table(title, text, *columns))

    @staticmethod
    def bar(name: str, share: float, budget: float) -> Bar:
        """Make a bar of the plot."""
        return Bar(name, share, budget)

    def json(self) -> str:
        """Write the tables, and with what they were measured, for another program."""
        tables = [
            {"title": table.title, "text": table.text, "columns": table.columns, "rows": table.rows}
            for table in self.tables.values()
        ]
        measured = f"{platform.python_implementation()} {platform.python_version()}, tablestore {version('tablestore')}"
        return json.dumps({"measured": f"{measured}, {platform.system()} {platform.machine()}", "tables": tables})

    def text(self) -> str:
        """Write the whole report in Markdown."""
        parser = "in use, by both" if ts.decoder.NATIVE_PARSER_AVAILABLE else "not in use"
        codec = "in use, by the SDK only" if getattr(ts.encoder, "NATIVE_ENCODER_AVAILABLE", False) else "not in use"
        parts = [
            "# What the client costs",
            "",
            "Written by `make bench`; the official SDK ran in the same run, in turn with this library, against the",
            "emulator in a process of its own. Numbers are medians.",
            "",
            (
                f"- tablestore {version('tablestore')}, ots-config {version('ots-config')}, "
                f"requests {version('requests')}, {platform.python_implementation()} {platform.python_version()}, "
                f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs (the emulator has its share of them)"
            ),
            f"- the SDK's codec in C++ (for CPython 3.12 on x86-64 only): {codec}",
            f"- the SDK's parser of rows in C (GetRow and GetRange only): {parser}",
            "",
            "![Cost beside the official SDK's](results.svg)",
        ]
        for table in self.tables.values():
            parts += ["", f"## {table.title}", "", table.text, "", *table.lines()]
        return "\n".join(parts) + "\n"

    def plot(self) -> str:
        """Draw every bar: the peer is the line at 1, the budget the small mark."""
        bars = [bar for table in self.tables.values() for bar in table.bars]
        left, width, step = 250, 420, 26
        longest = max([1.1, *(bar.share for bar in bars)])
        height = 60 + step * len(bars)

        def at(share: float) -> float:
            return round(left + width * share / longest, 1)

        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" '
                'font-family="sans-serif" font-size="13">'
            ),
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            '<text x="10" y="22" font-weight="bold">Cost beside the official SDK (the line; less is better)</text>',
        ]
        for number, bar in enumerate(bars):
            top = 36 + step * number
            parts += [
                f'<text x="{left - 10}" y="{top + 13}" text-anchor="end">{escape(bar.name)}</text>',
                (
                    f'<rect x="{left}" y="{top}" width="{round(at(bar.share) - left, 1)}" height="18" '
                    f'fill="{"#2f7d4f" if bar.share <= bar.budget else "#b5532a"}"/>'
                ),
                f'<path d="M{at(bar.budget)} {top - 2}v22" stroke="#444444" stroke-dasharray="2 2"/>',
                f'<text x="{at(bar.share) + 6}" y="{top + 13}">{bar.share:.2f}</text>',
            ]
        parts += [f'<path d="M{at(1)} 32V{height - 16}" stroke="#000000"/>', "</svg>"]
        return "\n".join(parts) + "\n"


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    """Collect what is measured; print it at the end, and write it if that was asked for."""
    collected = Report()
    yield collected
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n\n" + collected.text())  # noqa: T201
    if directory := os.environ.get("BENCH_RESULTS"):
        target = Path(pytestconfig.rootpath, directory)
        target.joinpath("results.md").write_text(collected.text(), "utf-8")
        target.joinpath("results.svg").write_text(collected.plot(), "utf-8")
    if file := os.environ.get("BENCH_JSON"):
        Path(pytestconfig.rootpath, file).write_text(collected.json(), "utf-8")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Run the emulator in another process, with the tables that the benchmarks use."""
    command = [sys.executable, "-m", "ots_config", "emulator", "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        address = emulator.stdout.readline().split()[-1]
        with OTSClient(address, "testid", "testsecret", "demo") as client:
            for name in ("t", "u", "batch"):
                meta = ts.TableMeta(name, [("gid", "INTEGER"), ("uid", "STRING")])
                client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
        yield address
        emulator.send_signal(signal.SIGTERM)


@pytest.fixture(scope="session")
def programs() -> Path:
    """Where the programs are that are measured as whole processes."""
    return Path(__file__).parent / "programs"
