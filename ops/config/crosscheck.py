"""What no single value shows: names that refer to others, keys without effect, risks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import urlsplit

from sluice.actors.settings import ConnectionSettings

from . import auth
from .addresses import is_loopback
from .contradictions import contradictions
from .mistakes import Mistake, Notice, dotted, suggestion
from .pem import UNENCRYPTED_KEY, refused_key
from .places import Places
from .schema import HARMLESS, WITHOUT_EFFECT
from .toml_lines import Path

Values = Mapping[str, object]
Entries = Mapping[str, Mapping[str, object]]


def crosscheck(values: Values, tree: Values, places: Places) -> tuple[list[Mistake], list[Notice]]:
    """Mistakes and notices of the valid ``values``; ``tree`` is what was written."""
    check = _Check(values, tree, places)
    mistakes = (
        *check.unknown_names(),
        *check.halves_of_tls(),
        *check.foreign_key(),
        *check.narrow_door(),
        *check.credentials(),
        *check.control_without_token(),
    )
    return list(mistakes), [
        *check.without_effect(),
        *check.keys_in_clear(),
        *check.open_doors(),
        *check.who_is_who(),
        *check.nothing_to_serve(),
        *contradictions(values, places),
    ]


class _Check:
    def __init__(self, values: Values, tree: Values, places: Places) -> None:
        self._tree = tree
        self._places = places
        self._server = cast("Values", values.get("server", {}))
        self._control = cast("Values", values.get("control", {}))
        self._auth = cast("Values", values.get("auth", {}))
        self._limits = cast("Values", values.get("limits", {}))
        connections = cast("Values", values.get("connections", {}))
        self._streams = connections.get("limit", ConnectionSettings().limit)
        self._providers = cast("Entries", values.get("providers", {}))
        self._models = cast("Entries", values.get("models", {}))

    def unknown_names(self) -> Iterator[Mistake]:
        """Models whose provider or fallback nobody configured."""
        for name, model in self._models.items():
            provider = model.get("provider")
            if isinstance(provider, str) and provider not in self._providers:
                path = ("models", name, "provider")
                yield self._unknown(path, provider, "provider", list(self._providers))
            fallbacks = cast("tuple[str, ...]", model.get("fallback", ()))
            for index, other in enumerate(fallbacks):
                path_of_item: Path = ("models", name, "fallback", index)
                if other == name:
                    yield self._mistake(path_of_item, "a model cannot be its own fallback")
                elif not self._is_model(other):
                    yield self._unknown(path_of_item, other, "model", list(self._models))

    def _is_model(self, name: str) -> bool:
        patterns = (known[:-1] for known in self._models if known.endswith("*"))
        return name in self._models or any(name.startswith(start) for start in patterns)

    def _unknown(self, path: Path, name: str, what: str, known: list[str]) -> Mistake:
        hint = suggestion(name, known)
        listed = ", ".join(f'"{one}"' for one in known)
        allowed = listed or f"none: there is no [{what}s.NAME]"
        return self._mistake(path, f'there is no {what} "{name}"{hint}', allowed)

    def halves_of_tls(self) -> Iterator[Mistake]:
        """A certificate without its key, or the other way round."""
        pair = {"tls_cert", "tls_key"}
        written = cast("Values", self._tree.get("server", {}))
        have = pair & set(written) if isinstance(written, dict) else set()
        if len(have) == 1:
            (other,) = pair - have
            path = ("server", *have)
            yield self._mistake(path, f"{other} is missing beside it", "both, or neither")

    def foreign_key(self) -> Iterator[Mistake]:
        """A certificate and a key, each good by itself, that TLS cannot serve with."""
        cert, key = self._server.get("tls_cert"), self._server.get("tls_key")
        if isinstance(cert, str) and isinstance(key, str):
            problem = refused_key(cert, key)
            if problem is not None:
                allowed = f"{UNENCRYPTED_KEY}, of the first certificate in tls_cert"
                yield self._mistake(("server", "tls_key"), problem, allowed)

    def narrow_door(self) -> Iterator[Mistake]:
        """Fewer connections at the edge than streams in it."""
        limits = cast("Values", self._server.get("limits", {}))
        doors = limits.get("connections")
        if isinstance(doors, int) and isinstance(self._streams, int) and doors < self._streams:
            path = ("server", "limits", "connections")
            said = f"{doors} is less than [connections] limit, which is {self._streams}"
            yield self._mistake(path, said, f"{self._streams} or more")

    def control_without_token(self) -> Iterator[Mistake]:
        """Every user of this machine reaches a TCP port."""
        address = self._control.get("address")
        if (
            isinstance(address, str)
            and not address.startswith("unix:")
            and "token" not in self._control
        ):
            said = "over TCP, whoever is on this machine could control the service"
            yield self._mistake(("control", "token"), said, '"env:NAME" or "file:PATH"')

    def credentials(self) -> Iterator[Mistake]:
        """Keys of users, and tokens, that cannot be meant."""
        for path, problem, allowed in auth.mistakes(self._auth):
            yield self._mistake(path, problem, allowed)

    def who_is_who(self) -> Iterator[Notice]:
        """Callers that may be taken for others."""
        bind = str(self._server.get("bind", ""))
        for path, text in auth.notices(self._auth, bind, self._limits):
            yield Notice(self._places.find(path), dotted(path), text)

    def without_effect(self) -> Iterator[Notice]:
        """What was set although this version does not do it."""
        for pattern, instead in WITHOUT_EFFECT.items():
            for path in _matching(self._tree, pattern):
                if self._promises_something(path):
                    text = f"has no effect in this version: {instead}"
                    yield Notice(self._places.find(path), dotted(path), text)

    def _promises_something(self, path: tuple[str, ...]) -> bool:
        written = _at(self._tree, path)
        if path in HARMLESS:
            return written != HARMLESS[path]
        if not isinstance(written, dict):
            return bool(written)
        off = any(
            key[:-1] == path and written.get(key[-1]) == value for key, value in HARMLESS.items()
        )
        return bool(written) and not off

    def keys_in_clear(self) -> Iterator[Notice]:
        """API keys that travel unencrypted to another machine."""
        for name, provider in self._providers.items():
            url = urlsplit(str(provider.get("base_url", "")))
            if (
                "api_key" in provider
                and url.scheme == "http"
                and not is_loopback(url.hostname or "")
            ):
                path = ("providers", name, "base_url")
                text = "the API key is sent unencrypted over http:// to another machine"
                yield Notice(self._places.find(path), dotted(path), text)

    def open_doors(self) -> Iterator[Notice]:
        """A service that others can reach, which asks nobody who they are."""
        bind = str(self._server.get("bind", "127.0.0.1:0"))
        host = bind.rpartition(":")[0].strip("[]")
        keyed = any("api_key" in provider for provider in self._providers.values())
        open_to_all = self._auth.get("anonymous", True) or not (
            self._auth.get("tokens") or "jwt" in self._auth
        )
        if keyed and open_to_all and not bind.startswith("unix:") and not is_loopback(host):
            path = ("server", "bind")
            text = (
                "other machines can reach this address, and clients need no credentials unless"
                " [auth] says so: whoever reaches it spends the providers' API keys"
            )
            yield Notice(self._places.find(path), dotted(path), text)

    def nothing_to_serve(self) -> Iterator[Notice]:
        """A service without a model answers nothing."""
        if not self._models:
            text = "no [models.NAME] is configured: every request for a model gets a 404"
            yield Notice(self._places.find(("models",)), "models", text)

    def _mistake(self, path: Path, problem: str, allowed: str = "") -> Mistake:
        return Mistake(self._places.find(path), dotted(path), problem, allowed)


def _matching(tree: Values, pattern: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of ``tree`` that ``pattern`` means; ``*`` stands for every name."""
    if not pattern:
        yield ()
        return
    names = list(tree) if pattern[0] == "*" else [pattern[0]]
    for name in names:
        if name not in tree:
            continue
        inner = tree[name]
        if len(pattern) == 1:
            yield (name,)
        elif isinstance(inner, dict):
            yield from ((name, *rest) for rest in _matching(inner, pattern[1:]))


def _at(tree: Values, path: tuple[str, ...]) -> object:
    found: object = tree
    for name in path:
        found = found[name] if isinstance(found, dict) else None
    return found
