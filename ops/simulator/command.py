"""``sluice simulate``: a provider of completions that does as it is told."""

from __future__ import annotations

import argparse
import functools
import random
import signal
import sys

import trio

from sluice.http.server import bind
from sluice.ops.limits import raise_descriptors

from .behaviour import BEHAVIOURS, faults
from .options import OptionError, Options, checked
from .records import Records
from .server import App, serve
from .simulation import Simulation

_BACKLOG = 4096
_DESCRIPTORS = 65_536
_FLAGS: dict[str, tuple[type, str]] = {
    "chunks": (int, "pieces of text in an answer"),
    "chunk_size": (int, "tokens in a piece"),
    "delay": (float, "seconds between two pieces"),
    "first_delay": (float, "seconds before the first piece"),
    "head_delay": (float, "seconds before the head of the response"),
    "pings": (float, "seconds of silence before a sign of life; 0: none"),
    "reasoning": (int, "pieces of reasoning before the text"),
    "tool_calls": (int, "calls of tools, in place of the text"),
    "retry_after": (int, "seconds that sim-429-retry-after tells"),
    "probability": (float, "of a fault, for models that name none"),
    "faults": (str, "which faults these are"),
}
_SWITCHES = {
    "write_each": "one write for each event, even without a delay",
    "same": "identical answers, whatever the model, the prompt and the attempt",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice simulate``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "A provider of completions for tests, benchmarks and the demo. It speaks OpenAI\n"
        "(POST /v1/chat/completions), Anthropic (POST /v1/messages) and Cohere (POST /v2/chat),\n"
        "and does what the request's model says."
    )
    parser.epilog = _epilog()
    parser.add_argument(
        "--bind",
        default="127.0.0.1:9000",
        metavar="ADDR",
        help="HOST:PORT, [IPV6]:PORT or unix:/PATH (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of all that is random (default: another each time)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help="answer 401 to another (default: any will do)"
    )
    parser.add_argument(
        "--keep",
        type=int,
        default=100,
        metavar="N",
        help="requests kept for GET /sim/requests (default: %(default)s)",
    )
    parser.add_argument("--certfile", metavar="PEM", help="speak TLS with this certificate")
    parser.add_argument("--keyfile", metavar="PEM", help="and this key")
    _add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. Exit code 1 if it cannot listen or an option is wrong."""
    try:
        options = _options(args)
    except OptionError as error:
        print(f"sluice simulate: {error}", file=sys.stderr)
        return 1
    raise_descriptors(_DESCRIPTORS)
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    records = Records(seed, max(0, args.keep))
    app = App(Simulation(seed, options, args.api_key), records)
    try:
        trio.run(_main, args, app, seed)
    except OSError as error:
        print(f"sluice simulate: {args.bind}: {error}", file=sys.stderr)
        return 1
    return 0


def _options(args: argparse.Namespace) -> Options:
    """What the flags say. Raises `OptionError`."""
    if (args.certfile is None) != (args.keyfile is None):
        raise OptionError("--certfile and --keyfile go together")
    options = Options(**{name: getattr(args, name) for name in _FLAGS | _SWITCHES})
    faults(options.faults)
    return checked(options)


async def _main(args: argparse.Namespace, app: App, seed: int) -> None:
    sockets = bind([args.bind], _BACKLOG)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def stopped() -> None:
            await anext(signals)

        serving = functools.partial(
            serve,
            app,
            sockets,
            certfile=args.certfile,
            keyfile=args.keyfile,
            shutdown_trigger=stopped,
        )
        async with trio.open_nursery() as nursery:
            addresses: list[str] = await nursery.start(serving)
            print(f"simulator on {', '.join(addresses)}, seed {seed}", flush=True)


def _add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it answers, unless the model's name says otherwise")
    defaults = Options()
    for name, (kind, text) in _FLAGS.items():
        group.add_argument(
            "--" + name.replace("_", "-"),
            type=kind,
            default=getattr(defaults, name),
            metavar={int: "N", float: "X", str: "NAMES"}[kind],
            help=f"{text} (default: %(default)s)",
        )
    for name, text in _SWITCHES.items():
        group.add_argument("--" + name.replace("_", "-"), action="store_true", help=text)


def _epilog() -> str:
    width = max(map(len, BEHAVIOURS))
    models = "\n".join(f"  {name:{width}}  {b.tells}" for name, b in BEHAVIOURS.items())
    return f"""\
models:
{models}

  A name may go on after a hyphen: sim-cut-2 cuts, too. Options may follow, and frame_size and
  hold besides those above:  sim-ok?chunks=3&delay=0.5

what it saw:
  GET  /sim/statistics   counts of requests, attempts, open connections, clients that left
  GET  /sim/requests     the last requests, with headers and body
  POST /sim/release      lets streams go on that "hold=N" stopped before their piece N
"""
