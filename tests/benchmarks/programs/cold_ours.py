"""Configured by the environment, make a client and write one row."""

from ots_config import create_client  # isort: skip - before the SDK, whose import it keeps quiet

from tablestore import Row

with create_client() as client:
    client.put_row("t", Row([("gid", 1), ("uid", "u")], [("text", "x" * 50)]))
