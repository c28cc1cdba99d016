"""The small HTTP callable that credential sources are given."""

from __future__ import annotations

import logging
from threading import local
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from ots_config.request.http_parser import HTTPResponse
from ots_config.request.tls import tls_context
from ots_config.request.transport import _DIRECT, _TLSAdapter, _translate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_fetching = local()


def _without_query(record: logging.LogRecord) -> bool:
    """Cut the query, which may hold a secret, out of what urllib3 logs at DEBUG of a request for credentials."""
    if getattr(_fetching, "now", False) and isinstance(record.args, tuple):
        record.args = tuple(part.partition("?")[0] if isinstance(part, str) else part for part in record.args)
    return True


class Fetcher:
    """The small HTTP callable that credential sources are given; see ``ots_config.credentials.http``.

    Args:
        ca_bundle: A PEM file of authorities to trust in place of certifi's.
        proxies: Proxy URLs by scheme; empty connects directly.
    """

    def __init__(self, *, ca_bundle: Path | str | None = None, proxies: Mapping[str, str] | None = None) -> None:
        self._ca_bundle = ca_bundle
        self._proxies = dict(proxies or {})

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
    ) -> HTTPResponse:
        """Fetch one response; redirects are not followed, as a token would follow them.

        Raises:
            ConnectFailed: If nothing was sent.
            ResponseLost: If no whole response came.
        """
        # The metadata service answers this machine only: a proxy would be asked for its own machine's keys.
        direct = urlsplit(url).hostname in _DIRECT
        logging.getLogger("urllib3.connectionpool").addFilter(_without_query)  # a second time does nothing
        with requests.Session() as session:
            session.trust_env = False
            if url.startswith("https:"):
                session.mount("https://", _TLSAdapter(tls_context(self._ca_bundle), 1))
            _fetching.now = True
            try:
                response = session.request(
                    method,
                    url,
                    headers=dict(headers or {}),
                    data=body,
                    timeout=(connect_timeout, read_timeout),
                    allow_redirects=False,
                    proxies={} if direct else self._proxies,
                )
                fetched = HTTPResponse(
                    response.status_code,
                    response.reason,
                    {name.lower(): value for name, value in response.headers.items()},
                    response.content,
                )
            except (requests.RequestException, urllib3_errors.HTTPError, OSError) as error:
                failure = _translate(error)
            else:
                return fetched
            finally:
                _fetching.now = False
        raise failure
