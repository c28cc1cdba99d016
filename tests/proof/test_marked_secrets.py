"""Every public name with a secret that can be recognized: whatever is shown, dumped, raised or logged lacks it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import ots_config
from ots_config import (
    AssumeRoleProvider,
    AsyncOTSClient,
    CallableProvider,
    ChainProvider,
    Credentials,
    ECSRoleProvider,
    Emulator,
    EnvironmentProvider,
    FileWatchingProvider,
    ForeignProvider,
    INIProvider,
    KeyringProvider,
    MaskedCredentials,
    OIDCRoleProvider,
    OTSClient,
    OTSSettings,
    ProcessProvider,
    ProfileProvider,
    RefreshingProvider,
    Secret,
    SharedCache,
    StaticProvider,
    URIProvider,
    create_async_client,
    create_client,
    create_provider,
    identity,
)
from tests.proof.conftest import Tell

SECRET, TOKEN, PASSWORD = "M4rkedSecret+/=", "M4rkedToken", "M4rkedPassword"
MARK = "M4rked"
ROLE = "acs:ram::1234567890123456:role/proof"
OIDC = "acs:ram::1234567890123456:oidc-provider/proof"
KEY = ("LTAIproof", SECRET, TOKEN)

Make = Callable[[], Any]


def refuse(*_: Any, **__: Any) -> Any:
    """Answer as a service that is not there."""
    raise ots_config.ConnectFailed("nobody is there")


class OwnKeys:
    """A user's provider."""

    def get_credentials(self) -> Credentials:
        """Return the keys."""
        return Credentials(*KEY)


def base(emulator: Emulator, **others: Any) -> dict[str, Any]:
    """Return settings with every secret that there is."""
    return {
        "endpoint": emulator.endpoint,
        "instance_name": "demo",
        "access_key_id": KEY[0],
        "access_key_secret": SECRET,
        "sts_token": TOKEN,
        "credentials_process": f"program --password {PASSWORD}",
        "credentials_uri": f"http://127.0.0.1:1/keys?ticket={PASSWORD}&token={TOKEN}",
        "proxies": {"https": f"http://user:{PASSWORD}@127.0.0.1:9"},
        **others,
    }


def makers(emulator: Emulator, folder: Path) -> Mapping[str, tuple[Make, ...]]:
    """Return, for every public name that can hold a secret, what makes an object that holds one."""
    keys = StaticProvider(*KEY)
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(TOKEN)
    return {
        "AssumeRoleProvider": (lambda: AssumeRoleProvider(keys, ROLE, fetch=refuse),),
        "AsyncOTSClient": (lambda: AsyncOTSClient(**base(emulator)),),
        "CallableProvider": (lambda: CallableProvider(lambda: Credentials(*KEY)),),
        "ChainProvider": (lambda: ChainProvider([keys]),),
        "Credentials": (lambda: Credentials(*KEY), lambda: Credentials(*KEY, expires_at=datetime.now(UTC))),
        "ECSRoleProvider": (lambda: ECSRoleProvider(fetch=refuse),),
        "Emulator": (lambda: Emulator(access_key_id=KEY[0], access_key_secret=SECRET),),
        "EnvironmentProvider": (EnvironmentProvider,),
        "FileWatchingProvider": (lambda: FileWatchingProvider(keys, paths=(token_file,)),),
        "ForeignProvider": (lambda: ForeignProvider(OwnKeys()),),
        "INIProvider": (lambda: INIProvider(fetch=refuse, path=token_file),),
        "KeyringProvider": (KeyringProvider,),
        "MaskedCredentials": (lambda: MaskedCredentials.of(Credentials(*KEY)),),
        "OIDCRoleProvider": (
            lambda: OIDCRoleProvider(role_arn=ROLE, provider_arn=OIDC, token_file=token_file, fetch=refuse),
        ),
        "OTSClient": (
            lambda: OTSClient(**base(emulator)),
            lambda: OTSClient(emulator.endpoint, *KEY[:2], "demo", sts_token=TOKEN),
            lambda: OTSClient(emulator.endpoint, None, None, "demo", OwnKeys()),
        ),
        "OTSSettings": (lambda: OTSSettings(**base(emulator)), lambda: OTSSettings.explicit(**base(emulator))),
        "ProcessProvider": (lambda: ProcessProvider(f"program --password {PASSWORD}"),),
        "ProfileProvider": (lambda: ProfileProvider(fetch=refuse, path=token_file),),
        "RefreshingProvider": (lambda: used(RefreshingProvider(keys)),),
        "Secret": (lambda: Secret(SECRET),),
        "SharedCache": (lambda: SharedCache(keys, folder),),
        "StaticProvider": (lambda: StaticProvider(*KEY),),
        "URIProvider": (
            lambda: URIProvider(uri=f"http://127.0.0.1:1/keys?ticket={PASSWORD}&token={TOKEN}", fetch=refuse),
        ),
        "create_async_client": (lambda: create_async_client(**base(emulator)),),
        "create_client": (lambda: create_client(**base(emulator)),),
        "create_provider": (lambda: used(create_provider(OTSSettings(**base(emulator)))),),
    }


def used(provider: Any) -> Any:
    """Return a provider that holds credentials."""
    provider.get_credentials()
    return provider


NO_SECRETS = {
    *("Health", "Identity", "Keychain", "Provider", "State", "CredentialsProvider", "RetrySettings", "TLSSettings"),
    *("AsyncScan", "Scan", "BulkReport", "FailedRow", "RetryEvent", "SettingsProblem", "SettingsWarning"),
    "identity",
    *("DefaultRetryPolicy", "NoDelayRetryPolicy", "NoRetryPolicy", "RetryPolicy", "WriteRetryPolicy"),
    *(
        name
        for name in ots_config.__all__
        if isinstance(getattr(ots_config, name), type)
        and issubclass(getattr(ots_config, name), ots_config.OTSConfigError)
    ),
}
"""Names whose objects are given no secret, or get one only through the others; ``identity`` is called below."""

CARRIERS = {
    "Credentials",
    "StaticProvider",
    "Secret",
    "OTSSettings",
    "ForeignProvider",
    "CallableProvider",
    "URIProvider",
    "ProcessProvider",
    "AssumeRoleProvider",
    "ChainProvider",
    "FileWatchingProvider",
    "SharedCache",
    "RefreshingProvider",
    "create_provider",
    "MaskedCredentials",
}
"""What is pickled in order to work elsewhere, with its configuration; everything else must not carry a secret."""


def shown_by(thing: Any) -> list[str]:
    """Return every text that an object gives away, to a log, a debugger or a dump."""
    texts = [repr(thing), str(thing), f"{thing}", "%s %r" % (thing, thing), pprint.pformat(thing), ascii(thing)]  # noqa: UP031
    with contextlib.suppress(TypeError):
        # What is private, or asked for by a name that says that it is a secret, is not shown by accident.
        public = [name for name in vars(thing) if not name.startswith("_") and "secret" not in name]
        texts += [f"{name}={getattr(thing, name)!r} {getattr(thing, name)}" for name in public]
    with contextlib.suppress(TypeError, ValueError):
        texts.append(json.dumps(thing, default=str))
    with contextlib.suppress(TypeError, copy.Error, pickle.PicklingError):
        texts.append(repr(copy.copy(thing)))
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        texts += [repr(dataclasses.asdict(thing)), json.dumps(dataclasses.asdict(thing), default=str)]
    for name in ("model_dump", "model_dump_json", "explain", "describe", "health", "named_by"):
        method = getattr(thing, name, None)
        if callable(method):
            with contextlib.suppress(ots_config.OTSConfigError):
                texts += [str(method()), repr(method())]
    for name in dir(type(thing)):
        if isinstance(getattr(type(thing), name, None), property):
            with contextlib.suppress(Exception):
                texts.append(repr(getattr(thing, name)))
    return texts


def raised_by(error: BaseException | None) -> list[str]:
    """Return every text that an error gives away, the frames that it passed included."""
    texts: list[str] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        texts += [
            str(current),
            repr(current),
            repr(current.args),
            repr(vars(current)),
            *getattr(current, "__notes__", ()),
        ]
        with contextlib.suppress(Exception):  # what cannot be pickled tells nothing
            texts.append(pickle.dumps(current).decode("latin-1"))
        texts += list(traceback.TracebackException.from_exception(current).format())
        texts += in_frames(current.__traceback__)
        waiting += [current.__cause__, current.__context__]
    return texts


def in_frames(trace: TracebackType | None) -> list[str]:
    """Return what frames outside the tests show."""
    texts: list[str] = []
    while trace is not None:
        if Path(__file__).parents[1] not in Path(trace.tb_frame.f_code.co_filename).parents:
            for name, value in trace.tb_frame.f_locals.items():
                try:
                    texts.append(f"{name}={value!r}")
                except AttributeError:  # a half-made object, which a debugger must be able to show
                    texts.append(f"{name} is a {MARK} {type(value).__name__} that cannot be shown")
        trace = trace.tb_next
    return texts


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Log everything at DEBUG; yield a list to which the records are added at the end of the test."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    yield texts
    texts += [text for record in caplog.records for text in (record.getMessage(), repr(record.args))]
    assert not any(MARK in text for text in texts)


def marked(texts: list[str]) -> list[str]:
    """Return the texts that show the mark, cut."""
    return [text[max(text.index(MARK) - 60, 0) :][:100] for text in texts if MARK in text]


def close(thing: Any) -> None:
    """Close a client."""
    if isinstance(thing, AsyncOTSClient):
        asyncio.run(thing.close())
    elif isinstance(thing, OTSClient):
        thing.close()


def test_every_public_name_is_here(running: Emulator, tmp_path: Path) -> None:
    """A new public name is added to one of the tables."""
    assert set(makers(running, tmp_path)) | NO_SECRETS == set(ots_config.__all__)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_objects_show_no_secret(running: Emulator, tmp_path: Path, logged: list[str], show: Tell) -> None:
    """No text, dump or copy of an object that holds a secret shows it, nor does a pickle of one that need not."""
    found: dict[str, list[str]] = {}
    objects = texts = 0
    for name, makes in makers(running, tmp_path).items():
        for make in makes:
            thing = make()
            seen = shown_by(thing)
            if name not in CARRIERS:
                with contextlib.suppress(Exception):  # clients and pools cannot be pickled
                    seen.append(pickle.dumps(thing).decode("latin-1"))
            objects, texts = objects + 1, texts + len(seen)
            if marked(seen):
                found[name] = marked(seen)
            close(thing)
    show("secrets", what="objects", cases=objects, texts=texts, shown=len(found))
    assert found == {}


def broken(emulator: Emulator) -> list[Make]:
    """Return calls with a secret that fail: wrong types, half of the arguments, refusals, nobody there."""
    nowhere = {"endpoint": "http://127.0.0.1:1", "instance_name": "demo", "retry": {"deadline": 0.2}}
    wrong: list[Any] = [
        SECRET.encode(),
        [SECRET],
        {"x": SECRET},
        f"{SECRET}\n",
        f" {SECRET}",
        f"{SECRET}\x00",
        (SECRET,),
    ]
    calls: list[Make] = [
        lambda: OTSClient(emulator.endpoint, SECRET),
        lambda: OTSClient("https://x.test", "id\n", SECRET, "demo"),
        lambda: OTSClient(emulator.endpoint, *KEY[:2], "demo", SECRET),
        lambda: OTSClient(emulator.endpoint, *KEY[:2], "demo", unknown=SECRET),
        lambda: create_client(emulator.endpoint, *KEY[:2]),  # type: ignore[misc] # that is the mistake
        lambda: create_client(**base(emulator), nothing=SECRET),
        lambda: create_async_client(**base(emulator), instance_names=SECRET),
        lambda: OTSSettings(**base(emulator, endpoint="nowhere")),
        lambda: OTSSettings(**base(emulator, proxies=f"ftp://user:{PASSWORD}@x:y")),
        lambda: OTSSettings(**base(emulator, credentials_uri=f"ftp://{PASSWORD}")),
        lambda: Credentials("", SECRET, TOKEN),
        lambda: Credentials(*KEY, expires_at="never"),  # type: ignore[arg-type] # that is the mistake
        lambda: Credentials(*KEY, *KEY, *KEY),  # type: ignore[call-arg] # the same
        lambda: StaticProvider("id with blanks", SECRET, TOKEN),
        lambda: StaticProvider(*KEY, expires_at=datetime.now(UTC) - timedelta(days=1)).get_credentials(),
        lambda: ProcessProvider(["/nonexistent", PASSWORD]).get_credentials(),
        lambda: ProcessProvider(f"/bin/sh -c 'echo {PASSWORD} >&2; exit 3' {PASSWORD}").get_credentials(),
        lambda: ProcessProvider(["/bin/echo", f'{{"mode": "AK", "access_key_secret": "{SECRET}"}}']).get_credentials(),
        lambda: URIProvider(
            uri=f"http://127.0.0.1:1/keys?ticket={PASSWORD}&token={TOKEN}", fetch=refuse
        ).get_credentials(),
        lambda: AssumeRoleProvider(StaticProvider(*KEY), ROLE, fetch=refuse).get_credentials(),
        lambda: identity(Credentials(*KEY), fetch=refuse),
        lambda: identity(
            StaticProvider(*KEY), settings=OTSSettings(**base(emulator), sts_endpoint="http://127.0.0.1:1")
        ),
        lambda: OTSClient(**nowhere, access_key_id=KEY[0], access_key_secret=SECRET, sts_token=TOKEN).list_table(),
        lambda: OTSClient(emulator.endpoint, *KEY[:2], "demo", sts_token=TOKEN).list_table(),
        lambda: asyncio.run(_list(AsyncOTSClient(emulator.endpoint, *KEY[:2], "demo", sts_token=TOKEN))),
        lambda: RefreshingProvider(
            CallableProvider(lambda: (_ for _ in ()).throw(ValueError(SECRET)))
        ).get_credentials(),
        lambda: ForeignProvider(KEY).get_credentials(),
        lambda: CallableProvider(lambda: KEY[1]).get_credentials(),
    ]
    for value in wrong:
        calls += [
            lambda value=value: Credentials("id", value),
            lambda value=value: Credentials("id", SECRET, value),
            lambda value=value: StaticProvider("id", value),
            lambda value=value: OTSClient(emulator.endpoint, "id", value, "demo"),
            lambda value=value: OTSSettings(**base(emulator, access_key_secret=value)),
            lambda value=value: OTSSettings(**base(emulator, sts_token=value)),
            lambda value=value: create_client(**base(emulator, sts_token=value)),
            lambda value=value: CallableProvider(lambda: value).get_credentials(),
        ]
    return calls


async def _list(client: Any) -> None:
    async with client:
        await client.list_table()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors_show_no_secret(running: Emulator, logged: list[str], show: Tell) -> None:
    """No error that a call with a secret ends with shows it: not its text, its arguments, its pickle, its frames.

    The half-made object of a constructor that failed is in those frames, and can be shown.
    """
    found: list[tuple[int, str]] = []
    raised = texts = 0
    calls = broken(running)
    for number, call in enumerate(calls):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is
            seen = raised_by(error)
            raised, texts = raised + 1, texts + len(seen)
            found += [(number, text) for text in marked(seen)]
    show("secrets", what="errors", cases=raised, texts=texts, shown=len(found))
    assert raised > len(calls) // 2
    assert found == []


def test_the_search_finds_a_secret() -> None:
    """The control: what does show a secret is found, in an object, an error and a frame."""

    @dataclasses.dataclass
    class Careless:
        secret: str = SECRET

    assert marked(shown_by(Careless()))
    assert marked(raised_by(ValueError(SECRET)))
    with pytest.raises(ValueError, match="Expecting value") as caught:
        json.loads(SECRET)
    assert marked(in_frames(caught.tb))
