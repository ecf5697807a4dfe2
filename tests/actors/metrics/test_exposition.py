"""Which format a scraper gets, and that it is written once and whole."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from sluice.actors.metrics.catalog import ALL, Known
from sluice.actors.metrics.exposition import (
    OPENMETRICS,
    TEXT,
    Exposition,
    Renderer,
    negotiate,
    render,
)
from sluice.actors.metrics.process import sample_process
from sluice.actors.metrics.tally import Tally

KNOWN = Known(providers=("openai",), models=(("openai", "gpt-4"),))

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        (CHROMIUM, TEXT),
        ("text/plain", TEXT),
        ("text/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0; Charset=UTF-8", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/*", OPENMETRICS),
        # A version we do not write.
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT),
        # Quality decides, then exactness, then the text format.
        ("application/openmetrics-text;q=0.5,text/plain;q=0.4", OPENMETRICS),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", TEXT),
        ("application/openmetrics-text,text/plain", TEXT),
        ("application/openmetrics-text,*/*", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0,*/*;q=0.1", TEXT),
        ("text/plain;q=0,*/*;q=0.1", OPENMETRICS),
        # What makes no sense never fails.
        ("application/openmetrics-text;q=high", OPENMETRICS),
        ("application/openmetrics-text;q=nan", OPENMETRICS),
        ("application/openmetrics-text;q=7", OPENMETRICS),
        (",;=,;q=,", TEXT),
        ("image/png", TEXT),
    ],
)
def test_the_accept_header_decides_the_format(accept: str, answer: Exposition) -> None:
    assert negotiate(accept) == answer


def test_the_formats_have_the_content_types_scrapers_know() -> None:
    assert TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_the_text_format_is_the_seeds_sample() -> None:
    tally = Tally(KNOWN)
    tally.apply([("sse_requests_total", ("success", "openai", "gpt-4"), 12847)])
    lines = render(tally, openmetrics=False).decode().splitlines()
    assert lines[:3] == [
        "# HELP sse_requests_total Total streaming requests processed",
        "# TYPE sse_requests_total counter",
        'sse_requests_total{model="gpt-4",provider="openai",status="success"} 12847.0',
    ]


def test_openmetrics_ends_with_its_mark_and_names_the_unit() -> None:
    exposition = render(Tally(KNOWN), openmetrics=True).decode()
    assert exposition.endswith("\n# EOF\n")
    assert exposition.count("# EOF") == 1
    assert "# UNIT sse_request_duration_seconds seconds\n" in exposition


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_a_renderer_writes_what_moved_since_the_last_time(openmetrics: bool) -> None:
    tally = Tally(KNOWN)
    renderer = Renderer(tally)
    for value in range(3):
        tally.apply([("sse_queue_backpressure_retries_total", (), value)])
        again = b"".join(renderer.pieces(openmetrics=openmetrics))
        assert again == render(tally, openmetrics=openmetrics)


def test_all_pieces_show_the_moment_of_the_first() -> None:
    tally = Tally(KNOWN)
    pieces = Renderer(tally).pieces(openmetrics=True)
    first = next(pieces)
    tally.apply([("sse_queue_backpressure_retries_total", (), 1)])
    assert first + b"".join(pieces) == render(Tally(KNOWN), openmetrics=True)


def test_the_catalogs_order_is_the_expositions() -> None:
    exposition = render(Tally(KNOWN), openmetrics=True).decode()
    families = parse(exposition)  # type: ignore[no-untyped-call]
    assert [family.name for family in families] == [name.removesuffix("_total") for name in ALL]


def test_the_process_is_measured() -> None:
    tally = Tally(KNOWN)
    sample_process(tally)
    assert 1e6 < tally.value("process_resident_memory_bytes") < 1e11
    assert tally.value("process_cpu_seconds_total") > 0
    assert 3 <= tally.value("process_open_fds") <= tally.value("process_max_fds")
    assert tally.value("process_start_time_seconds") > 1.6e9
