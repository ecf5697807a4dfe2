"""Us: ``sluice serve`` with everything switched on, and limits out of the way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .contestants import ROUTE, Address, Contestant, Kind, Upstream, is_tls
from .fill import filled
from .programs import Ground, free_port, running

NAME = "Sluice"

_COMMAND = "import sys; from sluice.ops.cli import main; sys.exit(main())"
_SERVING = '"event":"serving"'


@contextlib.contextmanager
def service(ground: Ground, before: Upstream) -> Iterator[Contestant]:
    """The service in one process; it has a provider and a model for each kind of stream."""
    with with_workers(ground, before, 0, ground.server_core) as contestant:
        yield Contestant(NAME, contestant.program, contestant.addresses)


@contextlib.contextmanager
def with_workers(
    ground: Ground, before: Upstream, workers: int, *cores: int
) -> Iterator[Contestant]:
    """The service with so many workers (0: one process), all of it on ``cores``.

    It accepts connections long before it serves them: it has begun when every worker is ready.
    Several may run side by side.
    """
    port = free_port()
    name = f"sluice-{workers}-{port}"
    file = ground.folder / f"{name}.toml"
    file.write_text(configuration(ground, port, before, workers))
    argv = [sys.executable, "-c", _COMMAND, "serve", "--config", str(file)]
    with running(name, argv, ground, *cores) as program:
        program.wait_for_line(_SERVING)
        addresses = {kind: Address(port, ROUTE, kind.value) for kind in Kind}
        yield Contestant(label(workers), program, addresses)


def label(workers: int) -> str:
    """How the service with so many workers is called."""
    return f"workers = {workers}"


def configuration(ground: Ground, port: int, before: Upstream, workers: int = 0) -> str:
    """The service's configuration: only what must differ from the defaults."""
    models = "".join(_model(kind, before) for kind in Kind)
    return filled(
        "sluice.toml",
        port=port,
        workers=workers,
        folder=ground.folder,
        connections=ground.streams,
        models=models,
    )


def _model(kind: Kind, before: Upstream) -> str:
    scheme = "https" if is_tls(kind) else "http"
    return filled(
        "model.toml",
        name=kind.value,
        base_url=f"{scheme}://127.0.0.1:{before.port(kind)}/{kind.folder}/v1",
        ca_file=f'ca_file = "{before.certificate}"' if is_tls(kind) else "",
    )
