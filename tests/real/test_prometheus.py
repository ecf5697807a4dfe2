"""A real Prometheus reads what we expose, in both formats, and finds the whole catalog."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx2
import pytest
import trio
from tests.actors.metrics.told import a_report
from tests.real.service import Service, open_service

from sluice.actors.metrics.accounting import updates
from sluice.actors.metrics.catalog import ALL, Known, Metric
from sluice.actors.metrics.exposition import TEXT, negotiate, render
from sluice.actors.metrics.process import sample_process
from sluice.actors.metrics.reports import Attempt
from sluice.actors.metrics.tally import Tally

pytestmark = pytest.mark.real

StartPrometheus = Callable[[dict[str, str]], Awaitable[httpx2.AsyncClient]]

KNOWN = Known(
    providers=("openai", "anthropic"),
    models=(("openai", "gpt-4"), ("openai", "sim-*"), ("anthropic", "claude-3")),
    version="1.2.3",
)
REPORT = a_report(
    first_chunk=0.2, stream_duration=2.8, attempts=(Attempt("openai", "success", 0.15),)
)


# The queries of the seed's sections 1 to 9; decision 20 gives the average chunks its sum().
QUERIES = [
    "rate(sse_requests_total[5m])",
    """sum(rate(sse_requests_total{status="success"}[5m]))
       / sum(rate(sse_requests_total[5m])) * 100""",
    "topk(5, sum by (provider) (rate(sse_requests_total[5m])))",
    """histogram_quantile(0.50, sum(rate(sse_request_duration_seconds_bucket[5m])) by (le))""",
    """histogram_quantile(0.99, sum(rate(sse_request_duration_seconds_bucket[5m])) by (le))""",
    """topk(3, histogram_quantile(0.95,
       sum(rate(sse_stage_duration_seconds_bucket[5m])) by (stage, le)))""",
    """histogram_quantile(0.99,
       sum(rate(sse_stage_duration_seconds_bucket{substage=~"L1_lookup|L2_lookup"}[5m]))
       by (substage, le))""",
    "sse_active_connections",
    "(sse_active_connections / 300) * 100",
    "max_over_time(sse_active_connections[1h])",
    """sum(rate(sse_cache_hits_total[5m]))
       / (sum(rate(sse_cache_hits_total[5m])) + sum(rate(sse_cache_misses_total[5m]))) * 100""",
    "sum by (tier) (rate(sse_cache_hits_total[5m]))",
    """sum(increase(sse_cache_hits_total[24h])) / (sum(increase(sse_cache_hits_total[24h]))
       + sum(increase(sse_cache_misses_total[24h]))) * 100""",
    "sse_circuit_breaker_state",
    "changes(sse_circuit_breaker_state[1h])",
    "rate(sse_circuit_breaker_failures_total[5m])",
    "topk(1, sum by (provider) (rate(sse_circuit_breaker_failures_total[5m])))",
    "rate(sse_rate_limit_exceeded_total[5m])",
    "sum by (user_type) (rate(sse_rate_limit_exceeded_total[5m]))",
    """sum(rate(sse_rate_limit_exceeded_total[5m]))
       / sum(rate(sse_requests_total[5m])) * 100""",
    "sum(rate(sse_errors_total[5m])) / sum(rate(sse_requests_total[5m])) * 100",
    "topk(5, sum by (error_type) (rate(sse_errors_total[5m])))",
    "sum by (stage) (rate(sse_errors_total[5m]))",
    """sum by (provider) (rate(sse_provider_requests_total{status="success"}[5m]))
       / sum by (provider) (rate(sse_provider_requests_total[5m])) * 100""",
    """histogram_quantile(0.99,
       sum by (provider, le) (rate(sse_provider_latency_seconds_bucket[5m])))""",
    """bottomk(1, histogram_quantile(0.50,
       sum by (provider, le) (rate(sse_provider_latency_seconds_bucket[5m]))))""",
    """sum(rate(sse_chunks_streamed_total[5m]))
       / sum(rate(sse_requests_total{status="success"}[5m]))""",
    "histogram_quantile(0.50, sum(rate(sse_stream_duration_seconds_bucket[5m])) by (le))",
    """sum(rate(sse_queue_produce_success_total[5m]))
       / sum(rate(sse_queue_produce_attempts_total[5m])) * 100""",
    "sum(sse_queue_depth)",
    "topk(3, sum by (reason) (rate(sse_queue_produce_failures_total[5m])))",
    "rate(sse_queue_backpressure_retries_total[5m])",
]


@pytest.fixture
def tally() -> Tally:
    """A tally that has counted three requests."""
    counted = Tally(KNOWN)
    sample_process(counted)
    for _ in range(3):
        counted.apply(updates(REPORT))
    return counted


@pytest.fixture
async def exposed(tally: Tally, nursery: trio.Nursery) -> AsyncIterator[str]:
    """The address of a server that exposes the tally: at /metrics as the scraper wants it."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, partial(_answer, tally), listeners)
    yield f"http://127.0.0.1:{port}"
    nursery.cancel_scope.cancel()


async def _answer(tally: Tally, stream: trio.SocketStream) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        part = await stream.receive_some()
        if not part:
            return
        head += part
    request, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    # A scraper prefers OpenMetrics: /text is there to make it read the other one.
    asked = negotiate("" if request.split()[1] == "/text" else headers.get("accept", ""))
    body = render(tally, openmetrics=asked.openmetrics)
    await _send(stream, asked.content_type, body)


async def _send(stream: trio.SocketStream, content_type: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    await stream.send_all(head.encode() + body)
    await stream.aclose()


async def query(client: httpx2.AsyncClient, expression: str) -> list[dict[str, Any]]:
    """The vector that ``expression`` is, as soon as it is not empty."""
    with trio.fail_after(30):
        while True:
            answer = await client.get("/api/v1/query", params={"query": expression})
            assert answer.status_code == 200, answer.text
            result: list[dict[str, Any]] = answer.json()["data"]["result"]
            if result:
                return result
            await trio.sleep(0.1)


async def number(client: httpx2.AsyncClient, expression: str) -> float:
    """The one value that ``expression`` has."""
    (only,) = await query(client, expression)
    return float(only["value"][1])


def sample_names(metric: Metric) -> set[str]:
    if metric.kind != "histogram":
        return {metric.name}
    return {f"{metric.name}_{suffix}" for suffix in ("bucket", "sum", "count")}


async def test_prometheus_reads_the_catalog_in_both_formats_and_answers_the_seeds_queries(
    prometheus: StartPrometheus, exposed: str
) -> None:
    client = await prometheus({"openmetrics": f"{exposed}/metrics", "text": f"{exposed}/text"})
    for job in ("openmetrics", "text"):
        assert await number(client, f'min_over_time(up{{job="{job}"}}[1m])') == 1.0
        await finds_every_metric(client, job)
        await knows_every_type(client, job)
        await reads_the_numbers_that_were_counted(client, job)
        await a_series_that_never_moved_has_a_rate_of_zero(client, job)
    for question in QUERIES:
        await query(client, question)


async def finds_every_metric(client: httpx2.AsyncClient, job: str) -> None:
    # Its own of a scrape are left out: they are there after one that failed, too.
    own = f'{{job="{job}",__name__!="up",__name__!~"scrape_.+"}}'
    found = await query(client, f"count by (__name__) ({own})")
    names = {each["metric"]["__name__"] for each in found}
    assert names == set().union(*map(sample_names, ALL.values()))


async def knows_every_type(client: httpx2.AsyncClient, job: str) -> None:
    answer = await client.get(
        "/api/v1/targets/metadata", params={"match_target": f'{{job="{job}"}}'}
    )
    types = {each["metric"]: each["type"] for each in answer.json()["data"]}
    # OpenMetrics names a counter's family without its suffix.
    suffix = "_total" if job == "openmetrics" else ""
    declared = {name.removesuffix(suffix): metric.kind for name, metric in ALL.items()}
    assert types == declared


async def reads_the_numbers_that_were_counted(client: httpx2.AsyncClient, job: str) -> None:
    requests = f'sse_requests_total{{job="{job}",status="success",model="gpt-4"}}'
    assert await number(client, requests) == 3
    chunks = f'sse_chunks_streamed_total{{job="{job}",provider="openai"}}'
    assert await number(client, chunks) == 21
    duration = f'sse_request_duration_seconds_bucket{{job="{job}",stage="total"}}'
    assert 2.5 < await number(client, f"histogram_quantile(0.5, sum by (le) ({duration}))") <= 5.0


async def a_series_that_never_moved_has_a_rate_of_zero(
    client: httpx2.AsyncClient, job: str
) -> None:
    assert await number(client, f'sum(rate(sse_errors_total{{job="{job}"}}[1m]))') == 0.0


def test_promtool_has_nothing_to_say_about_our_metrics(tally: Tally) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=render(tally, openmetrics=False),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_prometheus_reads_a_running_service_in_both_formats(
    prometheus: StartPrometheus, nursery: trio.Nursery
) -> None:
    async with open_service() as service:
        await _use(service)
        text = await as_text(f"{service.url}/metrics", nursery)
        client = await prometheus({"openmetrics": f"{service.url}/metrics", "text": text})
        for job in ("openmetrics", "text"):
            await finds_every_metric(client, job)
            await counted_what_was_asked_of_the_service(client, job)
        nursery.cancel_scope.cancel()


async def counted_what_was_asked_of_the_service(client: httpx2.AsyncClient, job: str) -> None:
    expected = {
        'sse_requests_total{status="success",provider="simulator",model="sim-ok"}': 2,
        'sse_requests_total{status="failure",provider="simulator",model="sim-*"}': 1,
        'sse_provider_requests_total{provider="simulator",status="success"}': 2,
        'sse_errors_total{error_type="provider_error",stage="provider_call"}': 1,
        'sse_errors_total{error_type="validation_error",stage="validation"}': 1,
        'sse_request_duration_seconds_count{stage="total"}': 3,
        'sse_time_to_first_chunk_seconds_count{provider="simulator"}': 2,
        'sse_stream_duration_seconds_count{provider="simulator"}': 2,
        "sse_active_connections": 0,
        "sse_connection_limit": 100,
        'sluice_actor_restarts_total{actor="streams"}': 0,
    }
    for selector, value in expected.items():
        name, _, labels = selector.partition("{")
        chosen = f'{name}{{job="{job}",{labels or "}"}'
        assert (selector, await number(client, chosen)) == (selector, value)
    for name in (
        "sse_chunks_streamed_total",
        "sse_provider_connections_opened_total",
        "sluice_loop_delay_seconds_count",
        "process_cpu_seconds_total",
    ):
        assert await number(client, f'sum({name}{{job="{job}"}})') > 0


async def test_promtool_has_nothing_to_say_about_a_running_service() -> None:
    async with open_service() as service:
        await _use(service)
        async with httpx2.AsyncClient(trust_env=False) as client:
            exposition = await client.get(
                f"{service.url}/metrics", headers={"accept": "text/plain"}
            )
        checked = await trio.run_process(
            ["promtool", "check", "metrics"],
            stdin=exposition.content,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert exposition.headers["content-type"] == TEXT.content_type
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def _use(service: Service) -> None:
    """Two streams, a failure of the provider, and a mistake of the client."""
    route = f"{service.base_url}/chat/completions"
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        for model, status in (("sim-ok", 200), ("sim-ok", 200), ("sim-503", 503), (7, 400)):
            messages = [{"role": "user", "content": "Hello"}]
            asked = {"model": model, "messages": messages, "stream": True}
            answer = await client.post(route, json=asked)
            assert (answer.status_code, model) == (status, model)


async def as_text(url: str, nursery: trio.Nursery) -> str:
    """An address at which what ``url`` exposes is in the text format, whatever is asked for."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        async with httpx2.AsyncClient(trust_env=False) as client:
            text = await client.get(url, headers={"accept": "text/plain"})
        await _send(stream, TEXT.content_type, text.content)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answer, listeners)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/metrics"
