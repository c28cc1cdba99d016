"""Keys in the keychain of the operating system, through the ``keyring`` library; nothing else imports it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ots_config.credentials.environment_names import SETTING
from ots_config.credentials.http import keys_in
from ots_config.credentials.provider import Provider
from ots_config.credentials.result import SourceFailure, missing, unwrap
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

    from ots_config.credentials.credentials import Credentials

Found = TypeVar("Found")

SERVICE: Final = "ots-config"
# The entry that remembers which profiles are stored, as keychains cannot list theirs.
INDEX: Final = "(profiles)"

SHORT: Final = 3.0
PATIENT: Final = 20.0
_LOOKING: Final = 1.0
_PLAIN: Final = ("keyrings.alt.",)
_HINT: Final = (
    "install and unlock a keychain (on Linux gnome-keyring or KWallet in a D-Bus session), or take another source"
)

logger = logging.getLogger("ots_config.credentials")


class Keychain:
    """The entries of this library in the keychain.

    A person finds them under the service ``ots-config``, one for each profile, with the profile as user name. The
    secret is one JSON object with ``access_key_id``, ``access_key_secret`` and, for temporary keys, ``sts_token`` and
    ``expires_at``: one entry, so that id and secret can never be of two different keys.

    Each call runs in a thread of its own and is given up after ``timeout``: a keychain that waits for a password
    must not block a program.

    Args:
        service: The service's name.
        timeout: Seconds that a call may take.
        allow_plaintext: Whether to use backends that keep secrets in readable files.
    """

    def __init__(self, service: str = SERVICE, *, timeout: float = SHORT, allow_plaintext: bool = False) -> None:
        self.service = service
        self._timeout = timeout
        self._allow_plaintext = allow_plaintext
        self._stuck: threading.Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stuck": None}

    def read(self, profile: str = "default") -> Credentials:
        """Return the keys of a profile.

        Raises:
            CredentialsUnavailable: If there is no keychain, or no such entry in it.
            CredentialsRefused: If the entry holds no keys.
        """
        return unwrap(self._read(profile))

    def store(self, credentials: Credentials, profile: str = "default") -> None:
        """Store keys as a profile, in place of what is there.

        Raises:
            CredentialsUnavailable: If there is no keychain.
            CredentialsRefused: If the profile's name cannot be used or the keychain does not take it.
        """
        _named(profile)

        def put(backend: KeyringBackend) -> None:
            backend.set_password(self.service, profile, _written(credentials))
            names = _index(backend, self.service)
            if profile not in names:
                backend.set_password(self.service, INDEX, json.dumps(sorted({*names, profile})))

        unwrap(self._call("storing", put))

    def delete(self, profile: str = "default") -> bool:
        """Delete a profile.

        Returns:
            Whether there was one.

        Raises:
            CredentialsUnavailable: If there is no keychain.
            CredentialsRefused: If the keychain does not let it go.
        """
        _named(profile)

        def remove(backend: KeyringBackend) -> bool:
            there = backend.get_password(self.service, profile) is not None
            if there:
                backend.delete_password(self.service, profile)
            names = _index(backend, self.service)
            if profile in names:
                names.remove(profile)
                if names:
                    backend.set_password(self.service, INDEX, json.dumps(names))
                else:
                    backend.delete_password(self.service, INDEX)
            return there

        return unwrap(self._call("deleting", remove))

    def list(self) -> list[str]:
        """Return the names of the profiles in the keychain.

        A Secret Service lists every entry, those of other programs (``keyring set``) too; other keychains cannot list,
        so only what was stored here is known.

        Raises:
            CredentialsUnavailable: If there is no keychain.
            CredentialsRefused: If it cannot be read.
        """

        def names(backend: KeyringBackend) -> list[str]:
            known = dict.fromkeys([*_index(backend, self.service), *_listed(backend, self.service)])
            return [name for name in known if backend.get_password(self.service, name) is not None]

        return unwrap(self._call("listing", names))

    def backend(self) -> str:
        """Return the name of the keychain that is used.

        Raises:
            CredentialsUnavailable: If there is none.
        """
        return unwrap(self._call("looking", lambda backend: type(backend).__module__ + "." + type(backend).__name__))

    def _read(self, profile: str) -> Credentials | SourceFailure:
        text = self._call("reading", lambda backend: backend.get_password(self.service, profile))
        if isinstance(text, SourceFailure):
            if text.applies or not text.transient or not self._is_stored(profile):
                return text
            return replace(text, reason=f"{text.reason} (it holds the entry {profile})", applies=True)
        if text is None:
            return missing(f"the keychain has no entry {profile} of service {self.service}")
        return _parsed(text, f"the keychain's entry {profile} of service {self.service}", f"keyring {profile}")

    def _call(self, doing: str, work: Callable[[KeyringBackend], Found]) -> Found | SourceFailure:
        """Do something with the keychain in a thread, and wait for it no longer than allowed."""
        if self._stuck is not None and self._stuck.is_alive():
            return _closed(f"the keychain has not answered an earlier call yet; unlock it, or {_HINT}")
        answered, thread = self._in_thread(doing, work, self._timeout)
        if answered:
            return answered[0]
        self._stuck = thread
        return _closed(
            f"the keychain gave no answer within {self._timeout:g} s, perhaps because it waits to be unlocked: {_HINT}"
        )

    def _is_stored(self, profile: str) -> bool:
        """Return whether a keychain that does not open is known to hold an entry."""
        answered, _ = self._in_thread(
            "looking", lambda backend: _is_listed(backend, self.service, profile), min(self._timeout, _LOOKING)
        )
        return answered == (True,)

    def _in_thread(
        self, doing: str, work: Callable[[KeyringBackend], Found], timeout: float
    ) -> tuple[tuple[Found | SourceFailure, ...], threading.Thread]:
        """Do the work in a thread; return its result, nothing if there is none in time, and the thread."""
        results: deque[Found | SourceFailure] = deque()
        thread = threading.Thread(
            target=lambda: results.append(_done(doing, work, allow_plaintext=self._allow_plaintext)),
            name="ots-config-keyring",
            daemon=True,
        )
        thread.start()
        thread.join(timeout)
        return tuple(results), thread

    def __repr__(self) -> str:
        return f"<Keychain {self.service}>"


class KeyringProvider(Provider):
    """The keys of a profile in the keychain; see ``Keychain``.

    ``fetch_credentials`` reads the keychain. ``get_credentials`` keeps what it read and reads again when that is older
    than ``period``, so that keys that were replaced are noticed; if the keychain then does not answer, what
    was read before stays in use.

    An entry that is named and cannot be read, because it is not there or the keychain is locked, is refused; without a
    name the source then does not apply, unless the keychain is known to hold the entry.

    Args:
        profile: The entry's name, if one was chosen.
        default: The entry's name otherwise.
        keychain: Where to look; by default one that gets more time if the entry is named.
        period: Seconds after which the entry is read again.
        monotonic: A clock that only goes forward.
    """

    name = "keyring"

    def __init__(
        self,
        profile: str | None = None,
        *,
        default: str = "default",
        keychain: Keychain | None = None,
        period: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.profile = profile or default
        self._named = bool(profile)
        self.keychain = keychain or Keychain(timeout=PATIENT if profile else SHORT)
        self.period = period
        self._monotonic = monotonic
        self._kept: tuple[Credentials, float] | None = None
        self._failing = False

    def __getstate__(self) -> dict[str, Any]:
        """Keep the configuration, and not the keys."""
        return {**self.__dict__, "_kept": None, "_failing": False}

    def fetch_credentials(self) -> Credentials:
        """Read the keychain."""
        try:
            return self.keychain.read(self.profile)
        except CredentialsUnavailable as error:
            failure = error
        if self._named:
            raise CredentialsRefused(f"{failure.message} (named by {SETTING})")
        raise failure

    def named_by(self) -> str:
        """Return whether an entry was chosen."""
        return SETTING if self._named else ""

    def get_credentials(self, timeout: float | None = None) -> Credentials:  # noqa: ARG002 - the keychain has its own
        """Return what was read within the period, else read the keychain."""
        kept, now = self._kept, self._monotonic()
        if kept is not None and now < kept[1]:
            return kept[0]
        try:
            found = self.fetch_credentials()
        except CredentialsError as error:
            if kept is None:
                raise
            if not self._failing:
                logger.warning("%s: %s; what was read before stays in use", self.name, error)
            self._failing = True
            self._kept = (kept[0], now + self.period)
            return kept[0]
        self._failing = False
        self._kept = (found, now + self.period)
        return found

    def describe(self) -> str:
        """Return the entry."""
        return f"entry {self.profile} of service {self.keychain.service} in the keychain"


def _done(doing: str, work: Callable[[KeyringBackend], Found], *, allow_plaintext: bool) -> Found | SourceFailure:
    """Do the work with the backend to use; runs in the thread, and raises nothing."""
    try:
        from keyring import errors
    except ImportError:
        return missing(f"the keyring library is not installed: pip install keyring, or {_HINT}")
    reasons = {
        errors.NoKeyringError: f"there is no keychain on this machine: {_HINT}",
    }
    closed = {
        errors.KeyringLocked: "the keychain is locked; unlock it and try again",
        errors.InitError: f"the keychain cannot be opened: {_HINT}",
    }
    try:
        backend = _choose(allow_plaintext=allow_plaintext)
        return backend if isinstance(backend, SourceFailure) else work(backend)
    except Exception as error:  # noqa: BLE001 - a backend raises what its system does, and its text may hold anything
        if reason := next((text for kind, text in closed.items() if isinstance(error, kind)), ""):
            return _closed(reason)
        reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "")
        text = f"{doing} in the keychain failed with {type(error).__name__}"
        return SourceFailure(text) if not reason and isinstance(error, errors.KeyringError) else missing(reason or text)


def _closed(reason: str) -> SourceFailure:
    """Return the failure of a keychain that is there and does not open, though it may a moment later."""
    return SourceFailure(reason, applies=False, transient=True)


def _is_listed(backend: KeyringBackend, service: str, profile: str) -> bool:
    """Return whether the keychain lists an entry; only the Secret Service tells that while it is locked."""
    if type(backend).__module__ != "keyring.backends.SecretService":
        return False
    import secretstorage

    connection = secretstorage.dbus_init()
    try:
        return any(True for _ in secretstorage.search_items(connection, {"service": service, "username": profile}))
    finally:
        connection.close()


def _listed(backend: KeyringBackend, service: str) -> list[str]:
    """Return the names of the entries that the keychain itself lists; only the Secret Service does."""
    if type(backend).__module__ != "keyring.backends.SecretService":
        return []
    import secretstorage

    connection = secretstorage.dbus_init()
    try:
        found = [item.get_attributes() for item in secretstorage.search_items(connection, {"service": service})]
    finally:
        connection.close()
    names = sorted(attributes.get("username", "") for attributes in found)
    return [name for name in names if name not in ("", INDEX)]


def _choose(*, allow_plaintext: bool) -> KeyringBackend | SourceFailure:
    """Return the backend that keyring chose, or the best in its chain that keeps secrets secret."""
    import keyring

    chosen = keyring.get_keyring()
    module = type(chosen).__module__
    if module.startswith("keyring.backends.fail"):
        return missing(f"there is no keychain on this machine: {_HINT}")
    if module.startswith("keyring.backends.null"):
        return missing("keyring is switched off on this machine: it is set to its null backend")
    if allow_plaintext:
        return chosen
    chained = getattr(chosen, "backends", None) if module.startswith("keyring.backends.chainer") else None
    candidates = [chosen] if chained is None else list(chained)
    safe = [backend for backend in candidates if not _is_plain(backend)]
    if safe:
        return safe[0]
    names = ", ".join(type(backend).__name__ for backend in candidates) or "none"
    return missing(f"the only keychain here is not safe ({names}): allow it (keyring_plaintext), or {_HINT}")


def _is_plain(backend: KeyringBackend) -> bool:
    kind = type(backend)
    return f"{kind.__module__}.".startswith(_PLAIN) or "plaintext" in kind.__name__.lower()


def _named(profile: str) -> None:
    if not profile or profile == INDEX or not profile.isprintable():
        message = f"a profile in the keychain cannot be named {profile!r}"
        raise CredentialsRefused(message)


def _index(backend: KeyringBackend, service: str) -> list[str]:
    try:
        names = json.loads(backend.get_password(service, INDEX) or "[]")
    except ValueError:
        names = []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _written(credentials: Credentials) -> str:
    fields = {
        "access_key_id": credentials.access_key_id,
        "access_key_secret": credentials.get_access_key_secret(),
        "sts_token": credentials.get_security_token(),
        "expires_at": credentials.expires_at.isoformat() if credentials.expires_at else None,
    }
    return json.dumps({name: value for name, value in fields.items() if value})


def _parsed(text: str, who: str, source: str) -> Credentials | SourceFailure:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        shape = '{"access_key_id": "...", "access_key_secret": "..."}'
        return SourceFailure(f"{who} is not of the form {shape}")
    return keys_in(fields, who=who, source=source, lifetime=None, token=False)
