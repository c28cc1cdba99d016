"""What the server accepts from clients and how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What the server accepts and how long it waits.

    Attributes:
        body: Bytes of a body; the service's limit is 5 MB.
        idle: Seconds that a connection may stay open between requests.
        request: Seconds for a request's head, and for each further part of its body.
        upload: Seconds for a whole body.
        head: Bytes of a request's head.
        pending: Bytes of all unfinished bodies together; a body beyond it waits until others are complete.
        connections: Open connections; one more takes the place of the one that is unused for longest.
    """

    body: int = 5 * 1024 * 1024
    idle: float = 75.0
    request: float = 20.0
    upload: float = 60.0
    head: int = 256 * 1024
    pending: int = 64 * 1024 * 1024
    connections: int = 2000
