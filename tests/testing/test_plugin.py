"""The pytest plugin works in any project that installs the package."""

import os
import re
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


def pytest_in(folder: Path, *arguments: str, **variables: str) -> str:
    """Run pytest in a folder, with some variables; return what it says."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "no:benchmark"),
            *("-W", "error", "-W", "ignore::ImportWarning"),  # the official SDK warns of its native codec
            *arguments,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE"))}
        | variables,
    )
    return done.stdout + done.stderr


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    """Each test has a working client of an empty instance; faults and orders of one test do not reach the next."""
    (tmp_path / "test_orders.py").write_text(EXAMPLE)
    assert "3 passed" in pytest_in(tmp_path, "-p", "no:asyncio")


def test_the_fixtures_are_listed(tmp_path: Path) -> None:
    """``pytest --fixtures`` shows them with what they do."""
    shown = pytest_in(tmp_path, "--fixtures", "-p", "no:asyncio")
    for name in ("ots_settings", "ots_async_client", "ots_environment", "no_sleep"):
        assert f"\n{name} " in shown
    assert "An emulator on a free port of this machine" in shown
    assert "A client of the emulator with an instance of its own" in shown


def test_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    """A session that uses none of its fixtures pays nothing for it."""
    (tmp_path / "test_light.py").write_text(
        "import sys\n\n\ndef test_light(request):\n"
        "    assert request.config.pluginmanager.hasplugin('ots_config')\n"
        "    assert not {'tablestore', 'pydantic', 'requests', 'keyring', 'aiohttp'} & set(sys.modules)\n"
    )
    assert "1 passed" in pytest_in(tmp_path, "-p", "no:asyncio")


STRICT = ("-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function")

ASYNC = """
import pytest
from tablestore import CapacityUnit, ReservedThroughput, Row, TableMeta, TableOptions

from ots_config import create_async_client


@pytest.mark.asyncio
async def test_a_task_has_a_client(ots_async_client, ots_client):
    meta = TableMeta("orders", [("id", "INTEGER")])
    await ots_async_client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    await ots_async_client.put_row("orders", Row([("id", 1)], [("state", "paid")]))
    assert list(ots_client.list_table()) == ["orders"]


@pytest.mark.asyncio
async def test_the_next_task_starts_empty(ots_async_client):
    assert list(await ots_async_client.list_table()) == []


@pytest.mark.asyncio
async def test_tasks_do_not_wait(ots_async_client, ots_emulator, no_sleep):
    ots_emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=2)
    await ots_async_client.list_table()
    assert len(no_sleep) == 2


@pytest.mark.asyncio
async def test_an_asynchronous_application(ots_environment):
    async with create_async_client() as client:
        assert list(await client.list_table()) == []
"""


WITHOUT_ASYNCIO = """
import asyncio


def test_a_client_can_be_entered(ots_async_client):
    async def run():
        async with ots_async_client as client:
            return list(await client.list_table())

    assert asyncio.run(run()) == []
"""


APPLICATION = """
import os

from tablestore import CapacityUnit, ReservedThroughput, TableMeta, TableOptions

from ots_config import create_client


def application():
    with create_client() as client:
        meta = TableMeta("orders", [("id", "INTEGER")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))


def test_an_application_reaches_the_emulator(ots_environment, ots_client, ots_emulator):
    application()
    assert list(ots_client.list_table()) == ["orders"]
    assert os.environ["OTS_ENDPOINT"] == ots_emulator.endpoint
    assert "OTS_ROLE_ARN" not in os.environ


def test_the_environment_is_as_before():
    assert os.environ["OTS_ENDPOINT"] == "https://production.cn-hangzhou.ots.aliyuncs.com"
    assert os.environ["OTS_ROLE_ARN"]
"""
PRODUCTION = {
    "OTS_ENDPOINT": "https://production.cn-hangzhou.ots.aliyuncs.com",
    "OTS_ROLE_ARN": "acs:ram::1234567890123456:role/production",
    "OTS_CREDENTIALS": "ecs",
    "ALIBABA_CLOUD_PROFILE": "production",
    "http_proxy": "http://127.0.0.1:9",
}


def test_an_application_under_test_reaches_the_emulator(tmp_path: Path) -> None:
    """``create_client()`` inside of it uses the emulator, though the environment leads to production.

    Where pytest-asyncio is not installed, as here, the asynchronous client is there to be entered.
    """
    (tmp_path / "test_application.py").write_text(APPLICATION)
    (tmp_path / "test_tasks.py").write_text(WITHOUT_ASYNCIO)
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "pytest_asyncio.py").write_text("raise ImportError('hidden by the test')")
    path = f"{tmp_path / 'hide'}:{os.environ.get('PYTHONPATH', '')}"
    assert "3 passed" in pytest_in(tmp_path, "-p", "no:asyncio", PYTHONPATH=path, **PRODUCTION)


def test_the_fixtures_and_the_page_work_with_xdist_and_pytest_asyncio(tmp_path: Path) -> None:
    """Each worker has an emulator of its own, each test an instance, and a client is closed in its test's loop.

    The blocks of the page about testing, one after the other in one file, are tests that pass.
    """
    (tmp_path / "test_orders.py").write_text(EXAMPLE)
    (tmp_path / "test_tasks.py").write_text(ASYNC)
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(blocks))
    shown = pytest_in(tmp_path, "-n", "2", *STRICT)
    assert len(blocks) == 6
    assert re.search(r"\b30 passed, 1 skipped", shown), shown  # make_refused is not defined on the page
