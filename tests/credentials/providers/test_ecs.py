"""The metadata service of an ECS instance: version 2 first, version 1 only if allowed, nothing off the cloud."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ots_config.credentials.http import Timeouts
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.errors import ConnectFailed, CredentialsRefused, CredentialsUnavailable

ROLES = "/latest/meta-data/ram/security-credentials/"
TOKEN = "/latest/api/token"


class Instance:
    """What the metadata service of an instance answers."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.role: str | None = "worker"
        self.token: str | None = "MARKEDmetadataToken"
        self.version_1 = False
        self.document: Any = None
        cloud.routes[TOKEN] = self.issue
        cloud.routes[ROLES] = self.list
        cloud.routes[ROLES + "worker"] = cloud.routes[ROLES + "other"] = self.keys

    def issue(self, asked: Any) -> Any:
        """Hand out a token."""
        if self.token is None or asked.method != "PUT":
            return self.cloud.answer(405, b"not allowed")
        assert asked.headers["x-aliyun-ecs-metadata-token-ttl-seconds"] == "21600"
        assert asked.headers["content-length"] == "0"
        return self.cloud.answer(200, self.token.encode())

    def refused(self, asked: Any) -> bool:
        """Tell whether a question lacks the token."""
        return not self.version_1 and asked.headers.get("x-aliyun-ecs-metadata-token") != self.token

    def list(self, asked: Any) -> Any:
        """Name the role."""
        if self.refused(asked):
            return self.cloud.answer(401, b"")
        return self.cloud.answer(200, f"{self.role}\n".encode()) if self.role else self.cloud.answer(404, b"<html>")

    def keys(self, asked: Any) -> Any:
        """Hand out the keys of the role."""
        if self.refused(asked):
            return self.cloud.answer(401, b"")
        if not asked.path.endswith(f"/{self.role}"):
            return self.cloud.answer(404, b"<html>")
        return self.cloud.answer(200, self.document or {"Code": "Success", "LastUpdated": "x", **self.cloud.keys()})

    def paths(self) -> list[str]:
        """Return what was asked since the last time."""
        told = [f"{asked.method} {asked.path}" for asked in self.cloud.asked]
        self.cloud.asked.clear()
        return told


@pytest.fixture
def gateway(cloud: Any, fetch: Any) -> Any:
    """Return a fetch that finds the cloud at the usual address."""

    def lead(method: str, url: str, **options: Any) -> Any:
        return fetch(method, url.replace("http://100.100.100.200", cloud.url), **options)

    return lead


@pytest.fixture
def instance(cloud: Any) -> Instance:
    """Return an instance with a role."""
    return Instance(cloud)


@pytest.fixture
def clock() -> list[float]:
    """Return the monotonic clock, as one number."""
    return [0.0]


@pytest.fixture
def ecs(fetch: Any, cloud: Any, clock: list[float], environment: Any) -> Any:
    """Return what makes a provider that asks this instance."""

    def make(**options: Any) -> ECSRoleProvider:
        environment(options.pop("environ", {}))
        given = {"fetch": fetch, "endpoint": cloud.url, "monotonic": lambda: clock[0], **options}
        return ECSRoleProvider(**given)

    return make


def test_version_2_with_token_and_name_kept(instance: Instance, ecs: Any, marked: Any, clock: list[float]) -> None:
    """The first fetch asks for a token, the role's name and the keys; the next only for the keys, for six hours."""
    provider = ecs()
    keys = provider.fetch_credentials()
    assert (keys.get_access_key_secret(), keys.get_security_token(), keys.source) == (
        marked.NEW_SECRET,
        marked.NEW_TOKEN,
        "ecs",
    )
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 3600, abs=5)
    assert instance.paths() == [f"PUT {TOKEN}", f"GET {ROLES}", f"GET {ROLES}worker"]
    clock[0] = 21000
    provider.fetch_credentials()
    assert instance.paths() == [f"GET {ROLES}worker"]
    clock[0] = 21400
    provider.fetch_credentials()
    assert instance.paths() == [f"PUT {TOKEN}", f"GET {ROLES}worker"]


def test_a_token_that_is_no_longer_taken_is_replaced(instance: Instance, ecs: Any) -> None:
    """After a 401 a new token is fetched and the question asked once more, not for ever."""
    provider = ecs()
    provider.fetch_credentials()
    instance.token = "MARKEDnewToken"
    instance.paths()
    provider.fetch_credentials()
    assert instance.paths() == [f"GET {ROLES}worker", f"PUT {TOKEN}", f"GET {ROLES}worker"]
    instance.refused = lambda _asked: True  # type: ignore[method-assign]
    with pytest.raises(CredentialsRefused):
        provider.fetch_credentials()
    assert len(instance.paths()) == 3


def test_a_role_that_was_replaced_is_followed(instance: Instance, ecs: Any) -> None:
    """If the role that was listed is gone, the list is read again within the same fetch."""
    provider = ecs()
    provider.fetch_credentials()
    instance.role = "other"
    instance.paths()
    assert provider.fetch_credentials().access_key_id
    assert instance.paths() == [f"GET {ROLES}worker", f"GET {ROLES}", f"GET {ROLES}other"]


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_named_role_is_not_asked_for(instance: Instance, ecs: Any, by: str) -> None:
    """A role that is named by argument or ALIBABA_CLOUD_ECS_METADATA saves a question, and must be there."""

    def named(role: str) -> Any:
        return ecs(role_name=role) if by == "argument" else ecs(environ={"ALIBABA_CLOUD_ECS_METADATA": role})

    named("worker").fetch_credentials()
    assert instance.paths() == [f"PUT {TOKEN}", f"GET {ROLES}worker"]
    with pytest.raises(CredentialsRefused, match="has no role other"):
        named("other").fetch_credentials()


def test_version_1_only_if_allowed(instance: Instance, ecs: Any) -> None:
    """Without tokens, the questions are asked without one only if an argument says so and no variable forbids it."""
    instance.token, instance.version_1 = None, True
    with pytest.raises(CredentialsRefused, match="version 1 without tokens is not allowed"):
        ecs().fetch_credentials()
    with pytest.raises(CredentialsRefused, match="version 1 without tokens is not allowed"):
        ecs(allow_v1=True, environ={"ALIBABA_CLOUD_IMDSV1_DISABLED": "true"}).fetch_credentials()
    instance.paths()
    assert ecs(allow_v1=True).fetch_credentials().access_key_id
    assert instance.paths() == [f"PUT {TOKEN}", f"GET {ROLES}", f"PUT {TOKEN}", f"GET {ROLES}worker"]


def test_switched_off(instance: Instance, ecs: Any, gateway: Any, environment: Any) -> None:
    """ALIBABA_CLOUD_ECS_METADATA_DISABLED keeps the service from being asked; one that an argument names is refused."""
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        ecs(environ={"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}).fetch_credentials()
    off = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", "ALIBABA_CLOUD_ECS_METADATA": "worker"}
    environment(off)
    with pytest.raises(CredentialsUnavailable, match="ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        ECSRoleProvider(fetch=gateway).fetch_credentials()
    assert not instance.paths()


def test_no_role_attached(instance: Instance, ecs: Any, gateway: Any) -> None:
    """An instance without a role does not apply, unless its service was named."""
    instance.role = None
    with pytest.raises(CredentialsUnavailable, match="no RAM role is attached"):
        ECSRoleProvider(fetch=gateway).fetch_credentials()
    with pytest.raises(CredentialsRefused, match="no RAM role is attached"):
        ecs().fetch_credentials()


@pytest.mark.usefixtures("instance")
def test_the_endpoint_of_the_environment(fetch: Any, cloud: Any, environment: Any) -> None:
    """ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT replaces the address; names and public addresses need https."""
    environment({"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": f"{cloud.url}/"})
    assert ECSRoleProvider(fetch=fetch).fetch_credentials().access_key_id
    for url in ("http://metadata.example.com", "http://8.8.8.8", "nonsense"):
        with pytest.raises(CredentialsRefused, match=r"the metadata service's address (is|does not)"):
            ECSRoleProvider(fetch=fetch, endpoint=url).fetch_credentials()
    environment({})
    assert "http://100.100.100.200" in ECSRoleProvider(fetch=fetch).describe()


def test_the_usual_address_may_be_asked() -> None:
    """The address of the service is one of a private network: nothing forbids to ask it, at a short timeout."""
    seen: list[Any] = []

    def looking(method: str, url: str, **options: Any) -> Any:
        seen.append((method, url, options["connect_timeout"] + options["read_timeout"]))
        raise OSError

    with pytest.raises(CredentialsUnavailable, match="the metadata service gave no answer"):
        ECSRoleProvider(fetch=looking).fetch_credentials()
    ((method, url, patience),) = seen
    assert (method, url) == ("PUT", "http://100.100.100.200/latest/api/token")
    assert patience < 1.0


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of something that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_off_the_cloud(fetch: Any, silent: str, shows_no_secret: Any) -> None:
    """Where nothing answers, or only silence, the source does not apply, after one question."""
    probe = Timeouts(connect=0.05, read=0.05)
    for address in ("http://127.0.0.1:1", silent):
        asked = []

        def lead(method: str, url: str, address: str = address, asked: Any = asked, **options: Any) -> Any:
            asked.append(url)
            return fetch(method, url.replace("http://100.100.100.200", address), **options)

        with pytest.raises(CredentialsUnavailable, match="the metadata service gave no answer") as caught:
            ECSRoleProvider(fetch=lead, probe=probe).fetch_credentials()
        shows_no_secret(caught.value)
        assert len(asked) == 1


@pytest.mark.parametrize("by", ["role", "endpoint", "role variable", "endpoint variable", "list"])
def test_a_named_service_gets_patience(by: str, environment: Any) -> None:
    """What is named gets a second to connect, a second to answer and three tries, then it is refused."""
    seen: list[tuple[float, float]] = []
    pauses: list[float] = []

    def absent(method: str, url: str, **options: Any) -> Any:
        seen.append((options["connect_timeout"], options["read_timeout"]))
        raise ConnectFailed("nobody there")

    named: dict[str, dict[str, Any]] = {
        "role": {"role_name": "worker"},
        "endpoint": {"endpoint": "http://127.0.0.1:1"},
        "list": {"patient": True},
    }
    variables = {
        "role variable": {"ALIBABA_CLOUD_ECS_METADATA": "worker"},
        "endpoint variable": {"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"},
    }
    environment(variables.get(by, {}))
    provider = ECSRoleProvider(fetch=absent, sleep=pauses.append, **named.get(by, {}))
    kind = CredentialsUnavailable if by == "list" else CredentialsRefused
    with pytest.raises(kind, match="gave no answer"):
        provider.fetch_credentials()
    assert seen == [(1.0, 1.0)] * 3
    assert len(pauses) == 2


@pytest.mark.usefixtures("instance")
def test_a_service_that_was_there_and_is_not_is_a_failure(gateway: Any, cloud: Any) -> None:
    """Once it has answered, silence is asked again once, and then a refusal: the instance has a role."""
    provider = ECSRoleProvider(fetch=gateway)
    provider.fetch_credentials()
    cloud.next = [cloud.close]
    assert provider.fetch_credentials().access_key_id
    cloud.next = [cloud.close] * 2
    with pytest.raises(CredentialsRefused, match="gave no answer"):
        provider.fetch_credentials()
    copy = pickle.loads(pickle.dumps(ECSRoleProvider(fetch=None, endpoint=cloud.url)))  # type: ignore[arg-type]
    assert not copy._known


@pytest.mark.usefixtures("instance")
def test_a_copy_forgets_the_token(ecs: Any) -> None:
    """What travels in a pickle is the configuration, neither token nor role."""
    provider = ecs()
    provider.fetch_credentials()
    state = provider.__getstate__()
    assert (state["_token"], state["_listed"], state["_known"]) == (None, None, False)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"Code": "Failed", "Message": "MARKED0123456789abcdefghij"},
            "role worker: the metadata service refused: Failed",
        ),
        ({"Code": "Success"}, "gave no access key id"),
        (b"<html>MARKED</html>", "a web page"),
        (b"", "the body is empty"),
        (b"MARKED", "not JSON"),
    ],
    ids=["code", "no-keys", "html", "empty", "text"],
)
def test_answers_that_are_no_keys(instance: Instance, ecs: Any, document: Any, told: str, shows_no_secret: Any) -> None:
    """An answer without keys is a refusal that shows nothing of it."""
    instance.document = document
    if document == b"":
        instance.keys = lambda _asked: instance.cloud.answer(200, b"")  # type: ignore[method-assign]
        instance.cloud.routes[ROLES + "worker"] = instance.keys
    with pytest.raises(CredentialsRefused, match=told) as caught:
        ecs().fetch_credentials()
    shows_no_secret(caught.value)


@pytest.mark.parametrize("name", ["<html>MARKED", "two names", "", "../MARKED", "name?x=1"])
def test_names_that_are_no_role(instance: Instance, ecs: Any, name: str, shows_no_secret: Any) -> None:
    """What is listed must be one name, as it becomes part of an address."""
    instance.cloud.routes[ROLES] = lambda _asked: instance.cloud.answer(200, name.encode())
    with pytest.raises(CredentialsRefused, match="gave no name of a role") as caught:
        ecs().fetch_credentials()
    shows_no_secret(caught.value)


@pytest.mark.usefixtures("instance")
def test_a_server_error_is_asked_again_once(gateway: Any, cloud: Any) -> None:
    """A 5xx of a service that is there is not the end of a fetch."""
    provider = ECSRoleProvider(fetch=gateway)
    cloud.next = [cloud.answer(503, b"busy")]
    assert provider.fetch_credentials().access_key_id
    cloud.next = [cloud.answer(503, b"busy")] * 2
    with pytest.raises(CredentialsRefused, match="HTTP 503"):
        provider.fetch_credentials()


@pytest.mark.parametrize("reply", [(404, b""), (200, b"<html>sign in</html>"), (302, b""), (200, b"")], ids=str)
def test_something_else_at_the_address(cloud: Any, gateway: Any, reply: Any, shows_no_secret: Any) -> None:
    """Off the cloud a gateway may answer at the service's address: unless somebody named it, it does not apply."""
    cloud.next = [cloud.answer(*reply)] * 2
    with pytest.raises(CredentialsUnavailable, match="gave no token") as caught:
        ECSRoleProvider(fetch=gateway).fetch_credentials()
    shows_no_secret(caught.value)
    with pytest.raises(CredentialsRefused, match="gave no token"):
        ECSRoleProvider(fetch=gateway, role_name="worker").fetch_credentials()


@pytest.mark.usefixtures("instance")
def test_the_end_is_told_by_our_clock(ecs: Any, cloud: Any) -> None:
    """The Date of the service corrects a local clock that is behind."""
    cloud.ahead = 1200
    assert ecs().fetch_credentials().expires_at.timestamp() == pytest.approx(time.time() + 3600, abs=5)


def test_keys_without_an_end_are_asked_for_again(instance: Instance, ecs: Any, cloud: Any) -> None:
    """Temporary keys without Expiration are taken to live a quarter of an hour."""
    keys = cloud.keys()
    del keys["Expiration"]
    instance.document = {"Code": "Success", **keys}
    assert ecs().fetch_credentials().expires_at.timestamp() == pytest.approx(time.time() + 900, abs=5)


def test_description(ecs: Any, cloud: Any) -> None:
    """It tells the role and the address."""
    assert ecs(role_name="worker").describe() == f"role worker at {cloud.url}"
    assert ecs().describe() == f"the role of this ECS instance at {cloud.url}"
    assert cloud.url in repr(ecs())
