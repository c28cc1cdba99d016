"""Every error that this library raises, and nothing else.

    OTSConfigError
    ├── SettingsError                  settings that cannot be used, with every problem
    ├── CredentialsError
    │   ├── CredentialsUnavailable     a source that is not configured here; a chain goes on
    │   └── CredentialsRefused         a source that is configured and fails; a chain stops
    └── RequestError                   one operation failed
        ├── RequestInvalid             the arguments cannot be encoded; nothing was sent
        ├── ConnectFailed              the request never reached the server
        │   ├── UntrustedServer        its certificate is not trusted, or it has none: trying again does not help
        │   └── ProxyRefused           a proxy does not let it pass: trying again does not help
        ├── ResponseLost               it was sent, and no whole response came back
        ├── ResponseInvalid            a response came that is not the service's own
        └── ServiceError               the service responded with an error code
            ├── Throttled              refused before it was done: too much load, or a conflict
            └── AuthenticationFailed   key, token, signature, date or instance were refused

Whatever a client operation raises is one of these *and* a ``tablestore.OTSServiceError`` (for ``ServiceError``)
or ``tablestore.OTSClientError`` (for all others), so ``except`` clauses written for the official SDK keep
working; ``ots_config.sdk.as_sdk_error`` adds those types. Reading this module loads no other library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ots_config.error_arguments import RebuiltFromArguments
from ots_config.shown_text import mask as mask  # noqa: PLC0414 - for whoever shows an error


class OTSConfigError(RebuiltFromArguments):
    """The root of this library's errors; ``type(error)(*error.args)`` makes an equal one.

        >>> ConnectFailed("no route to the host").docs
        'docs/errors.md#connectfailed'

    Attributes:
        code: The service's error code, ``OTSObjectNotExist``, or a stable word of ours, ``connect-failed``.
        message: What went wrong, in one sentence, without secrets.
        hint: How to fix it, in one sentence; empty if the message says all that is known.
        http_status: The HTTP status of the response, if there was one.
    """

    code: str = "error"
    hint: str = ""
    message: str
    http_status: int | None
    request_id: str = ""

    def __init__(
        self,
        message: str,
        http_status: int | None = None,
        request_id: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message
        self.http_status = http_status
        if request_id:
            self.request_id = request_id
        if facts is not None:
            self._set_attributes(facts)

    @property
    def docs(self) -> str:
        """Where the documentation describes this type."""
        own = next(cls.__name__ for cls in type(self).__mro__ if cls.__module__ == __name__)
        return f"docs/errors.md#{own.lower()}"

    def _arguments(self) -> tuple[Any, ...]:
        return (self.message, self.http_status, self.request_id)

    def __str__(self) -> str:
        return self.message


# --- settings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One thing that is wrong with the settings.

        >>> print(SettingsProblem("region", "is a zone", "prod.env line 3", "Did you mean cn-hangzhou?"))
        region: is a zone (from prod.env line 3). Did you mean cn-hangzhou?

    Attributes:
        field: The setting's name, nested with dots (``retry.deadline``).
        reason: What is wrong with it; never its value if it is a secret.
        origin: Where the value came from: ``argument``, ``environment variable OTS_ENDPOINT``, ``prod.env line 3``.
        hint: How to fix it.
    """

    field: str
    reason: str
    origin: str
    hint: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason} (from {self.origin}). {self.hint}"


class SettingsError(OTSConfigError):
    """The settings cannot be used.

    It is not a ``ValueError``: pydantic would wrap one, and show the values that were given.

        >>> from ots_config import OTSSettings
        >>> try:
        ...     OTSSettings.explicit(endpoint="https://demo.cn-hangzhou.ots.aliyuncs.com", encoding="utf9")
        ... except SettingsError as error:
        ...     print(error.problems[0].field, error.problems[0].hint)
        encoding Use utf8, which the service expects.

    Attributes:
        problems: Everything that is wrong, in the order of the fields; each has a hint of its own.
    """

    code = "settings-invalid"
    hint = "Correct what each problem names; its own hint says how."

    def __init__(self, *problems: SettingsProblem | Any) -> None:
        # From ``args`` come the parts of each problem, perhaps with notes; a text where a back end has kept only that.
        facts = [each for each in problems if isinstance(each, Mapping)]
        made = [SettingsProblem(*each) if isinstance(each, (list, tuple)) else each for each in problems]
        self.problems: tuple[SettingsProblem, ...] = tuple(each for each in made if not isinstance(each, Mapping))
        if len(self.problems) == 1:
            message = str(self.problems[0])
        else:
            message = f"{len(self.problems)} settings are wrong:\n" + "\n".join(f"- {each}" for each in self.problems)
        super().__init__(message, facts=facts[0] if facts else None)
        self.hint = getattr(self.problems[0], "hint", "") if len(self.problems) == 1 else ""

    def _arguments(self) -> tuple[Any, ...]:
        return tuple(
            (p.field, p.reason, p.origin, p.hint) if isinstance(p, SettingsProblem) else p for p in self.problems
        )


# --- credentials ------------------------------------------------------------------------------------------


class CredentialsError(OTSConfigError):
    """There are no credentials.

        >>> issubclass(CredentialsRefused, CredentialsError), CredentialsError("the source failed").transient
        (True, False)

    Attributes:
        code: The error code of the service that was asked, else a stable word.
        request_id: Its id of the request; empty if it gave none.
        recommend: The address of its advice; empty if it gave none.
        transient: Whether trying again later may help.
    """

    code: str = "credentials-failed"
    hint: str = "Run `ots-config credentials`: it shows each source, and why it has no credentials."
    recommend: str = ""
    transient: bool = False
    _facts: ClassVar[tuple[str, ...]] = ("code", "recommend", "transient")


class CredentialsUnavailable(CredentialsError):
    """This source is not configured here; a chain asks the next one.

    >>> CredentialsUnavailable("no variable is set").code
    'credentials-unavailable'
    """

    code = "credentials-unavailable"
    hint = "Set OTS_ACCESS_KEY_ID and OTS_ACCESS_KEY_SECRET, or configure one of the sources that the message names."


class CredentialsRefused(CredentialsError):
    """This source is configured and failed; a chain stops, so that it never switches identity.

    >>> CredentialsRefused("the profile does not exist").code
    'credentials-refused'
    """

    code = "credentials-refused"
    hint = "Correct the source that the message names, or remove what names it."


# --- requests ---------------------------------------------------------------------------------------------


class RequestError(OTSConfigError):
    """An operation failed.

        >>> RequestError("it failed", operation="PutRow").may_have_happened
        False

    What is known of the attempt is set when the error is made. What is known of the whole call is set once, before a
    retry policy or the caller sees the error.

    Attributes:
        operation: The operation's name, ``PutRow``.
        table: The table that does not exist.
        sent: Whether any attempt may have reached the service as a whole.
        may_have_happened: Whether the service may have carried it out.
        attempts: How many times the request was tried, 0 if never.
        recovered: What attempts recovered from at once: ``authentication``, ``clock``, ``never-sent``, ``uncertain``.
        elapsed: Seconds from the call to the last failure.
        request_ids: The service's ids of all attempts that it responded to; ``request_id`` is the last.
        access_key_id, source: The masked id of the key that signed the last attempt, and where it came from.
        reads, repeatable: Whether the operation only reads; whether sending it twice has the effect of once.
        on_reused_connection: Whether a new connection is likely to avoid the failure.
        retry_after: Seconds that the response asked to wait (``Retry-After``), None if it did not.
        failure_kind: What the failure means for a retry, a ``FailureKind``; None until it was classified.
        policy_failed: Whether the retry policy or a callback of it failed and ended the call; a note says how.
    """

    code: str = "request-failed"
    hint: str = "See `sent` and `may_have_happened` before you send it again."
    operation: str = ""
    table: str = ""
    sent: bool = False
    may_have_happened: bool = False
    attempts: int = 0
    recovered: tuple[str, ...] = ()
    elapsed: float = 0.0
    request_ids: tuple[str, ...] = ()
    access_key_id: str = ""
    source: str = ""
    reads: bool = False
    repeatable: bool = False
    on_reused_connection: bool = False
    retry_after: float | None = None
    failure_kind: object = None
    policy_failed: bool = False

    _facts: ClassVar[tuple[str, ...]] = (
        *("operation", "table", "sent", "may_have_happened", "attempts", "recovered", "elapsed", "request_ids"),
        *("access_key_id", "source", "reads", "repeatable", "retry_after", "policy_failed"),
    )

    def __init__(
        self,
        message: str,
        http_status: int | None = None,
        request_id: str = "",
        facts: Mapping[str, Any] | None = None,
        *,
        operation: str = "",
        retry_after: float | None = None,
        on_reused_connection: bool = False,
    ) -> None:
        self.message = message
        self.http_status = http_status
        self.request_id = request_id
        self.operation = operation
        self.retry_after = retry_after
        self.on_reused_connection = on_reused_connection
        if facts is not None:
            self._set_attributes(facts)

    def __str__(self) -> str:
        return self.message + self._circumstances()

    def _circumstances(self) -> str:
        facts = {
            f"table {self.table}": self.table,
            "the operation may have happened": self.may_have_happened,
            f"{self.attempts} attempts in {self.elapsed:.2f} s": self.attempts > 1,
            f"key {self.access_key_id} from {self.source}": self.access_key_id,
        }
        parts = [text for text, holds in facts.items() if holds]
        return f" [{self.operation or 'request'}: {'; '.join(parts)}]" if parts else ""


class RequestInvalid(RequestError):
    """The arguments cannot be encoded; nothing was sent.

    >>> RequestInvalid("the row has no primary key").code
    'request-invalid'
    """

    code = "request-invalid"
    hint = "Correct the arguments of the call."


class ConnectFailed(RequestError):
    """The request never reached the server: refused, unknown host, TLS, connect timeout, no free connection.

    >>> ConnectFailed("connection refused").sent
    False
    """

    code = "connect-failed"
    hint = "Run `ots-config doctor`: it checks the endpoint, DNS, the network and TLS."


class UntrustedServer(ConnectFailed):
    """The server's certificate is not trusted, or it does not speak TLS; trying again does not help.

    >>> UntrustedServer("self-signed certificate").hint
    'If the server is yours, name its authority with ca_bundle.'
    """

    code = "server-untrusted"
    hint = "If the server is yours, name its authority with ca_bundle."


class ProxyRefused(ConnectFailed):
    """A proxy refused to pass the request on, so the server never had it; trying again does not help.

    >>> ProxyRefused("HTTP 407").sent
    False
    """

    code = "proxy-refused"
    hint = "Check the proxy's address, user name and password, and whether it allows this host."


class ResponseLost(RequestError):
    """The request was sent, and no whole response came back: it may have been carried out.

    >>> ResponseLost("the connection was reset").may_have_happened
    True
    """

    code = "response-lost"
    hint = "Read what a write was about before you write again; WriteRetryPolicy repeats what is safe."
    may_have_happened = True


class ResponseInvalid(RequestError):
    """The response fails its checks (headers, MD5, date, signature) or is not the service's own.

    >>> ResponseInvalid("HTTP 502 Bad Gateway", 502).http_status
    502
    """

    code = "response-invalid"
    hint = "Check the endpoint, and the proxies and gateways on the way: one of them may have answered."
    may_have_happened = True


class ServiceError(RequestError):
    """The service responded with an error.

    >>> ServiceError(404, "OTSObjectNotExist", "Requested table does not exist.", "0005e5").code
    'OTSObjectNotExist'
    """

    code = "service-error"
    hint = "The service's documentation explains its code; its support finds the request by `request_id`."

    def __init__(
        self,
        http_status: int,
        code: str,
        message: str,
        request_id: str = "",
        facts: Mapping[str, Any] | None = None,
        *,
        operation: str = "",
        retry_after: float | None = None,
    ) -> None:
        details: Any = {"operation": operation, "retry_after": retry_after}
        RequestError.__init__(self, message, http_status, request_id, facts, **details)
        self.code = code

    def _arguments(self) -> tuple[Any, ...]:
        return (self.http_status, self.code, self.message, self.request_id)

    def __str__(self) -> str:
        ids = f"ErrorCode: {self.code}, ErrorMessage: {self.message}, RequestID: {self.request_id}"
        return ids + self._circumstances()


class Throttled(ServiceError):
    """The service refused before doing anything, and may accept later.

    >>> issubclass(Throttled, ServiceError)
    True
    """

    code = "throttled"
    hint = "Send less at once, or allow more time for retries with `retry.deadline`."


class AuthenticationFailed(ServiceError):
    """The service refused the key, the token, the signature, the date or the instance.

        >>> AuthenticationFailed(403, "OTSAuthFailed", "The AccessKeyID does not exist.").clock_offset is None
        True

    Attributes:
        clock_offset: Seconds that the server's clock is ahead of ours, None if the response has no date.
    """

    code = "authentication-failed"
    hint = "Check the key, its token, the instance's name and the clock of this machine."
    clock_offset: float | None = None
