"""The table of retries, and the policies that a user may pass."""

import itertools
from typing import Any

import pytest
import tenacity

from ots_config import errors
from ots_config.errors import (
    AuthenticationFailed,
    ConnectFailed,
    ProxyRefused,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    ServiceError,
    UntrustedServer,
)
from ots_config.request.retry_decision import FailureKind, classify, decide
from ots_config.request.retry_policy import (
    POLICIES,
    DefaultRetryPolicy,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    RetryPolicy,
    WriteRetryPolicy,
    as_policy,
)
from ots_config.sdk import tablestore


def service(code: str, status: int = 503, message: str = "") -> ServiceError:
    """Return an error that the service answered with."""
    return ServiceError(status, code, message)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConnectFailed(""), FailureKind.NEVER_SENT),
        (UntrustedServer(""), FailureKind.FINAL),
        (ProxyRefused(""), FailureKind.FINAL),
        (RequestInvalid(""), FailureKind.FINAL),
        (ResponseLost(""), FailureKind.UNCERTAIN),
        (ResponseInvalid("", http_status=200), FailureKind.UNCERTAIN),
        (ResponseInvalid("", http_status=502), FailureKind.UNCERTAIN),
        (ResponseInvalid("", http_status=408), FailureKind.UNCERTAIN),
        (ResponseInvalid("", http_status=429), FailureKind.LIMITED),
        (service("OTSFlowControl", 429), FailureKind.LIMITED),
        (service("OTSUnheardOf", 429), FailureKind.LIMITED),
        (service("OTSUnheardOf", 408), FailureKind.UNCERTAIN),
        (ResponseInvalid("", http_status=404), FailureKind.FINAL),
        (ResponseInvalid("", http_status=302), FailureKind.FINAL),
        (service("OTSServerBusy"), FailureKind.THROTTLED),
        (service("OTSNotEnoughCapacityUnit", 403), FailureKind.THROTTLED),
        (service("OTSOperationThrottled"), FailureKind.THROTTLED),
        (service("OTSQuotaExhausted", 403, "Too frequent table operations."), FailureKind.THROTTLED),
        (service("OTSQuotaExhausted", 403, "Number of tables exceeded the quota."), FailureKind.FINAL),
        (service("OTSRowOperationConflict", 409), FailureKind.REFUSED),
        (service("OTSTableNotReady", 404), FailureKind.REFUSED),
        (service("OTSPartitionUnavailable"), FailureKind.REFUSED),
        (service("OTSTimeout"), FailureKind.UNCERTAIN),
        (service("OTSServerUnavailable"), FailureKind.UNCERTAIN),
        (service("OTSInternalServerError", 500), FailureKind.UNCERTAIN),
        (service("OTSUnheardOf", 504), FailureKind.UNCERTAIN),
        (service("OTSParameterInvalid", 400), FailureKind.FINAL),
        (service("OTSConditionCheckFail", 403), FailureKind.FINAL),
        (service("OTSObjectNotExist", 404), FailureKind.FINAL),
        (AuthenticationFailed(403, "OTSAuthFailed", "Signature mismatch."), FailureKind.AUTHENTICATION),
        (
            AuthenticationFailed(403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: 2020."),
            FailureKind.CLOCK,
        ),
        (ValueError(), FailureKind.FINAL),
    ],
)
def test_what_an_error_tells(error: Exception, failure: FailureKind) -> None:
    """Each error is of one kind."""
    assert classify(error) is failure


@pytest.mark.parametrize("failure", [FailureKind.NEVER_SENT, FailureKind.REFUSED, FailureKind.THROTTLED])
def test_what_did_nothing_is_tried_again(failure: FailureKind) -> None:
    """Every operation is tried again if the service has done nothing."""
    for reads, repeatable, writes in itertools.product((True, False), repeat=3):
        assert decide(failure, reads=reads, repeatable=repeatable, retry_writes=writes)


def test_what_may_have_happened() -> None:
    """Reads are tried again; writes only if they are repeatable and the policy repeats writes."""
    for reads, repeatable, writes in itertools.product((True, False), repeat=3):
        again = decide(FailureKind.UNCERTAIN, reads=reads, repeatable=repeatable, retry_writes=writes)
        assert again is (reads or (repeatable and writes))


@pytest.mark.parametrize("failure", [FailureKind.FINAL, FailureKind.AUTHENTICATION, FailureKind.CLOCK])
def test_what_is_final(failure: FailureKind) -> None:
    """What another try would not change is raised."""
    assert not decide(failure, reads=True, repeatable=True, retry_writes=True)


def test_the_default_policy_is_the_documented_one() -> None:
    """At most 20 retries, delays doubling from 0.5 s (throttle) or 0.2 s to 3 s, half of each random."""
    policy = DefaultRetryPolicy()
    busy = service("OTSServerBusy")
    assert [policy.should_retry(n, busy, "PutRow") for n in (0, 19, 20)] == [True, True, False]
    for error, first in ((busy, 0.5), (ConnectFailed(""), 0.2)):
        for n in range(20):
            longest = min(first * 2**n, 3.0)
            assert longest / 2 <= policy.get_retry_delay(n, error, "PutRow") <= longest


def test_delays_are_spread() -> None:
    """Two clients that fail together do not come back together."""
    policy = DefaultRetryPolicy()
    delays = {policy.get_retry_delay(3, service("OTSServerBusy"), "PutRow") for _ in range(20)}
    assert len(delays) > 15


def test_the_write_policy_repeats_repeatable_writes() -> None:
    """``WriteRetryPolicy`` differs from the default for a repeatable write that may have happened, and only there."""
    lost = ResponseLost("")
    assert not WriteRetryPolicy().should_retry(0, lost, "UpdateRow")
    lost.repeatable = True
    assert WriteRetryPolicy().should_retry(0, lost, "UpdateRow")
    assert not DefaultRetryPolicy().should_retry(0, lost, "UpdateRow")
    lost.reads = True
    assert DefaultRetryPolicy().should_retry(0, lost, "GetRow")


def test_the_simple_policies() -> None:
    """``NoRetryPolicy`` never retries; ``NoDelayRetryPolicy`` does, without waiting."""
    assert not NoRetryPolicy().should_retry(0, service("OTSServerBusy"), "GetRow")
    assert NoDelayRetryPolicy().should_retry(0, service("OTSServerBusy"), "GetRow")
    assert NoDelayRetryPolicy().get_retry_delay(5, service("OTSServerBusy"), "GetRow") == 0


def test_strategies_of_tenacity_compose() -> None:
    """``stop``, ``wait`` and ``retry`` of tenacity make a policy, alone or combined."""
    policy = RetryPolicy(
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(60),
        wait=tenacity.wait_fixed(1) + tenacity.wait_random(0, 1),
        retry=tenacity.retry_if_exception_type(ServiceError),
    )
    assert [policy.should_retry(n, service("OTSAnything", 400), "GetRow") for n in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not policy.should_retry(0, ConnectFailed(""), "GetRow")
    assert 1 <= policy.get_retry_delay(0, service(""), "GetRow") <= 2


def test_stop_after_delay_counts_from_the_call() -> None:
    """``stop_after_delay`` looks at the time since the call began, which the error carries."""
    policy = RetryPolicy(stop=tenacity.stop_after_delay(10))
    error = ConnectFailed("")
    error.elapsed = 9.0
    assert policy.should_retry(0, error, "GetRow")
    error.elapsed = 11.0
    assert not policy.should_retry(0, error, "GetRow")


def test_a_retrying_is_a_policy() -> None:
    """A ``tenacity.Retrying`` gives its strategies."""
    policy = as_policy(tenacity.Retrying(stop=tenacity.stop_after_attempt(2), wait=tenacity.wait_fixed(7)))
    error = ConnectFailed("")
    assert [policy.should_retry(n, error, "GetRow") for n in (0, 1)] == [True, False]
    assert policy.get_retry_delay(0, error, "GetRow") == 7


def test_an_official_policy_is_a_policy() -> None:
    """A policy of the official SDK decides about the service's errors; it knows no others, so the table does there."""
    policy = as_policy(tablestore.DefaultRetryPolicy())
    assert policy.should_retry(0, service("OTSServerBusy"), "PutRow")
    assert not policy.should_retry(0, service("OTSTimeout"), "PutRow")
    assert policy.should_retry(0, ConnectFailed(""), "PutRow")
    assert policy.get_retry_delay(0, ConnectFailed(""), "PutRow") <= 0.2


def test_a_class_is_a_policy() -> None:
    """A policy may be given as its class."""
    assert isinstance(as_policy(WriteRetryPolicy), WriteRetryPolicy)


@pytest.mark.parametrize("wrong", ["write", 3, object()])
def test_what_is_no_policy_is_refused(wrong: Any) -> None:
    """Anything else is a ``TypeError`` that says what may be given."""
    with pytest.raises(TypeError, match="RetryPolicy"):
        as_policy(wrong)


def test_official_attributes_change_the_policy() -> None:
    """A subclass sets ``max_retry_times`` and the other numbers as for the official SDK."""

    class Short(DefaultRetryPolicy):
        max_retry_times = 1
        max_retry_delay = 0.1

    assert not Short().should_retry(1, service("OTSServerBusy"), "GetRow")
    assert Short().get_retry_delay(9, service("OTSServerBusy"), "GetRow") <= 0.1


def test_the_names_of_the_settings() -> None:
    """The settings' four names stand for the four policies."""
    assert set(POLICIES) == {"default", "write", "none", "no-delay"}


def test_every_request_error_is_classified_on_purpose() -> None:
    """No class of the tree falls through the table unseen."""

    def subclasses(cls: type) -> set[type]:
        return {cls, *(c for s in cls.__subclasses__() for c in subclasses(s))}

    ours = {c for c in subclasses(errors.RequestError) if c.__bases__[-1].__module__ != "tablestore.error"}
    assert {c.__name__ for c in ours} == {
        "RequestError",
        "RequestInvalid",
        "ConnectFailed",
        "UntrustedServer",
        "ProxyRefused",
        "ResponseLost",
        "ResponseInvalid",
        "ServiceError",
        "Throttled",
        "AuthenticationFailed",
    }


def test_a_schedule_shows_the_delays() -> None:
    """``schedule`` tells the delays of a call that never succeeds, and waits for none of them."""
    busy = service("OTSServerBusy")
    delays = DefaultRetryPolicy(max_retry_times=5).schedule(busy, "PutRow")
    assert len(delays) == 5
    assert all(longest / 2 <= delay <= longest for delay, longest in zip(delays, (0.5, 1, 2, 3, 3), strict=True))
    assert sum(DefaultRetryPolicy().schedule(busy, "PutRow", longest=10)) < 10
    assert DefaultRetryPolicy().schedule(ResponseLost(""), "PutRow") == []
    assert len(WriteRetryPolicy().schedule(ResponseLost(""), "PutRow", longest=1000)) == 20
    assert WriteRetryPolicy().schedule(ResponseLost(""), "CreateTable") == []
    assert len(RetryPolicy(wait=tenacity.wait_none()).schedule(busy)) == 1000
