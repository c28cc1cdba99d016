"""Responses parsed from bytes, in whatever pieces they come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.request import http_parser
from ots_config.request.http_parser import HTTPResponse, ResponseParser

BODIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\na: 2\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"x",
        True,
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
        b"hello",
        True,
    ),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
]


def fed(*pieces: bytes) -> ResponseParser:
    """Return a parser that got these pieces."""
    parser = ResponseParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


@pytest.mark.parametrize(("raw", "body", "reusable"), BODIES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_do_not_matter(raw: bytes, body: bytes, reusable: bool, size: int) -> None:
    """The response is the same, and complete with its last byte, whatever the pieces in which it comes."""
    parser = ResponseParser()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    for piece in pieces[:-1]:
        assert parser.feed(piece) is None
    response = parser.feed(pieces[-1])
    assert response is not None
    assert parser.response is response
    assert (response.body, parser.reusable) == (body, reusable)


def test_the_head_is_read() -> None:
    """Status, reason and headers are separated; names come in lower case, and repeated ones are joined."""
    response = ResponseParser().feed(b"HTTP/1.1 404 Not Found\r\nA: 1\r\nB:  2 \r\na: 3\r\nContent-Length: 0\r\n\r\n")
    assert response == HTTPResponse(404, "Not Found", {"a": "1, 3", "b": "2", "content-length": "0"}, b"")


@pytest.mark.parametrize("left_over", [b"\n", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("raw", [raw for raw, _, reusable in BODIES if reusable])
def test_bytes_after_the_end_forbid_another_request(raw: bytes, left_over: bytes) -> None:
    """A connection on which more than the response came cannot carry another request."""
    parser = ResponseParser()
    assert parser.feed(raw + left_over) is not None
    assert not parser.reusable


def test_a_whole_response_takes_no_more() -> None:
    """Bytes that come after the response are an error, and not the start of another one."""
    parser = ResponseParser()
    parser.feed(BODIES[0][0])
    with pytest.raises(ValueError, match="after the end"):
        parser.feed(b"x")


def test_the_end_of_the_stream_completes_a_body_without_a_length() -> None:
    """Without a length the body goes on to the end of the stream, after which there is no connection to reuse."""
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\n\r\nall") is None
    assert parser.feed(b" of it") is None
    assert parser.end().body == b"all of it"
    assert not parser.reusable


@pytest.mark.parametrize("raw", [raw[:-1] for raw, body, _ in BODIES if body] + [b"", b"HTTP/1.1 200"])
def test_the_end_of_the_stream_within_a_response_is_an_error(raw: bytes) -> None:
    """A response whose end was marked and did not come was cut short; whether any byte came is known."""
    parser = ResponseParser()
    if raw:
        parser.feed(raw)
    with pytest.raises(ConnectionResetError):
        parser.end()
    assert parser.started is bool(raw)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads, lengths, chunks, bodies without a length and trailers have bounds."""
    monkeypatch.setattr(http_parser, "MAX_BODY", 1000)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for pieces, reason in (
        ([b"HTTP/1.1 200 OK\r\n", b"a: " + b"b" * 70_000], "headers"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"], "body"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001], "body"),
        ([chunked, b"3e9\r\n"], "body"),
        ([chunked, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11], "body"),
        ([chunked, b"1" * 70_000], "line"),
        ([chunked, b"0\r\n", *[b"t: " + b"x" * 1000 + b"\r\n"] * 100], "trailers"),
    ):
        with pytest.raises(ValueError, match=reason):
            fed(*pieces)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_parsed_or_refused(pieces: list[bytes]) -> None:
    """Whatever bytes come, there is a response, a wish for more, or one of two errors."""
    parser = ResponseParser()
    try:
        for piece in [b"HTTP/1.1 200 OK\r\n", *pieces]:
            if parser.feed(piece) is not None:
                return
        parser.end()
    except (ValueError, ConnectionResetError):
        return
    assert parser.response is not None
