"""What a scrape costs, and what it does to the streams beside it: the scraping."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator

from .load import LoadError

EVERY = 0.2
"""Seconds between two scrapes of `scraping`: a hundred times as often as most do."""

_ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
_WITHIN = 10.0


def scrape(port: int, times: int) -> None:
    """Scrape so often, one after the other on one connection. Raises `LoadError`."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, _WITHIN)) as connection:
        for _ in range(times):
            _scrape(connection)


@contextlib.contextmanager
def scraping(port: int) -> Iterator[None]:
    """Scrape every 0.2 seconds until the block is left. Raises `LoadError` then, if it failed."""
    over = threading.Event()
    failures: list[LoadError] = []

    def scrape_until_over() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
        with contextlib.closing(connection):
            while not over.wait(EVERY):
                try:
                    _scrape(connection)
                except LoadError as failure:
                    failures.append(failure)
                    return

    thread = threading.Thread(target=scrape_until_over)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]


def _scrape(connection: http.client.HTTPConnection) -> None:
    try:
        connection.request("GET", "/metrics", headers={"Accept": _ACCEPT})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(f"a scrape failed: {error!r}") from error
    if answer.status != http.client.OK or b"sse_requests_total" not in content:
        raise LoadError(f"a scrape was answered {answer.status}: {content[:200]!r}")
