"""What every process has, by the names Prometheus gives it."""

from __future__ import annotations

from functools import partial

from .metric import Metric

_metric = partial(Metric, domain="Service Runtime", stage="any", origin="extended")

EXTENDED: tuple[Metric, ...] = (
    _metric(
        name="process_cpu_seconds_total",
        kind="counter",
        help="Total user and system CPU time spent in seconds.",
        unit="seconds",
    ),
    _metric(
        name="process_resident_memory_bytes",
        kind="gauge",
        help="Resident memory size in bytes.",
        unit="bytes",
    ),
    _metric(
        name="process_open_fds",
        kind="gauge",
        help="Number of open file descriptors.",
        unit="descriptors",
    ),
    _metric(
        name="process_max_fds",
        kind="gauge",
        help="Maximum number of open file descriptors.",
        unit="descriptors",
    ),
    _metric(
        name="process_start_time_seconds",
        kind="gauge",
        help="Start time of the process since unix epoch in seconds.",
        unit="seconds",
    ),
)
