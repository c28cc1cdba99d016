"""Bodies of requests that were compressed, as the Java SDK does if told to; answers never are, as every SDK allows."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ots_config.emulator.tablestore.errors import ServiceFault, invalid

COMPRESSION = "x-ots-request-compress-type"
COMPRESSED_FROM = "x-ots-request-compress-size"
MAX_INFLATED = 5 * 1024 * 1024


def inflated(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return what a body was before it was compressed, itself if it was not.

    Checksum and signature are those of what was sent, so this comes after them.

    Raises:
        ServiceFault: If it is not compressed as its headers say, or is too large. No recording shows the words.
    """
    kind = headers.get(COMPRESSION)
    if kind is None:
        return body
    if kind != "deflate":
        raise invalid(f"Unsupported compression: '{kind}'.")
    reading = zlib.decompressobj()
    try:
        plain = reading.decompress(body, MAX_INFLATED + 1)  # and no more, however small the body that says so
    except zlib.error:
        raise invalid("The body is not compressed as its headers say.") from None
    if len(plain) > MAX_INFLATED:
        raise ServiceFault("OTSRequestBodyTooLarge", "The size of POST data is too large.")
    if not reading.eof or headers.get(COMPRESSED_FROM, str(len(plain))) != str(len(plain)):
        raise invalid("The body is not compressed as its headers say.")
    return plain
