"""What follows a response of a gateway, which the service has neither written nor signed."""

import logging
import time
from typing import Any

import pytest

from ots_config.client.codec import read_error
from ots_config.credentials.credentials import Credentials
from ots_config.errors import RequestError, ResponseInvalid
from ots_config.request.attempt import Authenticator
from ots_config.request.deadline import Deadline
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_decision import CallState
from ots_config.request.retry_policy import DefaultRetryPolicy, RetryPolicy, WriteRetryPolicy
from ots_config.request.signing import Signer

KEY = Credentials("id", "secret", source="test")


class Always(RetryPolicy):
    """A policy that would try anything again."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Return True."""
        return True


def page(name: str, status: int, **headers: str) -> RequestError:
    """Return the error that a gateway's page becomes, as the response to an operation."""
    operation = OPERATIONS[name]
    authenticator = Authenticator(signer=Signer("demo"), read_error=read_error, logger=logging.getLogger("test"))
    _, key, now = authenticator.sign(operation, b"", KEY)
    outcome: Any = authenticator.verify(operation, HTTPResponse(status, "", headers, b"<html></html>"), KEY, key, now)
    assert isinstance(outcome, ResponseInvalid)
    assert outcome.http_status == status
    return outcome


def recovery(name: str, policy: RetryPolicy, *, repeatable: bool = False) -> CallState:
    """Return the recovery of a call that began just now."""
    made = CallState(
        OPERATIONS[name], policy=policy, budget=RetryBudget(), started=time.monotonic(), deadline=Deadline.after(60.0)
    )
    made.repeatable = repeatable
    return made


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_read_is_tried_again(status: int) -> None:
    """A gateway that is overloaded, or has lost the service's response, may pass on the next one."""
    assert recovery("GetRow", DefaultRetryPolicy()).after(page("GetRow", status)).delay > 0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_write_that_is_safe_to_repeat_is_tried_again_by_the_write_policy(status: int) -> None:
    """``WriteRetryPolicy`` sends a write that is safe to repeat once more."""
    assert recovery("PutRow", WriteRetryPolicy(), repeatable=True).after(page("PutRow", status)).delay > 0


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_write_that_is_safe_to_repeat_is_raised_by_default(status: int) -> None:
    """The default policy does not repeat a write that the service may have carried out behind the gateway."""
    with pytest.raises(ResponseInvalid) as caught:
        recovery("PutRow", DefaultRetryPolicy(), repeatable=True).after(page("PutRow", status))
    assert caught.value.may_have_happened


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("name", ["UpdateRow", "CreateTable"])
def test_another_write_is_raised_and_may_have_happened(name: str, status: int) -> None:
    """No policy repeats a write that is not safe to repeat, and the error says that it may have been carried out."""
    with pytest.raises(ResponseInvalid) as caught:
        recovery(name, Always()).after(page(name, status))
    assert caught.value.may_have_happened
    assert "may have happened" in str(caught.value)


@pytest.mark.parametrize("status", [301, 400, 403, 404, 413])
def test_a_refusal_of_the_gateway_is_raised(status: int) -> None:
    """Another status says that the gateway does not pass the request on: nothing is sent again, nothing happened."""
    with pytest.raises(ResponseInvalid):
        recovery("GetRow", DefaultRetryPolicy()).after(page("GetRow", status))
    with pytest.raises(ResponseInvalid) as caught:
        recovery("PutRow", WriteRetryPolicy(), repeatable=True).after(page("PutRow", status))
    assert not caught.value.may_have_happened


@pytest.mark.parametrize("status", [408, 429, 500])
def test_a_gateway_may_ask_for_a_longer_wait(status: int) -> None:
    """A gateway's ``Retry-After`` is waited for."""
    assert recovery("GetRow", DefaultRetryPolicy()).after(page("GetRow", status, **{"retry-after": "17"})).delay == 17


def test_a_limit_on_the_flow_is_waited_out_by_default() -> None:
    """A read and a safe write are sent again after the longer wait, also by the default policy."""
    for name, repeatable in (("GetRow", False), ("PutRow", True)):
        state = recovery(name, DefaultRetryPolicy(), repeatable=repeatable)
        assert 0.25 <= state.after(page(name, 429)).delay <= 0.5
