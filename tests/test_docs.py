"""The documents match the code: tables are generated, blocks of code run, both languages say the same."""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from ots_config import Emulator
from ots_config.cli import command_line
from ots_config.settings import settings_table

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
TABLE = re.compile(r"<!-- settings table: begin -->\n(.*?)<!-- settings table: end -->", re.DOTALL)


DOCUMENTS = [*READMES, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]


def test_the_settings_table_is_the_models() -> None:
    """The table of settings is what ``settings_table()`` makes."""
    found = TABLE.search((ROOT / "docs/settings.md").read_text())
    assert found is not None
    assert found[1] == settings_table()


def commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return every command and the commands below it."""
    below = [
        each
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for each in action.choices.values()
    ]
    return [each for one in below for each in (one, *commands(one))]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the layout of help differs between versions of Python")
def test_the_reference_of_commands_is_their_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """``docs/cli.md`` is the help of every command; WRITE_DOCS=1 writes it anew."""
    monkeypatch.setenv("COLUMNS", "100")
    parts = ["# Commands", "What `--help` of each command prints."]
    for parser in commands(command_line()):
        parts += [f"## {parser.prog}", f"```text\n{parser.format_help().strip()}\n```"]
    path, text = ROOT / "docs/cli.md", "\n\n".join(parts) + "\n"
    if os.environ.get("WRITE_DOCS"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_commands_in_the_readme_are_known(path: Path) -> None:
    """Each ``ots-config`` line is one that the command line understands."""
    lines = re.findall(r"^\$ ots-config (.*?)(?:\s+#.*)?$", path.read_text(), re.MULTILINE)
    assert len(lines) >= 9
    for line in lines:
        command_line().parse_args(shlex.split(line))


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_the_readme_is_short(path: Path) -> None:
    """A README has at most 200 lines."""
    assert len(path.read_text().splitlines()) <= 200


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file that is there."""
    for target in re.findall(r"\]\((?!http|#)([^)#]+)[^)]*\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_blocks_of_code_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python block runs against the emulator, whose address stands in for the placeholders."""
    from tablestore import CapacityUnit, ReservedThroughput, TableMeta, TableOptions

    from ots_config import OTSClient

    with Emulator(
        instance="myinstance", access_key_id="access_key_id", access_key_secret="access_key_secret"
    ) as emulator:
        monkeypatch.setenv("OTS_ENDPOINT", emulator.endpoint)
        monkeypatch.setenv("OTS_INSTANCE_NAME", "myinstance")
        monkeypatch.setenv("OTS_ACCESS_KEY_ID", "access_key_id")
        monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "access_key_secret")
        Path("prod.env").touch()
        with OTSClient(settings=emulator.settings) as client:
            options, throughput = TableOptions(), ReservedThroughput(CapacityUnit(0, 0))
            client.create_table(TableMeta("notes", [("author", "STRING")]), options, throughput)
        blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
        assert len(blocks) >= 4
        for block in blocks:
            text = block.replace("https://myinstance.cn-hangzhou.ots.aliyuncs.com", emulator.endpoint)
            exec(compile(text, str(path), "exec"), {})  # noqa: S102 - it is our own README


def test_the_changelog_has_its_form() -> None:
    """The changelog begins with what is unreleased, in the sections of Keep a Changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    sections = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert sections <= {"Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"}
