"""What becomes of a response that is no success."""

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any

import pytest

from ots_config.client.codec import read_error
from ots_config.credentials.credentials import Credentials
from ots_config.errors import AuthenticationFailed, RequestError, ResponseInvalid
from ots_config.request.attempt import Authenticator
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_decision import FailureKind, classify
from ots_config.request.signing import Signer

KEY = Credentials("id", "secret", source="test")


def verified(**headers: str) -> RequestError:
    """Return what becomes of a gateway's page with these headers."""
    authenticator = Authenticator(signer=Signer("demo"), read_error=read_error, logger=logging.getLogger("test"))
    _, key, now = authenticator.sign(OPERATIONS["GetRow"], b"", KEY)
    response = HTTPResponse(503, "Service Unavailable", headers, b"<html>busy</html>")
    outcome: Any = authenticator.verify(OPERATIONS["GetRow"], response, KEY, key, now)
    return outcome


def test_a_gateway_page() -> None:
    """A page that is not the service's own is described by its status, not by its text."""
    error = verified()
    assert isinstance(error, ResponseInvalid)
    assert (error.http_status, error.retry_after) == (503, None)
    assert "busy" not in str(error)


def test_retry_after_in_seconds() -> None:
    """``Retry-After: 7`` is seven seconds."""
    assert verified(**{"retry-after": "7"}).retry_after == 7


def test_retry_after_as_a_date() -> None:
    """``Retry-After`` may be a date, and one of the past asks for no wait."""
    ahead = verified(**{"retry-after": formatdate(time.time() + 100, usegmt=True)}).retry_after
    assert ahead is not None
    assert 0 < ahead <= 100
    assert verified(**{"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}).retry_after == 0


@pytest.mark.parametrize("text", ["soon", "-1", "", "1.5", "٣", "9999999999", "Fri, 31 Dec 99999 23:59:59 GMT"])
def test_a_malformed_retry_after_is_ignored(text: str) -> None:
    """What is neither a plausible number of seconds nor a date is ignored."""
    assert verified(**{"retry-after": text}).retry_after is None


def refusal(authenticator: Authenticator, ahead: float, message: str = "Signature mismatch.") -> RequestError:
    """Return what a refusal becomes whose date is so many seconds ahead."""
    _, key, now = authenticator.sign(OPERATIONS["GetRow"], b"", KEY)
    date = (datetime.now(UTC) + timedelta(seconds=ahead)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = b'{"code": "OTSAuthFailed", "message": "%s"}' % message.encode()
    response = HTTPResponse(403, "Forbidden", {"x-ots-date": date}, body)
    outcome: Any = authenticator.verify(OPERATIONS["GetRow"], response, KEY, key, now)
    assert isinstance(outcome, AuthenticationFailed)
    return outcome


@pytest.mark.parametrize("ahead", [1200.0, -1200.0])
def test_a_refusal_whose_date_is_far_off_is_about_the_clock(ahead: float) -> None:
    """A date that differs by more than 15 minutes is the reason, in whatever words, unless it was corrected already."""
    authenticator = Authenticator(signer=Signer("demo"), read_error=read_error, logger=logging.getLogger("test"))
    assert classify(refusal(authenticator, ahead)) is FailureKind.CLOCK
    assert classify(refusal(authenticator, ahead / 2)) is FailureKind.AUTHENTICATION
    authenticator.correct_clock(ahead)
    assert classify(refusal(authenticator, ahead)) is FailureKind.AUTHENTICATION
