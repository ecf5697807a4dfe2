"""Us: ``sluice serve`` with one process, everything switched on, and limits out of the way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .contestants import ROUTE, Address, Contestant, Kind, Upstream, is_tls
from .fill import filled
from .programs import Ground, free_port, running

NAME = "Sluice"

_COMMAND = "import sys; from sluice.ops.cli import main; sys.exit(main())"


@contextlib.contextmanager
def service(ground: Ground, before: Upstream) -> Iterator[Contestant]:
    """The service; it has a provider and a model for each kind of stream."""
    port = free_port()
    file = ground.folder / "sluice.toml"
    file.write_text(configuration(ground, port, before))
    argv = [sys.executable, "-c", _COMMAND, "serve", "--config", str(file)]
    with running("sluice", argv, ground, ground.server_core) as program:
        program.wait_for(port)
        addresses = {kind: Address(port, ROUTE, kind.value) for kind in Kind}
        yield Contestant(NAME, program, addresses)


def configuration(ground: Ground, port: int, before: Upstream) -> str:
    """The service's configuration: only what must differ from the defaults."""
    models = "".join(_model(kind, before) for kind in Kind)
    return filled(
        "sluice.toml", port=port, folder=ground.folder, connections=ground.streams, models=models
    )


def _model(kind: Kind, before: Upstream) -> str:
    scheme = "https" if is_tls(kind) else "http"
    return filled(
        "model.toml",
        name=kind.value,
        base_url=f"{scheme}://127.0.0.1:{before.port(kind)}/{kind.folder}/v1",
        ca_file=f'ca_file = "{before.certificate}"' if is_tls(kind) else "",
    )
