"""What instruments or replaces parts of ``requests`` sees our client's requests: tracing, fakes, hooks, adapters."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from requests.adapters import HTTPAdapter

from ots_config import Emulator, NoDelayRetryPolicy, OTSClient, RequestError, ResponseLost, create_client
from ots_config.request.signing import content_md5, header_lines, sign_response, sign_v2
from ots_config.sdk import pb2
from ots_config.sdk import tablestore as ts

KEYS = ("testid", "testsecret", "demo")
FAKE = "http://127.0.0.1:9"  # nothing listens there: what gets through would fail


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return that there are no tables."""
    return {}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Trace what ``requests`` sends, as OpenTelemetry's own instrumentation does; return what was traced."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()
    provider.shutdown()


def outline(exporter: InMemorySpanExporter) -> list[tuple[str, int | None]]:
    """Return the path and the HTTP status of each span."""
    spans = []
    for span in exporter.get_finished_spans():
        attributes = dict(span.attributes or {})
        url = str(attributes.get("http.url") or attributes.get("url.full"))
        status: Any = attributes.get("http.status_code", attributes.get("http.response.status_code"))
        spans.append((url.rpartition("/")[2], status))
    return spans


def test_each_attempt_is_a_span(emulator: Emulator, spans: InMemorySpanExporter) -> None:
    """A call that is retried twice is three spans of a client, each with its status, and none holds a secret."""
    emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=2)
    with OTSClient(emulator.endpoint, *KEYS, sts_token=None, retry_policy=NoDelayRetryPolicy()) as client:
        assert client.list_table() == ()
    assert outline(spans) == [("ListTable", 503), ("ListTable", 503), ("ListTable", 200)]
    finished = spans.get_finished_spans()
    assert {span.kind for span in finished} == {SpanKind.CLIENT}
    assert [span.status.status_code for span in finished] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert "testsecret" not in "".join(span.to_json() for span in finished)


def test_an_attempt_without_an_answer_is_a_span(emulator: Emulator, spans: InMemorySpanExporter) -> None:
    """An attempt whose connection is reset is a span with the error, and the next one a span of its own."""
    emulator.fault(operation="ListTable", kind="reset_before", count=1)
    with OTSClient(emulator.endpoint, *KEYS, retry_policy=NoDelayRetryPolicy()) as client:
        client.list_table()
    assert outline(spans) == [("ListTable", None), ("ListTable", 200)]
    failed = spans.get_finished_spans()[0]
    assert failed.status.status_code is StatusCode.ERROR
    assert "ResponseLost" in failed.to_json()


def test_traces_go_on_in_the_service(emulator: Emulator, spans: InMemorySpanExporter) -> None:
    """The header that carries the trace is sent beside the signed ones, and the signature still holds."""
    sent: list[Any] = []
    with OTSClient(emulator.endpoint, *KEYS) as client:
        client.connection.session.hooks["response"].append(lambda response, **_: sent.append(response.request.headers))
        client.list_table()
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" in sent[0]["traceparent"]


def test_clients_made_before_are_traced(emulator: Emulator) -> None:
    """A client that is older than the instrumentation is traced from then on, and no longer when it is taken away."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with create_client(settings=emulator.settings) as client:
        client.list_table()
        RequestsInstrumentor().instrument(tracer_provider=provider)
        try:
            client.list_table()
        finally:
            RequestsInstrumentor().uninstrument()
        client.list_table()
    assert outline(exporter) == [("ListTable", 200)]
    provider.shutdown()


# --- fakes -------------------------------------------------------------------------------------------------------


def respond(request: Any) -> tuple[int, dict[str, str], bytes]:
    """Check a request's signature, and answer a ListTable as the service signs it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["x-ots-signature"] == sign_v2("testsecret", request.path_url, header_lines(headers.items()))
    body = pb2.ListTableResponse(table_names=["faked"]).SerializeToString()
    response_headers = {
        "x-ots-requestid": "fake",
        "x-ots-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "x-ots-contenttype": "protocol buffer",
        "x-ots-contentmd5": content_md5(body),
    }
    signature = sign_response(b"testsecret", request.path_url, header_lines(response_headers.items()))
    return 200, {**response_headers, "Authorization": f"OTS testid:{signature}"}, body


def test_responses_fakes_a_session_of_the_users() -> None:
    """The library ``responses``, which replaces requests' adapter, answers a client with a session of the user's."""
    with requests.Session() as session, responses.RequestsMock() as fake:
        fake.add_callback(responses.POST, f"{FAKE}/ListTable", callback=respond)
        with OTSClient(FAKE, *KEYS, session=session) as client:
            assert client.list_table() == ("faked",)
        assert len(fake.calls) == 1
        assert fake.calls[0].request.url == f"{FAKE}/ListTable"


def test_responses_fakes_failures() -> None:
    """What ``responses`` raises in place of an answer becomes an error of ours, and retried as if it were real."""
    with requests.Session() as session, responses.RequestsMock() as fake:
        fake.add(responses.POST, f"{FAKE}/ListTable", body=requests.exceptions.ReadTimeout())
        fake.add(responses.POST, f"{FAKE}/ListTable", status=502, body="<html>")
        fake.add_callback(responses.POST, f"{FAKE}/ListTable", callback=respond)
        with OTSClient(FAKE, *KEYS, session=session, retry_policy=NoDelayRetryPolicy()) as client:
            assert client.list_table() == ("faked",)
        assert len(fake.calls) == 3
        fake.add(responses.POST, f"{FAKE}/PutRow", body=requests.exceptions.ConnectionError("reset"))
        with (
            OTSClient(FAKE, *KEYS, session=session, retry_policy=NoDelayRetryPolicy()) as client,
            pytest.raises(ResponseLost) as caught,
        ):
            client.put_row("t", ts.Row([("k", 1)], [("n", 1)]))
        assert caught.value.may_have_happened


# --- hooks and adapters --------------------------------------------------------------------------------------------


def test_session_hooks_are_called_for_each_attempt(emulator: Emulator) -> None:
    """A hook on the client's own session, or on the user's, sees each attempt with its request and its answer."""
    for session in (None, requests.Session()):
        seen: list[tuple[str, int, bool]] = []

        def hook(response: requests.Response, seen: Any = seen, **_: Any) -> None:
            body = response.request.body
            seen.append((response.url, response.status_code, isinstance(body, bytes) and bool(response.elapsed)))

        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=1)
        with OTSClient(emulator.endpoint, *KEYS, session=session, retry_policy=NoDelayRetryPolicy()) as client:
            client.connection.session.hooks["response"].append(hook)
            client.list_table()
        url = f"{emulator.endpoint}/ListTable"
        assert seen == [(url, 503, True), (url, 200, True)]
        if session is not None:
            session.close()


def test_a_hook_may_be_a_single_function(emulator: Emulator) -> None:
    """A hook that was set as requests also allows, as one function and no list, is called."""
    seen: list[int] = []
    with requests.Session() as session:
        session.hooks = {"response": lambda response, **_: seen.append(response.status_code)}
        OTSClient(emulator.endpoint, *KEYS, session=session).list_table()
    assert seen == [200]


def test_adapters_of_the_users_are_used(emulator: Emulator) -> None:
    """An adapter mounted on the user's session sends the requests; one that retries by itself is its owner's choice."""

    class Counting(HTTPAdapter):
        sent = 0

        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            self.sent += 1
            return super().send(*args, **kwargs)

    adapter = Counting()
    with requests.Session() as session:
        session.mount(emulator.endpoint, adapter)
        client = OTSClient(emulator.endpoint, *KEYS, session=session, retry_policy=NoDelayRetryPolicy(1))
        client.list_table()
        emulator.fault(operation="ListTable", kind="reset_before")
        with pytest.raises(RequestError):
            client.list_table()
    assert adapter.sent == 3
    assert len(emulator.log()) == 3


def test_headers_and_cookies_of_a_session_change_nothing(emulator: Emulator) -> None:
    """What a user's session adds to requests of its own, headers, cookies and keys, is not added to ours."""
    sent: list[Any] = []
    with requests.Session() as session:
        session.headers["X-Ots-Extra"] = "unsigned"
        session.cookies.set("cookie", "crumb")
        session.auth = ("someone", "password")
        session.hooks["response"].append(lambda response, **_: sent.append(response.request.headers))
        assert OTSClient(emulator.endpoint, *KEYS, session=session).list_table() == ()
    assert {"x-ots-extra", "cookie", "authorization"}.isdisjoint(name.lower() for name in sent[0])
