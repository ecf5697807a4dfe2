"""The whole service in this process, in front of providers that are as bad as a test wants.

Whoever leaves `open_world` without an exception has shown, besides what the test says:

* every answer was whole or told one clear error, and no end marker followed a failure;
* the metrics counted exactly that, and those who left as the test says they did;
* no slot is taken, no stream lives, no call of a provider is open, none is being answered;
* the service is up, no actor has crashed, and nothing was logged as an error.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import trio
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.actors.fakes import UNLIMITED
from tests.http.edge_world import Answer, RawClient
from tests.leaks import nothing_left
from tests.service.operators_world import Samples, samples_of, total, until
from tests.service.raw_provider import RawProvider, open_raw_provider
from tests.service.telling import events_of, outcome_of

from sluice.actors.settings import (
    BreakerSettings,
    ConnectionSettings,
    LimitSettings,
    ModelSettings,
    ProviderSettings,
    RescueSettings,
    RetrySettings,
    Secret,
    Timeouts,
)
from sluice.actors.slots.connections import Count, SlotsInUse
from sluice.actors.streams.stream import Stream
from sluice.engine import ActorStatistics
from sluice.http.callers.auth_settings import AuthSettings
from sluice.http.edge_state import EdgeStatistics
from sluice.http.server import bind
from sluice.ops.config import Config, EdgeLimits, ServerSettings
from sluice.ops.simulator import Options, Simulator, open_simulator
from sluice.ops.worker import Worker, open_worker

PATIENCE = 60.0
"""Seconds after which a test has failed: many times what it takes."""

PATIENT = BreakerSettings(failures=1000)
"""Circuit breakers that stay closed, for tests whose providers fail all the time."""

KEY = "sk-of-the-service"
RESCUE = RescueSettings()
CHAT = "/v1/chat/completions"
ONCE = RetrySettings(attempts=0)
"""Each model is asked once: what a test sees is what the provider did."""
HANGS = "sim-stall?chunks=9&pings=0"
"""Says six pieces, then nothing, with its connection open."""

_FULL = ["connection_pool_exhausted admission"]
_COUNTED: dict[str, list[str]] = {
    "whole": ["success"],
    "no_capacity": _FULL,
    "overloaded": _FULL,
    "not_accepting": _FULL,
    "stopping": ["failure", "connection_pool_exhausted streaming"],
    "untranslatable": ["validation_error validation"],
    # No request to stream: counted nowhere.
    **{code: [] for code in ("not_implemented", "http_version", "unknown_route")},
    "method_not_allowed": [],
    # Counted by its limit alone.
    "rate_limit_exceeded": [],
}
"""What answers count as, by their outcome, whatever provider they came from."""
_MOVING = ("sse_requests_total", "sse_errors_total", "sse_client_disconnects_total")
"""What requests, errors and clients that were gone are counted by."""
_LEASED = ("sse_active_connections", "sse_provider_connections{")
_KINDS = {
    "timeout_error": {"connect_timeout", "first_chunk_timeout", "idle_timeout", "total_timeout"},
    "serialization_error": {
        "malformed_chunk",
        "malformed_answer",
        "provider_frame_too_large",
        "internal_error",
    },
}


class Certificate(msgspec.Struct, frozen=True):
    """Paths of PEM files: a chain, its key, and who is trusted for it by whom it is shown to."""

    chain: str
    key: str
    authority: str | None


class Running:
    """The worker, in a task of its own, which may be told to end."""

    def __init__(self) -> None:
        self.worker: Worker
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    async def run(  # noqa: ASYNC114 -- started in no context manager
        self,
        config: Config,
        listening: list[socket.socket],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with self.scope:
            async with open_worker(config, listening) as self.worker:
                task_status.started()
                await self.stop.wait()
        self.ended.set()


class World:
    """The running service, and what it should have counted by now."""

    def __init__(
        self,
        running: Running,
        simulator: Simulator,
        raw: RawProvider,
        port: int,
        logged: list[Any],
    ) -> None:
        self.running = running
        self.worker = running.worker
        self.simulator = simulator
        self.raw = raw
        self.port = port
        self.logged = logged
        self.trust: ssl.SSLContext | None = None
        """What clients speak TLS by, if they do."""
        self.sockets: list[trio.socket.SocketType] = []
        """Of clients, to be closed at the end."""
        self.expected: Counter[str] = Counter()
        """What `counted` must come to, by the labels that say what happened."""
        self.faults_are_expected = False
        """Errors may be logged, for a test makes the service itself fail."""

    # -- clients ---------------------------------------------------------------------------

    async def connect(self, receive_buffer: int | None = None) -> RawClient:
        """A client; ``receive_buffer``: bytes that it takes without reading, about."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sockets.append(sock)
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        if self.trust is None:
            return RawClient(stream)
        return RawClient(
            trio.SSLStream(stream, self.trust, server_hostname="localhost", https_compatible=True)
        )

    async def begin(
        self, model: str, prompt: str = "hello", *, receive_buffer: int | None = None, **fields: Any
    ) -> RawClient:
        """A client that has asked, and waits."""
        client = await self.connect(receive_buffer)
        await client.send(chat(model, prompt, **fields))
        return client

    async def ask(self, model: str, prompt: str = "hello", **fields: Any) -> Answer:
        """The answer to one chat completion, streamed unless ``stream`` is False."""
        return await self.send(chat(model, prompt, **fields))

    async def send(self, data: bytes) -> Answer:
        """The answer to ``data``, on a connection of its own."""
        client = await self.connect()
        await client.send(data)
        answer = await self.read(client)
        await client.leave()
        return answer

    async def read(self, client: RawClient) -> Answer:
        """The next answer to ``client``, which is one of those that must be honest."""
        return self.saw(await client.answer())

    def saw(self, answer: Answer) -> Answer:
        """Have ``answer`` be honest, and expect it to be counted."""
        self.expected.update(_owed(answer))
        return answer

    async def get(self, path: str, *headers: str) -> Answer:
        """The answer to a GET that is no stream, on a connection of its own."""
        client = await self.connect()
        answer = await client.request(request("GET", path, *headers))
        await client.leave()
        return answer

    # -- what it says of itself ------------------------------------------------------------

    async def samples(self, *only: str) -> Samples:
        """All that ``/metrics`` tells, as it tells it over HTTP; ``only``: what begins so."""
        answer = await self.get("/metrics", "Accept: text/plain")
        assert answer.status == 200, answer
        return samples_of(answer, *only)

    async def slots(self) -> SlotsInUse:
        """What the connection manager counts."""
        return await self.worker.system.ref("connections").ask(Count())

    async def slots_are(self, active: int) -> None:
        """Return as soon as so many slots are taken."""

        async def are() -> bool:
            return (await self.slots()).active == active

        await eventually(are)

    async def counted(self) -> Counter[str]:
        """What the metrics counted, in the words of `expected`."""
        return _moved(await self.samples(*_MOVING))

    @property
    def live(self) -> list[Stream]:
        """The streams that live."""
        return list(self.worker.streams.live.values())

    @property
    def open_calls(self) -> int:
        """Calls of providers that are under way."""
        return sum(each.statistics().open_calls for each in self.worker.providers.values())

    def edge(self) -> EdgeStatistics:
        """The edge's own counts."""
        found = self.worker.system.inspect("edge")
        assert isinstance(found, ActorStatistics)
        assert isinstance(found.domain, EdgeStatistics)
        return found.domain

    def errors(self) -> list[Any]:
        """Log lines that say that something is wrong with the service."""
        return [line for line in self.logged if line["log_level"] in {"error", "critical"}]

    # -- the end ---------------------------------------------------------------------------

    @asynccontextmanager
    async def ending(self, *, cancelled: bool = False) -> AsyncIterator[None]:
        """Within the block the worker drains and ends, as on SIGTERM; after it, it has ended.

        ``cancelled``: whoever opened it is cancelled, too.
        """
        self.running.stop.set()
        if cancelled:
            self.running.scope.cancel()
        yield
        await self.running.ended.wait()

    async def is_well(self) -> None:
        """The service is up, has nothing left, and counted what happened."""
        with trio.fail_after(PATIENCE):
            await until(lambda: not self.live)
            await self.simulator.wait(lambda now: not now.open)
            if not self.running.stop.is_set():
                await self.slots_are(0)
                assert (await self.get("/health/live")).status == 200
                await self.has_counted()
        await nothing_left(self.worker)
        assert self.faults_are_expected or not self.errors(), self.errors()
        assert not self.worker.system.crash_reports
        assert self.running.stop.is_set() or self.edge().crashed == 0

    async def has_counted(self) -> None:
        """The metrics are what is expected, and move no further."""
        wanted = +self.expected
        samples: Samples = {}

        async def has() -> bool:
            samples.update(await self.samples(*_MOVING, *_LEASED))
            return _moved(samples) == wanted

        with trio.move_on_after(10):
            await eventually(has)
        moved = _moved(samples)
        assert moved == wanted, f"it counted {dict(moved)}, not {dict(wanted)}"
        assert total(samples, "sse_active_connections") == 0
        assert total(samples, "sse_provider_connections", state="active") == 0


def _moved(samples: Samples) -> Counter[str]:
    """Requests, errors and clients that were gone, by what the labels say of them."""
    found: Counter[str] = Counter()
    for (name, pairs), value in samples.items():
        labels = dict(pairs)
        if name == "sse_requests_total":
            found[labels["status"]] += int(value)
        elif name == "sse_errors_total":
            found[f"{labels['error_type']} {labels['stage']}"] += int(value)
        elif name == "sse_client_disconnects_total":
            found[" ".join(sorted(labels.values()))] += int(value)
    return +found


def _owed(answer: Answer) -> list[str]:
    """What an answer must be counted as (``decision 5``, ``decision 17``)."""
    outcome = outcome_of(answer)
    if outcome in _COUNTED:
        return _COUNTED[outcome]
    if "x-provider" not in answer.headers:
        return ["validation_error validation"]
    kind = next((kind for kind, codes in _KINDS.items() if outcome in codes), "provider_error")
    begun = answer.status == 200 and len(events_of(answer)) > 1
    stage = "streaming" if begun else "provider_call"
    return ["timeout" if kind == "timeout_error" else "failure", f"{kind} {stage}"]


@asynccontextmanager
async def open_world(
    *,
    limit: int = 100,
    breaker: BreakerSettings = PATIENT,
    drain: float = 30.0,
    edge: EdgeLimits | None = None,
    options: Options | None = None,
    provider_tls: Certificate | None = None,
    client_tls: Certificate | None = None,
    provider_format: str = "openai",
    retries: RetrySettings = ONCE,
    rescue: RescueSettings = RESCUE,
    models: Sequence[ModelSettings] = (),
    limits: LimitSettings = UNLIMITED,
    auth: AuthSettings | None = None,
    **timeouts: float,
) -> AsyncIterator[World]:
    """Sluice in this process; see the module's first lines.

    Its models: ``sim-*``, the simulator's; ``raw``, a provider that the test writes itself;
    ``nobody``, where nobody listens; ``deaf``, which accepts no connection. ``provider_tls``:
    the simulator speaks TLS; ``client_tls``: the service does; ``provider_format``: what is spoken
    with the simulator. Nobody is asked twice, unless ``retries`` say so. ``models`` are more of
    them, or others of the same name; their timeouts are those of all. Other words are `Timeouts`.
    """
    with trio.fail_after(PATIENCE), capture_logs() as logged, nobody() as gone, deaf() as unheard:
        async with (
            open_simulator(
                seed=7,
                options=options,
                api_key=KEY,
                certificate=_files(provider_tls),
            ) as simulator,
            open_raw_provider() as raw,
        ):
            urls = {
                "simulator": simulator.base_url,
                "raw": raw.base_url,
                "nobody": f"http://127.0.0.1:{gone}/v1",
                "deaf": f"http://127.0.0.1:{unheard}/v1",
            }
            config = Config(
                server=_server(drain, edge or EdgeLimits(), client_tls),
                connections=ConnectionSettings(limit=limit),
                limits=limits,
                auth=auth or AuthSettings(),
                timeouts=Timeouts(**timeouts),
                providers=_providers(urls, provider_tls, provider_format),
                retries=retries,
                rescue=rescue,
                models=_models(Timeouts(**timeouts), models),
                breaker=breaker,
            )
            listening = bind([config.server.bind], 4096)
            port = listening[0].getsockname()[1]
            async with trio.open_nursery() as nursery:
                running = Running()
                await nursery.start(running.run, config, listening)
                world = World(running, simulator, raw, port, logged)
                if client_tls is not None:
                    world.trust = ssl.create_default_context(cafile=client_tls.authority)
                try:
                    yield world
                    await world.is_well()
                finally:
                    for each in world.sockets:
                        each.close()
                running.stop.set()


def _files(tls: Certificate | None) -> tuple[str, str] | None:
    return None if tls is None else (tls.chain, tls.key)


def _server(drain: float, limits: EdgeLimits, tls: Certificate | None) -> ServerSettings:
    chain, key = _files(tls) or (None, None)
    return ServerSettings(
        bind="127.0.0.1:0", drain=drain, limits=limits, tls_cert=chain, tls_key=key
    )


def _providers(
    urls: dict[str, str], tls: Certificate | None, provider_format: str
) -> dict[str, ProviderSettings]:
    authority = None if tls is None else tls.authority
    made = {
        name: ProviderSettings(name, url, api_key=Secret(KEY), ca_file=authority)
        for name, url in urls.items()
    }
    if provider_format != "openai":
        made["simulator"] = ProviderSettings(
            "simulator",
            urls["simulator"].removesuffix("/v1"),
            provider_format,
            api_key=Secret(KEY),
            ca_file=authority,
        )
    return made


def _models(timeouts: Timeouts, models: Sequence[ModelSettings]) -> dict[str, ModelSettings]:
    served = {"sim-*": "simulator", "raw": "raw", "nobody": "nobody", "deaf": "deaf"}
    plain = [ModelSettings(name, provider) for name, provider in served.items()]
    return {
        each.name: replace(each, timeouts=timeouts) if each.timeouts == Timeouts() else each
        for each in [*plain, *models]
    }


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as ``condition`` is true."""
    with trio.fail_after(PATIENCE):
        while True:
            if await condition():
                return
            await trio.sleep(0.005)


@contextmanager
def nobody() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose listener accepts nobody, and has no room for more to wait."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        with socket.socket() as first, socket.socket() as second:
            for each in (first, second):
                each.setblocking(False)
                each.connect_ex(listening.getsockname())
            yield listening.getsockname()[1]


def chat(model: str, prompt: str = "hello", *, keep: bool = False, **fields: Any) -> bytes:
    """A request for a chat completion, as it goes over the wire."""
    messages = [{"role": "user", "content": prompt}]
    body = {"model": model, "messages": messages, "stream": True} | fields
    headers = () if keep else ("Connection: close",)
    return post(CHAT, msgspec.json.encode(body), *headers)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A POST of JSON with its length."""
    fields = ("Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return request("POST", path, *fields) + body


def request(method: str, path: str, *headers: str) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: sluice", *headers]
    return "\r\n".join([*lines, "", ""]).encode()
