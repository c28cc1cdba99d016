"""Loggers and log files of clients."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ots_config.request.logs import logger_named


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
