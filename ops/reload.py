"""What a changed configuration means for a service that runs. Pure.

Every key has one of three effects, which `EFFECTS` tells:

* ``live``: it changes at once;
* ``workers``: every worker is replaced by one that has it, and drains. Where all is in one
  process, it needs a restart;
* ``restart``: only a service that is started anew has it. Until then it stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from sluice.actors.settings import Rate
from sluice.ops.config import Config
from sluice.ops.config.mistakes import dotted

Effect = Literal["live", "workers", "restart"]
Path = tuple[str, ...]

EFFECTS: Final[dict[Path, Effect]] = {
    ("server", "bind"): "restart",
    ("server", "workers"): "restart",
    ("server", "data_dir"): "restart",
    ("server", "drain"): "restart",
    ("server", "http1"): "workers",
    ("server", "tls_cert"): "workers",
    ("server", "tls_key"): "workers",
    ("server", "log_level"): "live",
    ("server", "limits"): "workers",
    ("control",): "restart",
    ("store",): "restart",
    ("connections",): "live",
    ("limits",): "live",
    ("auth",): "workers",
    ("timeouts",): "workers",
    ("retries",): "workers",
    ("rescue",): "workers",
    ("breaker",): "live",
    ("breaker", "enabled"): "workers",
    ("cors",): "workers",
    ("providers",): "workers",
    ("models",): "workers",
}
"""By the longest path that begins a key's."""

_NO_KEYS: Final = frozenset({"source", "notices"})


class Plan(msgspec.Struct, frozen=True):
    """What follows from a new configuration: the keys that changed, by their effect."""

    config: Config
    """In force from then on: the new one, but for what needs a restart."""
    live: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether there is nothing to do, nor to name."""
        return not (self.live or self.workers or self.restart)


def plan(old: Config, new: Config, *, several: bool, files: Sequence[str] = ()) -> Plan:
    """What to do so that ``new`` is in force after ``old``.

    ``several``: there are workers, which can be replaced. ``files``: those of `pem_files` whose
    content is another.
    """
    changed = [(path, _effect(path, several=several)) for path in changes(old, new)]
    config = new
    for path, effect in changed:
        if effect == "restart":
            config = _with(config, path, _at(old, path))
    keys: dict[Effect, tuple[str, ...]] = {
        wanted: tuple(dotted(path) for path, effect in changed if effect == wanted)
        for wanted in ("live", "workers", "restart")
    }
    keys["workers" if several else "restart"] += tuple(f"the content of {each}" for each in files)
    return Plan(config, **keys)


def changes(old: Config, new: Config) -> list[Path]:
    """The keys that differ; of a provider or a model its name, of a table that came or went, it."""
    return [path for path in _changes(old, new, ()) if path[0] not in _NO_KEYS]


def pem_files(config: Config) -> list[str]:
    """The files that are read when a worker starts; their content may change, too."""
    server = config.server
    named = [server.tls_cert, server.tls_key, *(each.ca_file for each in config.providers.values())]
    if config.auth.jwt is not None:
        named += [config.auth.jwt.key_file, config.auth.jwt.jwks_file]
    return sorted({each for each in named if each is not None})


def _changes(old: object, new: object, path: Path) -> Iterator[Path]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from ((*path, name) for name in {**old, **new} if old.get(name) != new.get(name))
    elif isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct) and not _is_one(old):
        for name in old.__struct_fields__:
            yield from _changes(getattr(old, name), getattr(new, name), (*path, name))
    else:
        yield path


def _is_one(struct: msgspec.Struct) -> bool:
    """Whether it is the value of one key, such as ``100/minute``, and no table."""
    return isinstance(struct, Rate)


def _effect(path: Path, *, several: bool) -> Effect:
    found = next(
        EFFECTS[path[:length]] for length in range(len(path), 0, -1) if path[:length] in EFFECTS
    )
    return "restart" if found == "workers" and not several else found


def _at(struct: Any, path: Path) -> Any:
    """The value at ``path``, one of `changes`."""
    for name in path:
        struct = struct.get(name) if isinstance(struct, dict) else getattr(struct, name)
    return struct


def _with(struct: Any, path: Path, value: object) -> Any:
    """``struct`` with ``value`` at ``path``; an entry of a dictionary that is None goes."""
    name, *rest = path
    if isinstance(struct, dict):
        others = {key: each for key, each in struct.items() if key != name}
        return others if value is None else {**others, name: value}
    inner = value if not rest else _with(getattr(struct, name), tuple(rest), value)
    return replace(struct, **{name: inner})
