"""Us: ``sluice serve`` with everything switched on, and limits out of the way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .contestants import ROUTE, Address, Contestant, Kind, Upstream, is_tls
from .fill import filled
from .programs import Ground, Program, free_port, running

NAME = "Sluice"

NO_LIMIT = '[limits]\nip = "off"'
"""The sections of the configuration that limit nobody."""

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
    with serving(ground, port, configuration(ground, port, before, workers), *cores) as program:
        yield Contestant(label(workers), program, addresses(port))


@contextlib.contextmanager
def serving(ground: Ground, port: int, settings: str, *cores: int) -> Iterator[Program]:
    """The service with the configuration ``settings``, which says that it listens on ``port``."""
    name = f"sluice-{port}"
    file = ground.folder / f"{name}.toml"
    file.write_text(settings)
    argv = [sys.executable, "-c", _COMMAND, "serve", "--config", str(file)]
    with running(name, argv, ground, *cores) as program:
        program.wait_for_line(_SERVING)
        yield program


def addresses(port: int) -> dict[Kind, Address]:
    """Where the service on ``port`` is asked for each kind of stream."""
    return {kind: Address(port, ROUTE, kind.value) for kind in Kind}


def label(workers: int) -> str:
    """How the service with so many workers is called."""
    return f"workers = {workers}"


def configuration(
    ground: Ground, port: int, before: Upstream, workers: int = 0, guards: str = NO_LIMIT
) -> str:
    """The service's configuration: only what must differ from the defaults.

    ``guards``: the sections of limits, breakers and callers.
    """
    models = "".join(_model(kind, before) for kind in Kind)
    return with_models(ground, port, models, workers, guards)


def with_models(
    ground: Ground, port: int, models: str, workers: int = 0, guards: str = NO_LIMIT
) -> str:
    """The same with other models and providers: `model` has the text of one."""
    return filled(
        "sluice.toml",
        port=port,
        workers=workers,
        folder=ground.folder,
        connections=ground.streams,
        guards=guards,
        models=models,
    )


def model(name: str, base_url: str, provider_format: str = "openai", ca_file: str = "") -> str:
    """The sections of a model and of its provider, which have the same name."""
    return filled(
        "model.toml", name=name, base_url=base_url, format=provider_format, ca_file=ca_file
    )


def _model(kind: Kind, before: Upstream) -> str:
    scheme = "https" if is_tls(kind) else "http"
    return model(
        kind.value,
        f"{scheme}://127.0.0.1:{before.port(kind)}/{kind.folder}/v1",
        ca_file=f'ca_file = "{before.certificate}"' if is_tls(kind) else "",
    )
