"""The pytest plugin works in any project that installs the package."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = '''
"""A stranger's tests."""

from tablestore import CapacityUnit, ReservedThroughput, Row, TableMeta, TableOptions


def make_table(client):
    meta = TableMeta("orders", [("id", "INTEGER")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))


def test_a_row_comes_back(ots_client):
    make_table(ots_client)
    ots_client.put_row("orders", Row([("id", 1)], [("state", "paid")]))
    assert ots_client.get_row("orders", [("id", 1)])[1].attribute_columns[0][1] == "paid"


def test_the_next_test_starts_empty(ots_client, ots_emulator):
    assert list(ots_client.list_table()) == []
    ots_emulator.fault(operation="*", kind="status", status=502)
    ots_emulator.sts(reject="InternalError")


def test_a_throttled_write_is_repeated(ots_client, ots_emulator):
    make_table(ots_client)
    ots_emulator.clear_log()
    ots_emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=1)
    ots_client.put_row("orders", Row([("id", 1)], [("state", "paid")]))
    assert [entry["status"] for entry in ots_emulator.log()] == [503, 200]
'''


def pytest_in(folder: Path, *arguments: str) -> str:
    """Run pytest in a folder; return what it says."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"),
            *("-W", "error", "-W", "ignore::ImportWarning"),  # the official SDK warns of its native codec
            *arguments,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE"))},
    )
    return done.stdout + done.stderr


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    """Each test has a working client of an empty instance; faults and orders of one test do not reach the next."""
    (tmp_path / "test_orders.py").write_text(EXAMPLE)
    assert "3 passed" in pytest_in(tmp_path)


def test_the_fixtures_are_listed(tmp_path: Path) -> None:
    """``pytest --fixtures`` shows them with what they do."""
    shown = pytest_in(tmp_path, "--fixtures")
    assert "An emulator on a free port of this machine" in shown
    assert "A client of the emulator with an instance of its own" in shown


def test_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    """A session that uses none of its fixtures pays nothing for it."""
    (tmp_path / "test_light.py").write_text(
        "import sys\n\n\ndef test_light(request):\n"
        "    assert request.config.pluginmanager.hasplugin('ots_config')\n"
        "    assert not {'tablestore', 'pydantic', 'requests', 'keyring', 'aiohttp'} & set(sys.modules)\n"
    )
    assert "1 passed" in pytest_in(tmp_path, "-p", "no:pytest_cov", "-p", "no:hypothesispytest")
