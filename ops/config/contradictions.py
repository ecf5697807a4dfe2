"""Timeouts that never pass, because another one always passes before them.

All but ``idle`` and ``heartbeat`` run from the call, and those two start later still: what is not
shorter than ``total`` has no effect. Some pairs look odd and are none: ``idle`` runs anew with
each piece, ``heartbeat`` also while a provider only pings, and ``client_write`` after the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec

from sluice.actors.settings import Timeouts

from .mistakes import Notice, dotted
from .places import Places

Table = Mapping[str, float]
Layers = tuple[tuple[str, Table], ...]
"""Tables with how they are called, the last one first in rank."""

_DEFAULTS: Final[Table] = msgspec.structs.asdict(Timeouts())
_NEVER: Final = {
    "connect": ("total", "has no effect"),
    "first_chunk": ("total", "has no effect"),
    "idle": ("total", "has no effect"),
    "heartbeat": ("total", "has no effect, no heartbeat is ever sent"),
}
"""Keys with the one that ends the stream before them, unless that one is larger."""


def contradictions(values: Mapping[str, object], places: Places) -> Iterator[Notice]:
    """One notice a pair and a place that sets one of the two; what is inherited is told once."""
    everywhere = (" (from [timeouts])", cast("Table", values.get("timeouts", {})))
    yield from _in_table(("timeouts",), everywhere[1], (), places)
    providers = cast("Mapping[str, Mapping[str, Table]]", values.get("providers", {}))
    for name, provider in providers.items():
        own = provider.get("timeouts", {})
        yield from _in_table(("providers", name, "timeouts"), own, (everywhere,), places)
    models = cast("Mapping[str, Mapping[str, Table]]", values.get("models", {}))
    for name, model in models.items():
        provider = providers.get(str(model.get("provider")), {})
        layers = (everywhere, (" (from its provider)", provider.get("timeouts", {})))
        own = model.get("timeouts", {})
        yield from _in_table(("models", name, "timeouts"), own, layers, places)


def _in_table(
    table: tuple[str, ...], own: Table, inherited: Layers, places: Places
) -> Iterator[Notice]:
    layers = (*inherited, ("", own))
    timeouts = dict(_DEFAULTS)
    for _, values in layers:
        timeouts.update(values)
    for key, other, effect in _pairs(timeouts):
        if key in own or other in own:
            path = (*table, key if key in own else other)
            told = [
                f"{name} = {_number(timeouts[name])}{_origin(name, layers)}"
                for name in (key, other)
            ]
            text = f"{told[0]} {effect}: {told[1]} always passes first"
            yield Notice(places.find(path), dotted(path), text)


def _pairs(timeouts: Table) -> Iterator[tuple[str, str, str]]:
    """A key without effect, the one that passes before it, and what that means; each key once."""
    for key, (other, effect) in _NEVER.items():
        if timeouts[key] >= timeouts[other]:
            yield key, other, effect
        elif key == "connect" and timeouts[key] > timeouts["first_chunk"]:
            yield key, "first_chunk", "has no effect on streams"


def _origin(key: str, layers: Layers) -> str:
    return next((origin for origin, table in reversed(layers) if key in table), " (the default)")


def _number(seconds: float) -> str:
    return str(seconds).removesuffix(".0")
