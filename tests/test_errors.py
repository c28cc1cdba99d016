"""The tree of errors: as it is drawn, with the official types, and without what it must not show."""

import doctest
import importlib
import inspect
import json
import os
import pickle
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import ots_config
from ots_config import OTSClient, errors
from ots_config.credentials.result import SourceFailure
from ots_config.emulator import Emulator
from ots_config.error_frames import without_frames, without_secret_frames
from ots_config.errors import OTSConfigError, SettingsError, SettingsProblem
from ots_config.sdk import as_sdk_error, tablestore


def tree(cls: type, depth: int = 0) -> list[tuple[int, str]]:
    """Return each class of ours below ``cls`` with its depth."""
    ours = [
        c
        for c in cls.__subclasses__()
        if c.__module__ == "ots_config.errors" and not issubclass(c, tablestore.OTSError)
    ]
    return [(depth, cls.__name__), *(line for c in ours for line in tree(c, depth + 1))]


def test_the_tree_is_as_drawn() -> None:
    """The drawing at the top of the module shows each class where it is."""
    drawn = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)(\w+)( |$)", line)
        if match:
            drawn.append((len(match[1]) // 4, match[2]))
    assert drawn == tree(OTSConfigError)


def every_error() -> list[OTSConfigError]:
    """Return one error of each class."""
    made: list[OTSConfigError] = []
    for _, name in tree(OTSConfigError):
        cls: Any = getattr(errors, name)
        if issubclass(cls, errors.ServiceError):
            made.append(cls(503, "OTSServerBusy", "Server is busy.", "rid"))
        elif cls is SettingsError:
            made.append(cls(SettingsProblem("endpoint", "it is missing", "nowhere", "Set OTS_ENDPOINT.")))
        else:
            made.append(cls("it went wrong"))
    return made


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_official_types(error: OTSConfigError) -> None:
    """Each error gains the official type that it stands for, stays of its own, and pickles with its fields."""
    before = type(error)
    shown = as_sdk_error(error)
    assert shown is error
    wanted = tablestore.OTSServiceError if issubclass(before, errors.ServiceError) else tablestore.OTSClientError
    assert isinstance(shown, wanted)
    assert isinstance(shown, before)
    assert type(shown).__name__ == before.__name__
    copy = pickle.loads(pickle.dumps(shown))
    assert type(copy) is type(shown)
    assert (str(copy), vars(copy)) == (str(shown), vars(shown))
    assert as_sdk_error(shown) is shown
    assert shown.get_error_message() == shown.message  # type: ignore[attr-defined]


def test_several_problems_are_reported_together() -> None:
    """A ``SettingsError`` lists field, reason, origin and hint of each problem."""
    error = SettingsError(
        SettingsProblem("a", "bad", "argument", "Fix it."), SettingsProblem("b", "worse", "x.env line 3", "Leave it.")
    )
    assert str(error).splitlines() == [
        "2 settings are wrong:",
        "- a: bad (from argument). Fix it.",
        "- b: worse (from x.env line 3). Leave it.",
    ]


def test_a_decorated_function_shows_no_frames() -> None:
    """An error leaves a decorated function without the frames that held the secret, and without what caused it."""

    @without_secret_frames()
    def connect(secret: str) -> None:
        try:
            raise KeyError(secret)
        except KeyError:
            raise errors.ConnectFailed("no connection") from None

    with pytest.raises(errors.ConnectFailed) as caught:
        connect("s3cr3t" + "-one")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "s3cr3t-one" not in "".join(frames.format())
    assert caught.value.__context__ is None
    assert connect.__name__ == "connect"


def test_an_error_without_frames() -> None:
    """``without_frames`` takes traceback, cause and context away."""
    try:
        raise errors.ConnectFailed("x") from KeyError("y")
    except errors.ConnectFailed as error:
        bare = without_frames(error)
    assert (bare.__traceback__, bare.__cause__, bare.__context__) == (None, None, None)


def test_every_error_has_a_code_of_its_own() -> None:
    """The service's code, else a stable word that no other class has."""
    made = every_error()
    assert {e.code for e in made if isinstance(e, errors.ServiceError)} == {"OTSServerBusy"}
    words = {type(e).__name__: e.code for e in made if not isinstance(e, errors.ServiceError)}
    assert words == {
        "OTSConfigError": "error",
        "SettingsError": "settings-invalid",
        "CredentialsError": "credentials-failed",
        "CredentialsUnavailable": "credentials-unavailable",
        "CredentialsRefused": "credentials-refused",
        "RequestError": "request-failed",
        "RequestInvalid": "request-invalid",
        "ConnectFailed": "connect-failed",
        "UntrustedServer": "server-untrusted",
        "ProxyRefused": "proxy-refused",
        "ResponseLost": "response-lost",
        "ResponseInvalid": "response-invalid",
    }


EVERY: list[type[OTSConfigError]] = [getattr(errors, name) for _, name in tree(OTSConfigError)]


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_type_says_what_to_do_and_where_to_read_on(cls: type[OTSConfigError]) -> None:
    """Each type but the root has a hint, each has a code of its own and a heading in the documentation."""
    assert [other for other in EVERY if other.code == cls.code] == [cls]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cls.code)
    assert cls is OTSConfigError or cls.hint.endswith(".")
    error = next(error for error in every_error() if type(error) is cls)
    own = type("Own", (cls,), {})
    for each in (error, as_sdk_error(error), own.__new__(own)):
        assert each.docs == f"docs/errors.md#{cls.__name__.lower()}"
    assert f"\n## {cls.__name__}\n" in PAGE.read_text()


PAGE = Path(__file__).parent.parent / "docs" / "errors.md"


def sections(cls: type[OTSConfigError]) -> tuple[str, str]:
    """Return the first paragraph and the attributes of a docstring, as Markdown."""
    text = inspect.getdoc(cls) or ""
    described = re.search(r"^Attributes:\n((?: {4}.*\n?)+)", text, re.MULTILINE)
    lines = re.sub(r"\n {8}", " ", described[1] if described else "").splitlines()
    attributes = [re.sub(r"^ {4}(\w+): ", r"- `\1`: ", line) for line in lines]
    return text.partition("\n\n")[0].replace("\n", " ").replace("``", "`"), "\n".join(attributes).replace("``", "`")


def errors_page() -> str:
    """Return the page of the documentation that describes each type."""
    drawing = (errors.__doc__ or "").split("\n\n")
    parts = [
        "# Errors",
        (
            "Every error of this library is an `OTSConfigError`, and what a client operation raises is also a "
            "`tablestore.OTSServiceError` (`ServiceError` and the types below it) or a `tablestore.OTSClientError` "
            "(all others). Each has `code`, `hint`, `docs` (its place on this page), `message` and, where there was a "
            "response, `http_status` and `request_id`."
        ),
        "```text\n" + inspect.cleandoc(drawing[1].strip("\n")) + "\n```",
    ]
    for cls in EVERY:
        summary, attributes = sections(cls)
        code = "the service's own, as in `OTSServerBusy`" if issubclass(cls, errors.ServiceError) else f"`{cls.code}`"
        base = "" if cls is OTSConfigError else f" Base: `{cls.__mro__[1].__name__}`."
        parts += [f"## {cls.__name__}", summary, f"Code: {code}.{base}"]
        parts += [f"What to do: {cls.hint}"] if cls.hint else []
        parts += [attributes] if attributes else []
    return "\n\n".join(parts) + "\n"


def test_the_page_about_errors_is_generated() -> None:
    """``docs/errors.md`` is made of the classes; WRITE_DOCS=1 writes it anew."""
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(errors_page())
    assert PAGE.read_text() == errors_page()


@pytest.mark.parametrize("module", ["ots_config.errors", "ots_config.settings"])
def test_the_examples_of_public_names_run(module: str) -> None:
    """Each public class of errors and settings has an example in its docstring, which gives what it shows."""
    names = importlib.import_module(module)
    public = [name for name in ots_config.__all__ if getattr(ots_config, name).__module__.startswith(module)]
    assert len(public) > 3
    runner = doctest.DocTestRunner()
    for name in public:
        found = doctest.DocTestFinder(recurse=False).find(getattr(ots_config, name), name, globs={**vars(names)})
        assert any(each.examples for each in found), name
        for each in found:
            runner.run(each)
    assert runner.summarize(verbose=False).failed == 0


def test_a_settings_error_keeps_its_problems() -> None:
    """Its problems survive pickle, ``type(error)(*error.args)`` and JSON, with notes; a mere text survives as such."""
    problems = tuple(SettingsProblem(name, "bad", "argument", f"Fix {name}.") for name in ("a", "b"))
    for given in (problems, problems[:1]):
        error = SettingsError(*given)
        error.add_note("a note")
        shown: Any = as_sdk_error(error)
        for copy in (type(shown)(*shown.args), pickle.loads(pickle.dumps(shown)), through_json(shown)):
            assert (copy.problems, copy.hint, str(copy)) == (given, error.hint, str(error))
            assert copy.__notes__ == ["a note"]
    assert str(SettingsError("3 settings are wrong")) == "3 settings are wrong"


def test_a_table_that_does_not_exist_is_named() -> None:
    """OTSObjectNotExist names the table, in the text and as an attribute, also after a way through JSON."""
    with Emulator() as emulator, OTSClient(settings=emulator.settings) as client:
        with pytest.raises(errors.ServiceError, match=r"OTSObjectNotExist.*\[GetRow: table missing") as caught:
            client.get_row("missing", [("k", 1)])
        assert through_json(caught.value).table == "missing"
        with pytest.raises(errors.ServiceError, match="table missing"):
            client.describe_table("missing")


def test_a_failed_source_has_the_code_of_its_service_or_ours() -> None:
    """What an STS responded is the code; without a code of its own the error keeps our word."""
    assert SourceFailure("refused", code="NoPermission").error().code == "NoPermission"
    assert SourceFailure("silent").error().code == "credentials-refused"
    assert SourceFailure("absent", applies=False).error().code == "credentials-unavailable"


def test_hints() -> None:
    """A single problem's hint is the error's; several have their own; an untrusted server names the setting."""
    one, two = (SettingsProblem(name, "bad", "argument", f"Fix {name}.") for name in ("a", "b"))
    assert (SettingsError(one).hint, SettingsError(one, two).hint) == ("Fix a.", "")
    assert "ca_bundle" in errors.UntrustedServer("x").hint


def through_json(error: BaseException) -> Any:
    """Return what is left of an error after Celery's default result back end: found by module and name, from JSON."""
    kind = type(error)
    stored = json.loads(json.dumps({"type": kind.__qualname__, "message": error.args, "module": kind.__module__}))
    return getattr(sys.modules[stored["module"]], stored["type"])(*stored["message"])


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_is_made_again_from_its_arguments(error: OTSConfigError) -> None:
    """Type, text, code, status and request id survive ``type(error)(*error.args)`` and a JSON back end."""
    shown: Any = as_sdk_error(error)
    for copy in (type(shown)(*shown.args), through_json(shown), through_json(through_json(shown))):
        assert type(copy) is type(shown)
        assert isinstance(copy, tablestore.OTSError)
        assert str(copy) == str(shown)
        for name in ("code", "message", "http_status", "request_id"):
            assert getattr(copy, name) == getattr(shown, name)


def test_the_facts_of_a_call_survive_json() -> None:
    """Whether a write may have happened, the attempts and the notes are in the error that comes out of a back end."""
    error = errors.ServiceError(503, "OTSTimeout", "Time is over.", "rid", operation="PutRow", retry_after=3.0)
    error.may_have_happened, error.attempts, error.elapsed = True, 3, 1.5
    error.request_ids, error.access_key_id, error.source = ("r1", "rid"), "LTAI****", "the environment"
    error.add_note("a note")
    copy = through_json(as_sdk_error(error))
    assert str(copy) == str(error)
    assert "may have happened" in str(copy)
    assert {**vars(copy), "on_reused_connection": False} == vars(error)
    assert copy.get_error_code() == "OTSTimeout"
    assert (copy.get_http_status(), copy.get_error_message(), copy.get_request_id()) == (503, "Time is over.", "rid")
    lost = errors.ResponseLost("no response", request_id="rid")
    lost.may_have_happened = False
    again = through_json(as_sdk_error(lost))
    assert (again.may_have_happened, again.request_id, again.args) == (False, "rid", lost.args)


def test_facts_are_only_those_that_are_known() -> None:
    """Arguments from elsewhere set no other attribute, and facts that a back end turned into text are ignored."""
    error = errors.ServiceError(503, "c", "m", "r", {"operation": "PutRow", "message": "x", "__class__": "y", "z": 1})
    assert (error.operation, error.message) == ("PutRow", "m")
    assert not hasattr(error, "z")
    assert str(errors.ConnectFailed("m", None, "", "{'operation': 1}")) == "m"  # type: ignore[arg-type]


def test_a_failed_source_survives_json() -> None:
    """The code, status and request id of an STS are in the arguments."""
    failed = SourceFailure("refused", code="NoPermission", request_id="rid", http_status=403, transient=True).error()
    copy = through_json(as_sdk_error(failed))
    assert (copy.code, copy.request_id, copy.http_status, copy.transient) == ("NoPermission", "rid", 403, True)
    assert type(copy) is type(failed)
