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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

from ots_config.shown_text import mask as mask  # noqa: PLC0414 - for whoever shows an error
from ots_config.shown_text import raised_at as raised_at  # noqa: PLC0414 - the same

P = ParamSpec("P")
R = TypeVar("R")


def _revive(cls: type[OTSConfigError], args: tuple[Any, ...], state: dict[str, Any]) -> OTSConfigError:
    """Rebuild a pickled error without running its constructor again."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class OTSConfigError(Exception):
    """The root of this library's errors.

    ``type(error)(*error.args)`` makes an equal error, also after the arguments went through JSON, as result back ends
    send them.

    Attributes:
        code: The service's error code, ``OTSObjectNotExist``, or a stable word of ours, ``connect-failed``.
        message: What went wrong, in one sentence, without secrets.
        hint: How to fix it, in one sentence; empty if the message says all that is known.
        http_status: The HTTP status of the response, if there was one (the official SDK's errors have it too).
    """

    code: str = "error"
    hint: str = ""
    message: str
    http_status: int | None
    request_id: str = ""

    _facts: ClassVar[tuple[str, ...]] = ()
    """The attributes that ``args`` carries after the positional arguments, in a dictionary."""

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

    def _set_attributes(self, facts: object) -> None:
        """Set what ``args`` carried; what a back end has turned into text is lost."""
        for name, value in facts.items() if isinstance(facts, Mapping) else ():
            if name == "__notes__" and isinstance(value, list):
                self.__notes__ = [str(note) for note in value]
            elif name in self._facts:
                setattr(self, name, tuple(value) if isinstance(value, list) else value)

    def _arguments(self) -> tuple[Any, ...]:
        """Return the positional arguments that make this error, without its facts."""
        return (self.message, self.http_status, self.request_id)

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override] # of a call more is known later
        """What makes an equal error of this type, as plain values."""
        own = vars(self)
        facts = {name: own[name] for name in self._facts if name in own and own[name] != getattr(type(self), name)}
        if notes := own.get("__notes__"):
            facts["__notes__"] = list(notes)
        arguments = self._arguments()
        if facts:
            return (*arguments, facts)
        while len(arguments) > 1 and arguments[-1] in (None, ""):
            arguments = arguments[:-1]
        return arguments

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, dict(self.__dict__))


# --- settings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One thing that is wrong with the settings.

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

    It is not a ``ValueError``: pydantic would wrap one that is raised for a field of a user's own model, and show the
    values that were given.

    Attributes:
        problems: Everything that is wrong, in the order of the fields; each has a hint of its own.
    """

    code = "settings-invalid"

    def __init__(self, *problems: SettingsProblem) -> None:
        if len(problems) == 1:
            message = str(problems[0])
        else:
            message = f"{len(problems)} settings are wrong:\n" + "\n".join(f"- {problem}" for problem in problems)
        super().__init__(message)
        self.problems = problems
        # A text stands for problems where only the error's text has come through a result back end.
        self.hint = getattr(problems[0], "hint", "") if len(problems) == 1 else ""


# --- credentials ------------------------------------------------------------------------------------------


class CredentialsError(OTSConfigError):
    """There are no credentials.

    Attributes:
        code: The error code of the service that was asked, else a stable word.
        request_id: Its id of the request; empty if it gave none.
        recommend: The address of its advice; empty if it gave none.
        transient: Whether trying again later may help.
    """

    code: str = "credentials-failed"
    recommend: str = ""
    transient: bool = False
    _facts: ClassVar[tuple[str, ...]] = ("code", "recommend", "transient")


class CredentialsUnavailable(CredentialsError):
    """This source is not configured here; a chain asks the next one."""

    code = "credentials-unavailable"


class CredentialsRefused(CredentialsError):
    """This source is configured and failed; a chain stops, so that it never switches identity."""

    code = "credentials-refused"


def stopped_by_filter(warning: Warning, source: str) -> CredentialsError:
    """Return the error for a source in which a warnings filter of this process raised a warning as an error.

    It is no ``CredentialsRefused``: nobody refused anything, and with another filter the same keys work. The filters
    are not changed around the source: that would change them for every thread of the process. The warning's text is
    not repeated: a source that raises one itself may put a secret there.
    """
    kind = type(warning).__name__
    return CredentialsError(
        f"{source} was stopped by a {kind}{raised_at(warning)}, which a warnings filter of this process turned into "
        f"an error; with a filter that ignores it or shows it (default::{kind}) the source can go on"
    )


# --- requests ---------------------------------------------------------------------------------------------


class RequestError(OTSConfigError):
    """An operation failed.

    What is known of the attempt is set when the error is made. What is known of the whole call is set once, before a
    retry policy or the caller sees the error.

    Attributes:
        operation: The operation's name, ``PutRow``.
        sent: Whether any attempt may have reached the service as a whole.
        may_have_happened: Whether the service may have carried out the operation.
        attempts: How many times the request was tried, 0 if never.
        recovered: What earlier attempts recovered from without a wait: ``authentication`` with other keys, ``clock``
            with the service's time, ``never-sent`` or ``uncertain`` on a new connection.
        elapsed: Seconds from the call to the last failure.
        request_id: The service's id of the last attempt; empty if it gave none.
        request_ids: The service's ids of all attempts that it responded to, oldest first.
        access_key_id: The masked id of the key that signed the last attempt.
        source: Where that key came from.
        reads: Whether the operation only reads.
        repeatable: Whether sending it twice has the effect of sending it once.
        on_reused_connection: Whether it failed on a reused connection in a way that a new one is likely to avoid.
        retry_after: Seconds that the response asked to wait (``Retry-After``), None if it did not.
        failure_kind: What the failure means for a retry, a ``FailureKind``; None until it was classified.
        policy_failed: Whether the retry policy or a callback of it raised or returned nonsense, which ended the call;
            a note says what happened.
    """

    code: str = "request-failed"
    operation: str = ""
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
        *("operation", "sent", "may_have_happened", "attempts", "recovered", "elapsed", "request_ids"),
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
        parts: list[str] = []
        if self.may_have_happened:
            parts.append("the operation may have happened")
        if self.attempts > 1:
            parts.append(f"{self.attempts} attempts in {self.elapsed:.2f} s")
        if self.access_key_id:
            parts.append(f"key {self.access_key_id} from {self.source}")
        return f" [{self.operation or 'request'}: {'; '.join(parts)}]" if parts else ""


class RequestInvalid(RequestError):
    """The arguments cannot be encoded; nothing was sent."""

    code = "request-invalid"


class ConnectFailed(RequestError):
    """The request never reached the server: refused, unknown host, TLS, connect timeout, no free connection."""

    code = "connect-failed"


class UntrustedServer(ConnectFailed):
    """The server's certificate is not trusted, or it does not speak TLS; trying again does not help."""

    code = "server-untrusted"
    hint = "If the server is yours, name its authority with ca_bundle."


class ProxyRefused(ConnectFailed):
    """A proxy refused to pass the request on, so the server never had it; trying again does not help."""

    code = "proxy-refused"
    hint = "Check the proxy's address, user name and password, and whether it allows this host."


class ResponseLost(RequestError):
    """The request was sent, and no whole response came back: it may have been carried out."""

    code = "response-lost"
    may_have_happened = True


class ResponseInvalid(RequestError):
    """The response fails its checks (headers, MD5, date, signature) or is not the service's own."""

    code = "response-invalid"
    may_have_happened = True


class ServiceError(RequestError):
    """The service responded with an error."""

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
        RequestError.__init__(
            self, message, http_status, request_id, facts, operation=operation, retry_after=retry_after
        )
        self.code = code

    def _arguments(self) -> tuple[Any, ...]:
        return (self.http_status, self.code, self.message, self.request_id)

    def __str__(self) -> str:
        text = f"ErrorCode: {self.code}, ErrorMessage: {self.message}, RequestID: {self.request_id}"
        return text + self._circumstances()


class Throttled(ServiceError):
    """The service refused before doing anything, and may accept later."""


class AuthenticationFailed(ServiceError):
    """The service refused the key, the token, the signature, the date or the instance.

    Attributes:
        clock_offset: Seconds that the server's clock is ahead of the local one, None if the response has no date.
    """

    hint = "Check the key, its token, the instance's name and the clock of this machine."
    clock_offset: float | None = None


# --- how errors leave ----------------------------------------------------------------------------------------


def without_frames(error: OTSConfigError) -> OTSConfigError:
    """Remove traceback, cause and context from an error: their frames hold keys, tokens and signatures."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def without_secret_frames(
    present: Callable[[OTSConfigError], OTSConfigError] = without_frames,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remove the frames, which hold its arguments, from a function's errors; ``present`` gives them other types."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except OTSConfigError as error:
                failure = present(without_frames(error))
            del args, kwargs
            raise failure

        return call

    return decorate
