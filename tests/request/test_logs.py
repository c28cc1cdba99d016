"""Loggers and log files of clients."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ots_config.errors import AuthenticationFailed, CredentialsRefused, OTSConfigError, ServiceError
from ots_config.request.logs import FailureLog, logger_named


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """The name of a log file whose handlers are taken off after the test."""
    name = str(tmp_path / "table_store.log")
    yield name
    logger = logging.getLogger(name)
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


def test_no_name_is_our_logger() -> None:
    """Without a name it is ``ots_config``, and nothing of it is touched."""
    logger = logger_named(None)
    assert logger.name == "ots_config"
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert (logger.level, logger.propagate) == (logging.NOTSET, True)


def test_a_plain_name_is_left_alone() -> None:
    """A logger of the program's gets no handler and no level."""
    logger = logger_named("my.program")
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)


def test_a_log_file_is_made_by_its_first_record(name: str) -> None:
    """A name that ends in ``.log`` writes that file, from DEBUG on, when there is something to write."""
    logger = logger_named(name)
    assert not Path(name).exists()
    logger.debug("PutRow")
    assert "DEBUG PutRow" in Path(name).read_text()


def test_many_clients_share_one_file(name: str) -> None:
    """A hundred clients have one handler, so each record is written once."""
    for _ in range(100):
        logger = logger_named(name)
    logger.error("once")
    assert len(logger.handlers) == 1
    assert Path(name).read_text().count("once") == 1


def test_a_logger_that_the_program_has_set_up_keeps_its_level(name: str) -> None:
    """If the program gave the logger a level, that stands, and its records still reach the program."""
    logging.getLogger(name).setLevel(logging.ERROR)
    logger = logger_named(name)
    assert (logger.level, logger.propagate) == (logging.ERROR, True)
    logging.getLogger(name).setLevel(logging.NOTSET)


# --- failed calls ---


def refused() -> AuthenticationFailed:
    """Return the error of a call whose key was refused."""
    return AuthenticationFailed(403, "OTSAuthFailed", "no", "r1", {"attempts": 2, "elapsed": 0.5}, operation="GetRow")


def test_the_same_failure_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Twenty failures leave one ERROR record; the next one, a minute later, says how many were left out."""
    caplog.set_level(logging.DEBUG, "failures")
    now = [1000.0]
    log = FailureLog(logging.getLogger("failures"), lambda: now[0])
    for _ in range(20):
        log.add("GetRow", refused())
    now[0] += 60
    log.add("GetRow", refused())
    now[0] += 60
    log.add("GetRow", refused())
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert ["(19 more like it" in error for error in errors] == [False, True, False]
    assert len(caplog.records) == 22


def test_other_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Another operation or another code is another failure; an error of credentials has a code too."""
    log = FailureLog(logging.getLogger("failures"), lambda: 1000.0)
    log.add("GetRow", refused())
    log.add("PutRow", refused())
    log.add("GetRow", CredentialsRefused("no"))
    log.add("GetRow", CredentialsRefused("no"))
    assert len(caplog.records) == 3


def test_a_condition_that_does_not_hold_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The service did what was asked: a DEBUG record, each time."""
    caplog.set_level(logging.DEBUG, "failures")
    log = FailureLog(logging.getLogger("failures"))
    for _ in range(2):
        log.add("PutRow", ServiceError(403, "OTSConditionCheckFail", "Condition check failed.", operation="PutRow"))
    assert [record.levelname for record in caplog.records] == ["DEBUG"] * 2


@pytest.mark.parametrize("error", [refused(), CredentialsRefused("no")], ids=["request", "credentials"])
def test_a_record_has_fields(error: OTSConfigError, caplog: pytest.LogCaptureFixture) -> None:
    """What a formatter for JSON wants to know is in attributes of the record."""
    FailureLog(logging.getLogger("failures")).add("GetRow", error)
    fields = {name: value for name, value in vars(caplog.records[0]).items() if name.startswith("ots_")}
    assert (fields["ots_operation"], fields["ots_code"]) == ("GetRow", error.code)
    if isinstance(error, AuthenticationFailed):
        assert (fields["ots_request_id"], fields["ots_attempts"], fields["ots_elapsed"]) == ("r1", 2, 0.5)
        assert fields["ots_may_have_happened"] is False


def test_the_memory_of_failures_is_bounded() -> None:
    """However many kinds of failures there are, few are remembered."""
    log = FailureLog(logging.getLogger("failures"))
    for number in range(1500):
        log.add(f"Operation{number}", CredentialsRefused("no"))
    assert len(log._logged) <= 1000
