"""The tree of actors of one process, put together from a configuration.

::

    root                one_for_one
     ├─ store           our own Valkey, or what stands for the configured one
     ├─ metrics         takes reports, renders /metrics
     ├─ connections     the slots of this replica
     ├─ breakers        one_for_one: the circuit breakers, one actor a provider
     ├─ providers       one_for_one: one actor a provider, with its idle connections
     ├─ streams         one task a stream
     └─ edge            Hypercorn, our HTTP/1.1, the routes

A worker that is one of several has no store's child, no breakers and no slots of its own: its host
has them. It has ``control``, by which operators see it; ``shares``, which gives the host what it
counted; ``connections`` and ``lease``, its part of the slots; and ``drain``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sluice.actors.metrics.accounting import Window
from sluice.actors.metrics.metrics import Metrics
from sluice.actors.metrics.process import sample_process
from sluice.actors.metrics.samplers import (
    Sampler,
    breaker_sampler,
    engine_sampler,
    limiter_sampler,
    permit_sampler,
    provider_sampler,
)
from sluice.actors.metrics.shares import ShareGiver
from sluice.actors.providers.provider import Provider
from sluice.actors.providers.upstream_failures import stopped
from sluice.actors.slots.borrowing import Borrower, LeasedConnections
from sluice.actors.slots.connections import Connections
from sluice.actors.streams.streams import Streams
from sluice.engine import ChildSpec, SupervisorSpec
from sluice.http.edge import Edge
from sluice.http.edge_settings import EdgeSettings
from sluice.http.edge_state import EdgeCounts
from sluice.ops.config import Config
from sluice.ops.control.operator import WorkerControl
from sluice.ops.control.orders import CONTROL
from sluice.ops.drainer import Drainer
from sluice.ops.ending import GRACE
from sluice.ops.limits import clients_within
from sluice.ops.place import HOST
from sluice.ops.store import store_children, store_sampler

if TYPE_CHECKING:
    from .worker import Worker


def tree_of(worker: Worker) -> SupervisorSpec:
    """Children start left to right and stop right to left: the edge opens last, closes first."""
    config = worker.config
    tally, window = worker.tally, Window()
    samplers = (
        sample_process,
        engine_sampler(worker.actors, worker.links),
        provider_sampler(worker.providers),
        permit_sampler(worker.permits),
        *_breaker_samplers(worker),
        store_sampler(worker.store),
        limiter_sampler(worker.limiter),
    )
    counts = EdgeCounts()
    patience = config.server.drain + GRACE
    return SupervisorSpec(
        "root",
        [
            *([_control(worker)] if worker.place.process else store_children(config, worker.store)),
            ChildSpec(
                "metrics",
                lambda: Metrics(tally, window, worker.ledger, samplers, outbox=worker.outbox),
            ),
            *(_of_several(worker) if worker.place.process else _alone(worker)),
            SupervisorSpec("providers", _providers(worker)),
            ChildSpec("streams", lambda: _streams(worker), shutdown=patience),
            ChildSpec("edge", lambda: _edge(worker, counts), shutdown=patience),
        ],
    )


def _control(worker: Worker) -> ChildSpec:
    """What a worker has for operators: the first to start and the last to stop."""
    return ChildSpec(CONTROL, lambda: WorkerControl(worker, worker.home, worker.news, HOST))


def _alone(worker: Worker) -> list[ChildSpec | SupervisorSpec]:
    """What the one process of a replica has."""
    return [
        ChildSpec("connections", lambda: Connections(worker.slots, worker.returns)),
        worker.breakers.tree(),
    ]


def _breaker_samplers(worker: Worker) -> list[Sampler]:
    """What a host has for its workers."""
    if worker.place.process:
        return []
    guards = worker.config.routing.guards
    return [breaker_sampler(worker.breakers.circuits, guards)]


def _of_several(worker: Worker) -> list[ChildSpec]:
    """What a worker has in its place, for a host that keeps the slots and adds up the counts."""
    place, lease, returns, outbox = worker.place, worker.lease, worker.returns, worker.outbox
    return [
        ChildSpec("shares", lambda: ShareGiver(outbox, "metrics", place.metrics)),
        ChildSpec("connections", lambda: LeasedConnections(lease, place.connections)),
        ChildSpec("lease", lambda: Borrower(lease, returns, place.connections)),
        ChildSpec("drain", lambda: Drainer(worker.drain)),
    ]


def _providers(worker: Worker) -> list[ChildSpec]:
    return [
        ChildSpec(name, functools.partial(Provider, shelf))
        for name, shelf in worker.shelves.items()
    ]


def _streams(worker: Worker) -> Streams:
    config = worker.config
    return Streams(
        worker.streams,
        worker.clients,
        limiter=worker.limiter,
        pump=worker.pump,
        scan=worker.scan,
        spawn=worker.spawn,
        drain=config.server.drain,
        returns=worker.returns,
        permits=worker.permits,
        report=worker.report,
        on_fault=worker.on_fault,
        routing=config.routing,
        retries=config.retries,
        rescue=config.rescue,
    )


def _edge(worker: Worker, counts: EdgeCounts) -> Edge:
    return Edge(
        worker.application,
        worker.listening,
        edge_settings(worker.config),
        worker.pump,
        counts=counts,
        on_refused=worker.report,
        last_call=lambda: worker.streams.end_all(stopped()),
        patient=worker.is_replaced,
        spread=worker.spread,
        takes=lambda: worker.streams.accepting,
    )


def edge_settings(config: Config) -> EdgeSettings:
    """What the configuration says about the edge; a replica's slots are not its connections."""
    server, limits = config.server, config.server.limits
    return EdgeSettings(
        http1=server.http1,
        head_limit=limits.head,
        body_limit=limits.body,
        head_timeout=limits.head_timeout,
        body_timeout=limits.body_timeout,
        keepalive_timeout=limits.keepalive_timeout,
        client_write=config.timeouts.client_write,
        max_connections=clients_within(limits.connections, config.connections.limit),
        drain=server.drain,
        certfile=server.tls_cert,
        keyfile=server.tls_key,
    )
