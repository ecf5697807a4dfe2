"""What a chunk costs where the client's format is not the provider's, and where it is.

One service stands before an upstream that speaks all three formats; each of its clients is
served by each of its providers: three pairs of one format, six that are translated. Answers are
short and long, their chunks at once: what a chunk costs is what a long answer costs more than a
short one, by the chunks that it has more. So what a request costs, and what opens and closes an
answer, is in neither figure.

The upstream writes ten chunks at a time. One by one they would cost a read and a write of sockets
each, the same in all formats, beside which a translation is little; and as fast as it goes, it
would depend on what else the machine does how many come with one read. Few answers are under way
at a time, so that those that are not finished in time are few.

A pair is compared with its client's own format, within the same round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import msgspec

from . import chunks, family, load, ours
from .bench import WARM_UP, Bench, say
from .contestants import Address, Upstream
from .dialects import DIALECTS, Dialect
from .programs import Program, free_port
from .results import ChunkCost

FEW: Final = 20
MANY: Final = 520
"""Pieces of text of an answer. So far apart that what a request costs is small beside them."""

PAIRS: Final = tuple((client, provider) for client in DIALECTS for provider in DIALECTS)

_CONNECTIONS: Final = 8
_MOST_ROUNDS: Final = 3


def measure_translated(bench: Bench) -> None:
    """What a chunk costs for each pair of formats."""
    if ours.service not in bench.starters:
        return
    with _service(bench) as (program, port):
        for client, provider in PAIRS:
            _warm_up(bench, port, client, provider)
        for number in range(min(bench.plan.rounds, _MOST_ROUNDS)):
            for client, provider in PAIRS:
                say(f"translated: {client.name} from {provider.name}, round {number + 1}")
                of = bench.results.translated.setdefault(client.name, {})
                found = of.setdefault(provider.name, [])
                found.append(_chunk_cost(bench, program.pid, port, client, provider))


def models(upstream: Upstream) -> str:
    """The configuration's models and providers: one for each format and length of an answer."""
    return "".join(
        ours.model(
            _model(provider, pieces),
            f"http://127.0.0.1:{upstream.plain}/spoken/{provider.name}/{pieces}{provider.base}",
            provider.name,
        )
        for provider in DIALECTS
        for pieces in (FEW, MANY)
    )


def _model(provider: Dialect, pieces: int) -> str:
    return f"{provider.name}-{pieces}"


@contextlib.contextmanager
def _service(bench: Bench) -> Iterator[tuple[Program, int]]:
    ground, port = bench.ground, free_port()
    settings = ours.with_models(ground, port, models(bench.upstream))
    with ours.serving(ground, port, settings, ground.server_core) as program:
        yield program, port


def _warm_up(bench: Bench, port: int, client: Dialect, provider: Dialect) -> None:
    """See that answers are whole, and load it a moment."""
    for pieces in (FEW, MANY):
        model = _model(provider, pieces)
        address, asking = Address(port, client.route, model), client.asking(model)
        try:
            client.check(load.ask(address, asking), pieces)
        except chunks.BrokenAnswerError as error:
            raise load.LoadError(f"{client.name} from {provider.name}: {error}") from error
    load.run(address, bench.ground, WARM_UP, _few(asking))


def _chunk_cost(bench: Bench, pid: int, port: int, client: Dialect, provider: Dialect) -> ChunkCost:
    seconds = bench.plan.seconds
    few, many = (
        _cost(bench, pid, Address(port, client.route, _model(provider, pieces)), client, each)
        for pieces, each in ((FEW, seconds / 2), (MANY, seconds))
    )
    return ChunkCost(few=few, many=many, chunk=(many - few) / (MANY - FEW))


def _cost(bench: Bench, pid: int, address: Address, client: Dialect, seconds: float) -> float:
    """Microseconds a request, of the service and its store."""
    watch = family.Watch(pid)
    asking = _few(client.asking(address.model))
    loaded = load.run(address, bench.ground, seconds, asking)
    return family.cost(watch.used(), loaded).cost.microseconds


def _few(asking: load.Asking) -> load.Asking:
    return msgspec.structs.replace(asking, connections=_CONNECTIONS)
