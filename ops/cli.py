"""The ``sluice`` command: one sub-command a module, imported when it is asked for.

Every module of a command has ``add_arguments(parser)`` and ``run(arguments) -> exit code``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final, NoReturn

import msgspec

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells count."""


class Command(msgspec.Struct, frozen=True):
    """Where a command is written, and what it does in one line."""

    module: str
    summary: str


COMMANDS: Final = {
    "serve": Command("sluice.ops.commands.serve", "run the service"),
    "simulate": Command("sluice.ops.simulator.command", "run the provider simulator"),
    "check": Command("sluice.ops.commands.check", "validate a configuration and tell all mistakes"),
    "status": Command("sluice.ops.commands.status", "tell how a running service is"),
    "tree": Command("sluice.ops.commands.status", "show the actors of a running service"),
    "restart": Command(
        "sluice.ops.commands.actors", "restart an actor; what holds connections drains"
    ),
    "pause": Command("sluice.ops.commands.actors", "let an actor's mail wait"),
    "resume": Command("sluice.ops.commands.actors", "end a pause"),
    "stop": Command("sluice.ops.commands.actors", "stop an actor until it is restarted"),
    "top": Command("sluice.ops.commands.top", "watch a running service, live"),
    "events": Command("sluice.ops.commands.live", "print what happens in a running service"),
    "log-level": Command("sluice.ops.commands.live", "tell or change the log's level, live"),
    "breaker": Command(
        "sluice.ops.commands.breaker", "open, close or reset a provider's circuit breaker"
    ),
    "limit": Command("sluice.ops.commands.limit", "tell or change what callers may ask, live"),
    "token": Command("sluice.ops.commands.token", "make an API token, and its line to configure"),
    "drain": Command("sluice.ops.commands.live", "end a running service in order"),
    "bench": Command(
        "sluice.ops.bench.command", "measure the service, with nginx as the yardstick"
    ),
}

_DESCRIPTION: Final = """\
Sluice streams completions of LLM providers to clients over Server-Sent Events,
at the cost of a plain proxy.
"""

_EPILOG: Final = """\
try it without any provider:
  sluice simulate --bind 127.0.0.1:9000     a provider that exists only for tests
  sluice serve --config sluice.toml         the service, on 127.0.0.1:8000 by default

exit codes:
  0  it did what it was asked to
  1  it failed; standard error says why
  2  it was called in a way that it does not understand
  3  the running service that it is about cannot be reached

"sluice COMMAND --help" tells the options of a command and their defaults.
"""


def main(argv: Sequence[str] | None = None, platform: str = sys.platform) -> int:
    """Run ``sluice`` with ``argv`` (None: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if platform != "linux":
        print(f"Sluice runs on Linux: it needs epoll. This is {platform}.", file=sys.stderr)
        return FAILURE
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseExceptionGroup as group:  # as a nursery raises what comes while it is open
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return INTERRUPTED
    except BrokenPipeError:  # `sluice check | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _dispatch(words: list[str]) -> int:
    name = next((word for word in words if not word.startswith("-")), None)
    parser, commands = _parser()
    run: Callable[[argparse.Namespace], int] | None = None
    if name in COMMANDS:
        module = importlib.import_module(COMMANDS[name].module)
        module.add_arguments(commands[name])
        run = module.run
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        commands.get(name or "", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if run is None:
        parser.print_help(sys.stderr)
        return USAGE
    code = run(arguments)
    sys.stdout.flush()
    return code


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser, and the empty ones of the commands."""
    parser = _Parser(
        prog="sluice",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sluice {version('sluice-sse')}")
    group = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    commands = {
        name: group.add_parser(
            name,
            help=command.summary,
            description=f"{command.summary[:1].upper()}{command.summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, command in COMMANDS.items()
    }
    return parser, commands


class _Parser(argparse.ArgumentParser):
    """Says where help is, besides what is wrong; abbreviated options would change meaning."""

    def __init__(self, **options: object) -> None:
        super().__init__(**{**options, "allow_abbrev": False})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f'{self.prog}: {message}\ntry "{self.prog} --help"\n')


if __name__ == "__main__":
    sys.exit(main())
