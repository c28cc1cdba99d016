"""The official codec with its row operations on this library's PlainBuffer: faster, and right in every name.

What is asked for and what is answered are the official SDK's own objects, and a request has the same bytes, except
where those are wrong: the official encoder counts the characters of a column's name in place of its bytes, and
refuses a row of several deleted versions because it reserves too little room. ``bytes`` are written as STRING, as
it does; BINARY is a ``bytearray``.
"""

from ots_config.rows.decoding import RowDecoder
from ots_config.rows.encoding import RowEncoder

__all__ = ["RowDecoder", "RowEncoder"]
