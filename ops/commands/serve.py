"""``sluice serve``: the service, from its configuration to its exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from sluice.ops import logs
from sluice.ops.config import Config, load
from sluice.ops.limits import clients_within, descriptors_for, raise_descriptors
from sluice.ops.signals import held_back

from .configured import EPILOG, add_config_argument, configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice serve``."""
    parser.description = (
        "Runs the service until SIGTERM or SIGINT; then streams get [server] drain seconds\n"
        "to end. A signal during the start ends the start. A second signal ends at once.\n"
        "SIGHUP reads the configuration again: what can change does, at once or by replacing the\n"
        "workers, whose streams have [server] drain seconds to end; what needs a restart is named\n"
        "in the log; one with mistakes is not taken.\n"
        "Log lines (JSON) go to standard error."
    )
    parser.epilog = EPILOG
    add_config_argument(parser)
    parser.add_argument(
        "--bind",
        metavar="ADDR",
        help="where to listen: HOST:PORT, [IPV6]:PORT or unix:/PATH"
        " (default: [server] bind, which is 127.0.0.1:8000 unless set)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help="a host and N worker processes; 0: all in one process; auto: one a core that this"
        " process may use, and 0 if that is only one (default: [server] workers, which is auto"
        " unless set)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 after an orderly end, 1 for a configuration or a start that failed."""
    given = {"--bind": arguments.bind, "--workers": arguments.workers}
    keys = {"--bind": ("server", "bind"), "--workers": ("server", "workers")}
    options = {name: (keys[name], text) for name, text in given.items() if text is not None}
    config = configuration(arguments, options)
    if config is None:
        return 1
    with (
        held_back(),
        logs.open_log(sys.stderr.fileno(), config.server.log_level, secrets=config.secrets) as log,
    ):
        serve = importlib.import_module("sluice.ops.serve")  # not before mistakes are told
        _tell(config, log)

        def read() -> Config:
            again = load(config.source or None, os.environ, options)
            log.hide(again.secrets)
            return again

        code: int = serve.main(config, read)
        return code


def _tell(config: Config, log: logs.Log) -> None:
    """One warning for all that the operator should know; one more if descriptors are short."""
    if config.notices:
        log.tell("configuration", notices=[str(notice) for notice in config.notices])
    needed = descriptors_for(config.connections.limit)
    idle = sum(provider.max_idle for provider in config.providers.values())
    allowed = raise_descriptors(needed + config.server.limits.connections + idle)
    if allowed < needed:
        log.tell(
            "too few file descriptors for [connections] limit: raise `ulimit -n`",
            needed=needed,
            allowed=allowed,
        )
    connections = config.server.limits.connections
    room = clients_within(connections, config.connections.limit)
    if room < connections:
        log.tell(
            "too few file descriptors for [server.limits] connections: raise `ulimit -n`",
            wanted=connections,
            room=room,
        )
