"""Write what ``make bench`` measured on several Pythons as one page, side by side.

Usage: side_by_side.py FOLDER PAGE, where FOLDER has one JSON file of a run for each Python, as ``3.12.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = """# Benchmarks

Written by `make bench` on each Python that it found. The official SDK ran in the same run, in turn with this library,
against the emulator in a process of its own; numbers are medians. In a cell stand, in this order, what the line above
the table names. A ratio is this library's share of the official SDK's cost: less is better.
"""


def page(runs: dict[str, Any]) -> str:
    """Return the page: for each table a row for each thing that was measured and a column for each Python."""
    parts = [HEAD, *(f"- Python {version}: {run['measured']}" for version, run in runs.items())]
    tables: dict[str, Any] = {}
    for run in runs.values():
        tables.update({table["title"]: table for table in run["tables"] if table["title"] not in tables})
    for title, first in tables.items():
        cells: dict[str, dict[str, str]] = {}
        for version, run in runs.items():
            for table in run["tables"]:
                for name, *values in table["rows"] if table["title"] == title else ():
                    cells.setdefault(name, {})[version] = " / ".join(values)
        parts += ["", f"## {title}", "", first["text"], "", f"Cells: {' / '.join(first['columns'][1:])}.", ""]
        parts += [f"| {first['columns'][0]} | " + " | ".join(runs) + " |", "|---|" + "---:|" * len(runs)]
        parts += [
            f"| {name} | " + " | ".join(found.get(version, "") for version in runs) + " |"
            for name, found in cells.items()
        ]
    return "\n".join(parts) + "\n"


def main(folder: str, target: str) -> None:
    """Read the runs and write the page."""
    files = sorted(Path(folder).glob("*.json"), key=lambda file: [int(part) for part in file.stem.split(".")])
    Path(target).write_text(page({file.stem: json.loads(file.read_text("utf-8")) for file in files}), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
