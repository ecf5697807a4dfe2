"""What a metric is, what a label, and which values a label may take."""

from __future__ import annotations

from typing import Literal

import msgspec

from sluice.actors.settings import Routing

OTHER = "other"
"""What a label value becomes that neither the catalog nor the configuration knows."""

Kind = Literal["counter", "gauge", "histogram"]
Domain = Literal[
    "Request Performance",
    "Connection Management",
    "Caching Efficiency",
    "Resilience Patterns",
    "Rate Limiting",
    "Error Tracking",
    "Provider Integration",
    "Stream Quality",
    "Queue Management",
    "Service Runtime",
]
"""The nine domains of the seed's overview, and ours for what is no request's."""

Stage = Literal["any", "validation", "admission", "cache_lookup", "provider_call", "streaming"]
"""The part of a request's way a metric watches; ``any``: the whole way, or none of it."""

Unit = Literal[
    "seconds",
    "bytes",
    "requests",
    "connections",
    "lookups",
    "state",
    "failures",
    "errors",
    "chunks",
    "clients",
    "messages",
    "retries",
    "restarts",
    "descriptors",
    "operations",
    "info",
]

Source = Literal["provider", "model", "queue", "version"]
"""What of the configuration gives a label its values: a field of `Known`."""


class Label(msgspec.Struct, frozen=True):
    """One label: what it means, and its values, fixed here or taken from the configuration."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    configured: Source | None = None


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as a scraper, a dashboard and a reader must know it."""

    name: str
    kind: Kind
    help: str
    unit: Unit
    """Of the value; of a histogram's observations."""
    domain: Domain
    stage: Stage
    origin: str
    """Where it comes from: ``seed 1.1`` for the 19, ``decision 3`` or ``extended``."""
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    """A histogram's upper bounds without ``+Inf``, which it always has."""
    pairs: tuple[tuple[str, ...], ...] = ()
    """The combinations of label values that occur, where not all of them do."""
    states: tuple[str, ...] = ()
    """A state gauge's states: the value is the index."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels, in the order in which values are given."""
        return tuple(label.name for label in self.labels)


class Known(msgspec.Struct, frozen=True):
    """What the configuration adds to the label values that the catalog knows."""

    providers: tuple[str, ...] = ()
    models: tuple[tuple[str, str], ...] = ()
    """(provider, model) as configured; a model's name may be a pattern (``sim-*``)."""
    queues: tuple[str, ...] = ("overflow",)
    version: str = "unknown"

    @classmethod
    def of(cls, routing: Routing, version: str = "unknown") -> Known:
        """The providers and models of ``routing``."""
        models = ((model.provider, model.name) for model in routing.models.values())
        return cls(tuple(routing.providers), tuple(models), version=version)

    def values(self, label: Label) -> tuple[str, ...]:
        """Every value ``label`` may take, `OTHER` apart."""
        match label.configured:
            case None:
                return label.values
            case "provider":
                return self.providers
            case "model":
                return tuple(dict.fromkeys(model for _, model in self.models))
            case "queue":
                return self.queues
            case "version":
                return (self.version,)
