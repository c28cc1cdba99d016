"""What every provider and every retry policy must do, as tests: a class of one's own inherits them."""

from __future__ import annotations

import asyncio
import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials, Secret
from ots_config.credentials.health import Health
from ots_config.credentials.provider import Provider
from ots_config.errors import (
    ConnectFailed,
    CredentialsError,
    CredentialsRefused,
    CredentialsUnavailable,
    RequestError,
    ResponseInvalid,
    ResponseLost,
    ServiceError,
    Throttled,
)
from ots_config.request.retry_decision import classify
from ots_config.request.retry_policy import RetryPolicy, as_policy

_THREADS = 8
_MAX_RETRIES = 1000
_LONGEST_DELAY = 3600.0


class ProviderContract:
    """The tests of a provider; inherit them and define how one is made.

    For example::

        class TestVaultProvider(ProviderContract):
            def make_provider(self):
                return VaultProvider(path="ots")

    ``make_unconfigured`` and ``make_refused`` add the tests of what happens without credentials.
    """

    def make_provider(self) -> Provider:
        """Return a new provider that has credentials now."""
        raise NotImplementedError

    def make_unconfigured(self) -> Provider:
        """Return a provider that is not configured here; without one, its tests are skipped."""
        pytest.skip("make_unconfigured is not defined")

    def make_refused(self) -> Provider:
        """Return a provider that is configured and fails; without one, its tests are skipped."""
        pytest.skip("make_refused is not defined")

    def test_it_is_a_provider(self) -> None:
        """The base class gives the optional methods their defaults."""
        assert isinstance(self.make_provider(), Provider)

    def test_it_returns_one_whole_snapshot(self) -> None:
        """Credentials come as one immutable value that has an id, a secret and a source."""
        found = self.make_provider().get_credentials()
        assert isinstance(found, Credentials), f"get_credentials returned a {type(found).__name__}"
        assert found.access_key_id
        assert isinstance(found.access_key_secret, Secret)
        assert found.source

    def test_they_are_not_expired(self) -> None:
        """What is returned can be used now."""
        found = self.make_provider().get_credentials()
        if found.expires_at is not None:
            from datetime import UTC, datetime

            assert found.expires_at > datetime.now(UTC), "the credentials have expired"

    def test_an_id_has_one_secret(self) -> None:
        """Two snapshots with one id have one secret: id, secret and token are taken from one place at once."""
        provider = self.make_provider()
        first, second = provider.get_credentials(), provider.get_credentials()
        if first.access_key_id == second.access_key_id:
            assert _revealed(first) == _revealed(second)

    def test_threads_get_whole_snapshots(self) -> None:
        """Threads may share a provider."""
        provider = self.make_provider()
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda _: provider.get_credentials(), range(4 * _THREADS)))
        secrets = {one.access_key_id: _revealed(one) for one in found}
        assert all(_revealed(one) == secrets[one.access_key_id] for one in found)

    def test_tasks_get_credentials_too(self) -> None:
        """The asyncio method returns the same kind of snapshot."""
        found = asyncio.run(self.make_provider().get_credentials_async())
        assert isinstance(found, Credentials), f"get_credentials_async returned a {type(found).__name__}"

    def test_refused_credentials_are_answered(self) -> None:
        """After a refusal there are credentials, or one of the two errors; nothing else is raised."""
        provider = self.make_provider()
        try:
            found = provider.force_refresh(provider.get_credentials())
        except CredentialsError:
            return
        assert isinstance(found, Credentials), f"force_refresh returned a {type(found).__name__}"

    def test_it_shows_no_secret(self) -> None:
        """Neither its name, its descriptions nor its condition have a secret in them."""
        provider = self.make_provider()
        found = provider.get_credentials()
        shown = (
            f"{provider.name} {provider.describe()} {provider!r} {provider.named_by()} {provider.health()} {found!r}"
        )
        for secret in _revealed(found):
            assert not secret or secret not in shown, "a secret is shown"

    def test_it_can_be_named(self) -> None:
        """Reports have one line of text for it."""
        provider = self.make_provider()
        assert isinstance(provider.name, str)
        assert provider.name
        for text in (provider.name, provider.describe(), provider.named_by()):
            assert isinstance(text, str)
            assert text.isprintable()

    def test_its_condition_is_known(self) -> None:
        """Its health is available before and after it was asked."""
        provider = self.make_provider()
        assert isinstance(provider.health(), Health)
        provider.get_credentials()
        assert isinstance(provider.health(), Health)

    def test_rotations_can_be_watched_and_left(self) -> None:
        """``on_rotate`` returns a function that ends it."""
        leave = self.make_provider().on_rotate(lambda *_: None)
        leave()

    def test_not_configured_is_unavailable(self) -> None:
        """Where it is not configured it says so with the one error after which a chain goes on."""
        provider = self.make_unconfigured()
        with pytest.raises(CredentialsUnavailable):
            provider.get_credentials()

    def test_failing_is_refused(self) -> None:
        """Where it is configured and fails it raises the error that stops a chain: no other identity is used."""
        provider = self.make_refused()
        with pytest.raises(CredentialsRefused):
            provider.get_credentials()


class RetryPolicyContract:
    """The tests of a retry policy; inherit them and define how one is made.

    For example::

    class TestPatientPolicy(RetryPolicyContract):
        def make_policy(self):
            return PatientPolicy()
    """

    def make_policy(self) -> Any:
        """Return a new policy: whatever ``retry_policy=`` takes."""
        raise NotImplementedError

    def test_a_client_takes_it(self) -> None:
        """It is something that ``retry_policy=`` accepts."""
        assert isinstance(as_policy(self.make_policy()), RetryPolicy)

    def test_its_decisions_are_booleans(self) -> None:
        """Whatever failed, and however often, the decision is True or False, and nothing is raised."""
        policy = as_policy(self.make_policy())
        for operation, error in _failures():
            for retries in (0, 1, 30, 10_000):
                decision = policy.should_retry(retries, error, operation)
                assert isinstance(decision, bool), f"should_retry returned {decision!r} for {error!r}"

    def test_its_delays_are_seconds(self) -> None:
        """A delay is a number from 0 to an hour, for each retry that the policy wants."""
        policy = as_policy(self.make_policy())
        for operation, error in _failures():
            for retries in range(30):
                if not policy.should_retry(retries, error, operation):
                    break
                delay = policy.get_retry_delay(retries, error, operation)
                assert isinstance(delay, int | float), f"get_retry_delay returned {delay!r} for {error!r}"
                assert not isinstance(delay, bool)
                assert math.isfinite(delay)
                assert 0 <= delay <= _LONGEST_DELAY, f"get_retry_delay returned {delay!r} for {error!r}"

    def test_it_gives_up(self) -> None:
        """A call that fails again and again ends: by the policy, or because its delays reach the deadline."""
        policy = as_policy(self.make_policy())
        for operation, error in _failures():
            assert len(policy.schedule(error, operation)) < _MAX_RETRIES, f"{error!r} is retried without an end"

    def test_it_keeps_the_error_as_it_is(self) -> None:
        """The error that the caller gets is the request's own, unchanged."""
        policy = as_policy(self.make_policy())
        for operation, error in _failures():
            classify(error)  # notes the kind in the error
            before = (copy.copy(error.__dict__), error.args, str(error))
            if policy.should_retry(0, error, operation):
                policy.get_retry_delay(0, error, operation)
            assert (error.__dict__, error.args, str(error)) == before

    def test_calls_do_not_share_a_state(self) -> None:
        """Many calls use one policy at once: what it decided for one changes nothing for another."""
        policy = as_policy(self.make_policy())
        error = Throttled(503, "OTSServerBusy", "Server is busy.")
        error.reads = True
        before = [policy.should_retry(retries, error, "GetRow") for retries in range(5)]
        for _ in range(50):
            policy.should_retry(7, error, "PutRow")
        assert [policy.should_retry(retries, error, "GetRow") for retries in range(5)] == before

    def test_its_owner_gets_the_services_error(self) -> None:
        """With a client and a server that is always busy, a call ends with the server's own error, without a note."""
        from ots_config.client.sync_client import OTSClient
        from ots_config.emulator.emulator import Emulator
        from ots_config.testing.sleep import no_sleep

        with Emulator() as emulator, no_sleep():
            emulator.fault(kind="error", code="OTSServerBusy")
            settings = emulator.settings_for(
                "demo", retry={"deadline": 1.0, "budget_rate": 1000.0, "budget_share": 10.0}
            )
            with OTSClient(settings=settings, retry_policy=self.make_policy()) as client:
                with pytest.raises(RequestError) as caught:
                    client.list_table()
                assert caught.value.code == "OTSServerBusy"
                assert getattr(caught.value, "__notes__", []) == [], "the policy failed"


def _revealed(credentials: Credentials) -> tuple[str, str]:
    token = credentials.sts_token
    return credentials.access_key_secret.reveal(), "" if token is None else token.reveal()


def _failures() -> list[tuple[str, RequestError]]:
    """Return every kind of failure, of an operation that reads and of two that write."""
    failures: list[tuple[str, RequestError]] = []
    for operation, reads, repeatable in (("GetRow", True, True), ("PutRow", False, True), ("UpdateRow", False, False)):
        for error in (
            Throttled(503, "OTSServerBusy", "Server is busy."),
            ServiceError(403, "OTSConditionCheckFail", "Condition check failed."),
            ServiceError(500, "OTSInternalServerError", "Internal server error."),
            ConnectFailed("connection refused"),
            ResponseLost("the connection was reset"),
            ResponseInvalid("the signature does not match"),
        ):
            error.reads, error.repeatable = reads, repeatable
            failures.append((operation, error))
    return failures
