"""Request bodies compressed by the client, as the Java SDK can; responses are never compressed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ots_config.emulator.tablestore.errors import TablestoreError, invalid

COMPRESSION = "x-ots-request-compress-type"
COMPRESSED_FROM = "x-ots-request-compress-size"
MAX_INFLATED = 5 * 1024 * 1024


def decompress(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a body decompressed as its headers say, unchanged if it is not compressed.

    Checksum and signature are of the body as sent, so they are checked before this.

    Raises:
        TablestoreError: If it does not match its headers, or is too large. No recording shows the message.
    """
    kind = headers.get(COMPRESSION)
    if kind is None:
        return body
    if kind != "deflate":
        raise invalid(f"Unsupported compression: '{kind}'.")
    reading = zlib.decompressobj()
    try:
        plain = reading.decompress(body, MAX_INFLATED + 1)  # bounded: a small body may decompress to anything
    except zlib.error:
        raise invalid("The body is not compressed as its headers say.") from None
    if len(plain) > MAX_INFLATED:
        raise TablestoreError("OTSRequestBodyTooLarge")
    if not reading.eof or headers.get(COMPRESSED_FROM, str(len(plain))) != str(len(plain)):
        raise invalid("The body is not compressed as its headers say.")
    return plain
