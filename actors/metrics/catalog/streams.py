"""What streams deliver, and to whom they could not."""

from __future__ import annotations

from functools import partial

from .labels import PROVIDER
from .metric import Label, Metric

LEAVING = Label("reason", "Left: it closed. Stalled: it took no byte.", ("left", "stalled"))
WHEN = Label("when", "How far its answer was.", ("before_first_chunk", "streaming"))

_metric = partial(Metric, domain="Stream Quality", stage="streaming")

SEED: tuple[Metric, ...] = (
    _metric(
        name="sse_chunks_streamed_total",
        kind="counter",
        help="Chunks delivered to clients",
        unit="chunks",
        origin="seed 8.1",
        labels=(PROVIDER,),
    ),
    _metric(
        name="sse_stream_duration_seconds",
        kind="histogram",
        help="Time from a stream's first chunk to its end",
        unit="seconds",
        origin="seed 8.2",
        labels=(PROVIDER,),
        buckets=(0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
    ),
)
"""The seed's."""

FRAMES: tuple[Metric, ...] = (
    _metric(
        name="sse_malformed_frames_total",
        kind="counter",
        help="Malformed frames of a provider that were left out of streams that went on",
        unit="chunks",
        origin="extended",
        labels=(PROVIDER,),
    ),
)
"""Ours, of what providers send."""

CLIENTS: tuple[Metric, ...] = (
    _metric(
        name="sse_client_disconnects_total",
        kind="counter",
        help="Clients that were gone before their answer was complete",
        unit="clients",
        origin="extended",
        labels=(LEAVING, WHEN),
    ),
)
"""Ours, of who is gone."""
