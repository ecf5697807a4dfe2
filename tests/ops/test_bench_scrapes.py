"""Scraping as `sluice bench` does it, from a service that does as it is told."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from sluice.ops.bench import scrapes
from sluice.ops.bench.load import LoadError

pytestmark = pytest.mark.real


class Service(http.server.ThreadingHTTPServer):
    """Answers every scrape alike, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 200
        self.connections = 0
        self.scraped = threading.Semaphore(0)


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        body = b"sse_requests_total 1"
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.scraped.release()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_scrapes_are_made_on_one_connection(service: Service) -> None:
    scrapes.scrape(service.server_port, 5)
    assert all(service.scraped.acquire(blocking=False) for _ in range(5))
    assert service.connections == 1


def test_a_scrape_that_is_no_200_is_an_error(service: Service) -> None:
    service.status = 503
    with pytest.raises(LoadError, match="answered 503"):
        scrapes.scrape(service.server_port, 1)


def test_it_is_scraped_again_and_again_until_the_block_is_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrapes, "EVERY", 0.001)
    before = threading.active_count()
    with scrapes.scraping(service.server_port):
        assert all(service.scraped.acquire(timeout=10) for _ in range(3))
    assert threading.active_count() <= before + 1  # the service's own, for the connection


def test_a_scrape_that_failed_is_told_when_the_block_is_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrapes, "EVERY", 0.001)
    service.status = 500
    with (
        pytest.raises(LoadError, match="answered 500"),
        scrapes.scraping(service.server_port),
    ):
        assert service.scraped.acquire(timeout=10)
