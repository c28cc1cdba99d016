"""A retry policy that fails ends the call with the request's own error, and never replaces that error."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import tenacity

from ots_config.errors import RequestError, Throttled
from ots_config.request.deadline import Deadline
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_decision import CallState
from ots_config.request.retry_policy import RetryPolicy, as_policy

BROKEN = ZeroDivisionError("broken\nhere")


class Unspeakable(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise ValueError


def result(value: Any) -> Callable[..., Any]:
    """Return a function that raises an exception, or returns any other value."""

    def function(*_: Any) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return function


def own(retry: Any, wait: Any) -> Any:
    """Return a subclass's policy."""

    class Own(RetryPolicy):
        should_retry = result(retry)
        get_retry_delay = result(wait)

    return Own()


def official(retry: Any, wait: Any) -> Any:
    """Return what looks like a policy of the official SDK."""

    class Official:
        should_retry = result(retry)
        get_retry_delay = result(wait)

    return Official()


def strategies(retry: Any, wait: Any) -> Any:
    """Return a policy of tenacity's strategies."""
    return RetryPolicy(retry=result(retry), wait=result(wait))


def retrying(retry: Any, wait: Any) -> Any:
    """Return a whole ``tenacity.Retrying``."""
    return tenacity.Retrying(retry=result(retry), wait=result(wait))


KINDS = [own, official, strategies, retrying]


def fail(policy: Any) -> tuple[CallState, Throttled]:
    """Return the state of a call with this policy, and the error of its first attempt."""
    state = CallState(OPERATIONS["PutRow"], as_policy(policy), RetryBudget(), time.monotonic(), Deadline.after(60))
    return state, Throttled(503, "OTSServerBusy", "Server is busy.", "rid")


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "answer", [BROKEN, Unspeakable(), TimeoutError(), None, float("nan"), 0.5, "no", b""], ids=repr
)
def test_a_decision_that_fails_is_a_note(make: Callable[..., Any], answer: Any) -> None:
    """What is neither true nor false, or is raised, ends the call with the service's error and a note."""
    state, error = fail(make(answer, 0.0))
    with pytest.raises(Throttled) as caught:
        state.after(error)
    assert caught.value is error
    assert error.policy_failed
    (note,) = error.__notes__
    assert "should_retry failed" in note
    assert note.isprintable()
    assert error.__context__ is error.__cause__ is None


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(
    "answer", [BROKEN, None, float("nan"), -0.1, "3", b"3", 10**400, {}], ids=lambda a: repr(a)[:9]
)
def test_a_delay_that_fails_is_a_note(make: Callable[..., Any], answer: Any) -> None:
    """What is no number of seconds, or is raised, ends the call with the service's error and a note."""
    state, error = fail(make(1, answer))
    with pytest.raises(Throttled) as caught:
        state.after(error)
    assert caught.value is error
    assert error.policy_failed
    (note,) = error.__notes__
    assert "get_retry_delay failed" in note
    assert state.retries == 0


def test_a_note_says_what_failed_and_where() -> None:
    """The note names the type, the place and the text, in one line."""
    state, error = fail(own(BROKEN, 0))
    with pytest.raises(Throttled):
        state.after(error)
    assert "ZeroDivisionError at test_policy_failures.py:" in error.__notes__[0]
    assert error.__notes__[0].endswith(": broken here")


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize(("answer", "wait"), [(1, 1), ([0], Decimal("1.5")), (True, 2.5)])
def test_usual_answers_are_taken(make: Callable[..., Any], answer: Any, wait: Any) -> None:
    """Any true object, as tenacity takes it, and any kind of number mean what they say."""
    state, error = fail(make(answer, wait))
    assert state.after(error).delay == float(wait)


@pytest.mark.parametrize("make", KINDS)
def test_a_policy_that_raises_the_error_itself_adds_nothing(make: Callable[..., Any]) -> None:
    """Raising the request's error is a way to end a call, and needs no note."""
    error = Throttled(503, "OTSServerBusy", "Server is busy.", "rid")
    state, _ = fail(make(error, 0))
    with pytest.raises(Throttled) as caught:
        state.after(error)
    assert caught.value is error
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes(make: Callable[..., Any], kind: type[BaseException]) -> None:
    """An interruption while a policy is asked is neither swallowed nor changed."""
    for policy in (make(kind("stop"), 0), make(1, kind("stop"))):
        state, error = fail(policy)
        with pytest.raises(kind) as caught:
            state.after(error)
        assert caught.value.args == ("stop",)


def test_a_schedule_of_nonsense_is_an_error() -> None:
    """``schedule`` is called by the user, who sees what is wrong with the policy."""
    error: RequestError = Throttled(503, "OTSServerBusy", "Server is busy.")
    with pytest.raises(ValueError, match="-1"):
        own(1, -1).schedule(error)
