"""What commands print: tables and lines for people, one JSON document for programs, errors without a traceback."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from ots_config.errors import OTSConfigError, SettingsError
from ots_config.shown_text import printable

_GAP = 2
_COLOURS = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim", "heading": "bold"}


class OutputLost(Exception):
    """The output cannot be written: whoever read it has gone, or the disk is full."""


class Output:
    """Prints the results of one command.

    Args:
        as_json: Whether the result is one JSON document.
        stream: Where results go; errors and warnings always go to standard error.
    """

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stream = stream or sys.stdout
        self._console = _console(self._stream)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the results on a terminal."""
        return _is_terminal(self._stream)

    @property
    def width(self) -> int | None:
        """The columns of the terminal; None if the results go elsewhere, where lines may have any length."""
        return max(shutil.get_terminal_size().columns, 20) if self.is_terminal else None

    # --- results --------------------------------------------------------------------------------------

    def document(self, value: Any) -> None:
        """Print a result as JSON."""
        self._write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")

    def raw(self, text: str) -> None:
        """Print a text as it is, for a program to read."""
        self._write(text.rstrip("\n") + "\n")

    def line(self, text: str = "", style: str = "", *, indent: str = "") -> None:
        """Print a text, folded to the width of a terminal.

        Args:
            text: The text; its line breaks stay.
            style: ``ok``, ``warning``, ``failure``, ``skipped`` or ``heading``: the colour, where there are colours.
            indent: What the lines after the first begin with.
        """
        for paragraph in text.splitlines() or [""]:
            for folded in _folded(paragraph, self.width, indent):
                self._line([(folded, style)])

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table; each row as a paragraph of its own where the terminal is too narrow for columns."""
        cells = [[_cell(value) for value in row] for row in rows]
        widths = [max(map(_columns, column)) for column in zip(headings, *cells, strict=True)]
        if self.width is None or sum(widths) + _GAP * (len(widths) - 1) <= self.width:
            for row, style in ((list(headings), "heading"), *((row, "") for row in cells)):
                padded = [cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)]
                self._line([((" " * _GAP).join(padded).rstrip(), style)])
            return
        label = max(_columns(heading) for heading in headings[1:]) + _GAP if len(headings) > 1 else 0
        for row in cells:
            self.line(row[0], "heading", indent="  ")
            for heading, cell in zip(headings[1:], row[1:], strict=True):
                if cell:
                    self._record(heading, cell, label)

    def records(self, pairs: Mapping[str, Any]) -> None:
        """Print names and values, one pair a line; what is None or empty is left out."""
        shown = {name: _cell(value) for name, value in pairs.items() if value not in (None, "")}
        label = max(map(_columns, shown), default=0) + _GAP
        for name, value in shown.items():
            self._record(name, value, label, margin="")

    def _record(self, name: str, value: str, label: int, margin: str = "  ") -> None:
        indent = margin + " " * label
        room = None if self.width is None else self.width - len(indent)
        first, *more = _folded(value, room, "")
        self._line([(margin + name + " " * (label - _columns(name)), "heading"), (first, "")])
        for part in more:
            self._line([(indent + part, "")])

    # --- warnings and errors --------------------------------------------------------------------------

    def warning(self, text: str) -> None:
        """Print a warning to standard error."""
        _to_stderr(f"warning: {text}")

    def failure(self, error: OTSConfigError) -> None:
        """Print why a command failed, with every problem and hint, to standard error."""
        if self.as_json:
            _to_stderr(json.dumps({"error": described(error)}, ensure_ascii=False, indent=2))
            return
        text = str(error)
        if error.hint and error.hint not in text:
            text += f"\nHint: {error.hint}"
        _to_stderr(f"error: {text}")

    # --- writing --------------------------------------------------------------------------------------

    def _line(self, parts: Sequence[tuple[str, str]]) -> None:
        if self._console is None:
            self._write("".join(text for text, _ in parts).rstrip() + "\n")
            return
        from rich.text import Text

        styled = Text.assemble(*((text, _COLOURS.get(style, "")) for text, style in parts))
        with _lost():
            self._console.print(styled, soft_wrap=True)

    def _write(self, text: str) -> None:
        with _lost():
            self._stream.write(text)

    def flush(self) -> None:
        """Send what was printed on its way.

        Raises:
            OutputLost: If it cannot be written.
        """
        with _lost():
            self._stream.flush()


def described(error: OTSConfigError) -> dict[str, Any]:
    """Return an error as a JSON object."""
    document: dict[str, Any] = {"code": error.code, "message": str(error), "hint": error.hint}
    if request_id := getattr(error, "request_id", ""):
        document["request_id"] = request_id
    if isinstance(error, SettingsError):
        document["problems"] = [
            {"field": each.field, "reason": each.reason, "origin": each.origin, "hint": each.hint}
            for each in error.problems
        ]
    return document


def prepare_streams() -> bool:
    """Make standard output usable for any text; return whether it was there at all.

    A program that was started with its output closed has None there; one with a plain ASCII locale would fail at
    the first Chinese character.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is not None:
        return True
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends
    return False


def abandon_stdout() -> None:
    """Let what cannot be written go, so that the interpreter does not try again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, which every command has."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """Turn a failure of writing into ``OutputLost``."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the stream was closed
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputLost(reason) from None


def _to_stderr(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text + "\n")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it was closed
        return False


def _console(stream: TextIO) -> Any:
    """Return what writes in colour, None where nobody sees colours or rich is not installed."""
    if not _is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _cell(value: Any) -> str:
    return "" if value is None else printable(str(value), 100_000)


def _columns(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _folded(text: str, width: int | None, indent: str) -> list[str]:
    if width is None or _columns(text) <= width:
        return [text]
    if not text.isascii():  # textwrap counts characters, not columns
        width = max(width // 2, 1)
    lines = textwrap.wrap(text, max(width, len(indent) + 8), subsequent_indent=indent, break_on_hyphens=False)
    return lines or [""]
