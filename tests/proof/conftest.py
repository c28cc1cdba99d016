"""The tables of the proofs: each test adds rows, ``make proof`` writes them to ``docs/proof.md``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ots_config import Emulator
from tests.proof.certificates import Authority
from tests.proof.report import write_report
from tests.proof.scale import MUTANTS, RESULTS

_MARK = "proof"
_rows: list[tuple[str, dict[str, Any]]] = []

Tell = Callable[..., None]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the rows that a test added, also from the processes of xdist."""
    if report.when == "call":
        _rows.extend((table, dict(row)) for name, (table, row) in report.user_properties if name == _MARK)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, in the process that has all rows."""
    if RESULTS and not hasattr(session.config, "workerinput"):
        mutants = json.loads(Path(MUTANTS).read_text()) if Path(MUTANTS).is_file() else []
        write_report(Path(RESULTS), [*_rows, *((table, row) for table, row in mutants)])


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Tell:
    """Return a function that adds a row to a table of the report."""

    def add(table: str, **row: Any) -> None:
        record_property(_MARK, (table, row))

    return add


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority for the session."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def running_tls(authority: Authority) -> Iterator[Emulator]:
    """One emulator with TLS for this module, by a name that only a proxy reaches, and as localhost."""
    certificate = authority.issue("server")
    with Emulator(certificate=certificate.chain, key=certificate.key) as emulator:
        yield emulator
