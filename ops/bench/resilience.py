"""What breakers and limits cost: the service with them beside the same service without.

Both are one process with an embedded store, on the server's core, before the same upstream, and
are loaded at the same time. Both know the same API tokens, and every request bears one: so what is
compared is not whether callers are known, but whether they are limited and whether breakers stand
before the provider. Service and store are counted together: a limit costs both.

The limits are those of a deployment in kind (an hour's window, in the store), and so high that
nobody is refused. As many tokens as requests are under way take turns, so that no two takes of
one caller need be decided about together.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from . import family, limit_keys, load, ours
from .bench import Bench, say
from .contestants import Contestant, Kind
from .programs import free_port
from .results import FamilyCost, LimitKeys

OFF: Final = "off"
ON: Final = "on"
"""The contestants' names."""

KINDS: Final = (Kind.AT_ONCE, Kind.PACED)
PAUSE: Final = 50
TOKENS: Final = tuple(f"bench-{number}" for number in range(load.CONNECTIONS))

_LIMITS: Final = {OFF: "off", ON: "100000/hour"}
_KEYS_WITHIN: Final = 180.0
_CALLERS: Final = ("ip", "user", "token")


def measure_resilience(bench: Bench) -> None:
    """What a request costs with breakers and limits, and without."""
    if ours.service not in bench.starters:
        return
    with _service(bench, OFF) as off, _service(bench, ON) as on:
        for kind in KINDS:
            bench.results.resilience[kind] = _costs(bench, kind, off, on)


def measure_limit_keys(bench: Bench) -> None:
    """What many callers leave in the worker and in the store."""
    say("limit-keys")
    ground = bench.ground
    orders = limit_keys.Orders(
        bench.plan.callers, str(ground.folder / "limit-keys"), ground.load_core
    )
    bench.results.limit_keys = bench.client(
        "limit_keys", orders, LimitKeys, _KEYS_WITHIN, ground.server_core
    )


def guards(name: str) -> str:
    """The sections of the configuration for ``name``."""
    lines = ["[limits]", *(f'{caller} = "{_LIMITS[name]}"' for caller in _CALLERS)]
    lines += ["", "[breaker]", f"enabled = {str(name == ON).lower()}"]
    for token in TOKENS:
        digest = hashlib.sha256(token.encode()).hexdigest()
        lines += ["", f"[auth.tokens.{token}]", f'sha256 = "{digest}"']
    return "\n".join(lines)


@contextlib.contextmanager
def _service(bench: Bench, name: str) -> Iterator[Contestant]:
    ground, port = bench.ground, free_port()
    settings = ours.configuration(ground, port, bench.upstream, guards=guards(name))
    with ours.serving(ground, port, settings, ground.server_core) as program:
        yield Contestant(name, program, ours.addresses(port))


def _costs(bench: Bench, kind: Kind, *both: Contestant) -> dict[str, list[FamilyCost]]:
    for contestant in both:
        bench.warm_up(contestant, kind, _asking(contestant, kind))
    return bench.at_the_same_time(
        f"resilience, {kind}", both, lambda contestant: _cost(bench, kind, contestant)
    )


def _cost(bench: Bench, kind: Kind, contestant: Contestant) -> FamilyCost:
    asking = _asking(contestant, kind)
    watch = family.Watch(contestant.program.pid)
    loaded = load.run(contestant.addresses[kind], bench.ground, bench.plan.seconds, asking)
    return family.cost(watch.used(), loaded)


def _asking(contestant: Contestant, kind: Kind) -> load.Asking:
    asking = load.plain(contestant.addresses[kind], TOKENS)
    return msgspec.structs.replace(asking, pause=PAUSE) if kind is Kind.PACED else asking
