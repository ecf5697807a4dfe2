"""nginx twice: as the upstream that streams (with its Lua module), and as a plain proxy."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import chunks
from .contestants import Contestant, Upstream, pass_through
from .dialects import DIALECTS, Dialect
from .fill import filled
from .programs import Ground, MissingError, Program, find, free_port, running

PACKAGE = "nginx-extras"

_HOLD = 180
"""Seconds after which a held stream ends unreleased."""

NAME = "nginx"


def installed() -> str:
    """The path of nginx; `MissingError` if it, its Lua module or openssl is not installed."""
    path = find("nginx", PACKAGE)
    _lua_modules(path)
    find("openssl", "openssl")
    return path


@contextlib.contextmanager
def upstream(ground: Ground, pause: int) -> Iterator[tuple[Program, Upstream]]:
    """The provider of the benchmark, on the load's core, until the block is left.

    ``pause``: seconds between two chunks of a held stream.
    """
    path = installed()
    certificate, key = make_certificate(ground.folder)
    where = Upstream(free_port(), free_port(), free_port(), certificate)
    script = filled(
        "upstream.lua",
        frames="".join(f"  {_lua(text)},\n" for text in chunks.frames()),
        spoken="".join(map(_spoken, DIALECTS)),
    )
    (ground.folder / "upstream.lua").write_text(script)
    configuration = filled(
        "upstream.conf",
        modules=_lua_modules(path),
        user=_user(),
        descriptors=ground.descriptors,
        connections=ground.descriptors,
        folder=ground.folder,
        certificate=certificate,
        key=key,
        plain=where.plain,
        tls=where.tls,
        pause=pause,
        most=_HOLD // pause,
    )
    with _nginx(path, "upstream", configuration, ground, ground.load_core) as program:
        program.wait_for(where.plain)
        yield program, where


@contextlib.contextmanager
def proxy(ground: Ground, before: Upstream) -> Iterator[Contestant]:
    """The plain proxy: one worker, no buffering, kept connections, HTTPS verified."""
    ports = {port: free_port() for port in (before.plain, before.tls, before.leaving)}
    hops = [
        filled(
            "hop.conf",
            upstream=port,
            listen=listen,
            scheme="https" if port == before.tls else "http",
        )
        for port, listen in ports.items()
    ]
    configuration = filled(
        "proxy.conf",
        user=_user(),
        descriptors=ground.descriptors,
        connections=ground.descriptors,
        certificate=before.certificate,
        hops="".join(hops),
    )
    path = find("nginx", PACKAGE)
    with _nginx(path, "proxy", configuration, ground, ground.server_core) as program:
        program.wait_for(ports[before.plain])
        yield Contestant(NAME, program, pass_through(ports, before))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key: good for two days."""
    certificate, key = folder / "upstream.pem", folder / "upstream.key"
    command = [
        *(find("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        *("-out", str(certificate), "-keyout", str(key)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def modules_path(version: str) -> Path | None:
    """Where ``nginx -V`` says that loadable modules are; None: they are built in."""
    if "lua-nginx-module" in version or "lua_nginx_module" in version:
        return None
    stated = re.search(r"--modules-path=(\S+)", version)
    return Path(stated[1]) if stated else Path("/usr/lib/nginx/modules")


def _lua_modules(path: str) -> str:
    version = subprocess.run([path, "-V"], check=True, capture_output=True, text=True).stderr
    folder = modules_path(version)
    if folder is None:
        return ""
    files = [folder / "ndk_http_module.so", folder / "ngx_http_lua_module.so"]
    if not all(file.exists() for file in files):
        raise MissingError(f"nginx has no Lua module (Debian: apt-get install {PACKAGE})")
    return "\n".join(f"load_module {file};" for file in files)


@contextlib.contextmanager
def _nginx(
    path: str, name: str, configuration: str, ground: Ground, core: int
) -> Iterator[Program]:
    file = ground.folder / f"{name}.conf"
    file.write_text(configuration)
    errors = ground.folder / f"{name}.error.log"
    argv = [path, "-p", str(ground.folder), "-c", str(file), "-e", str(errors)]
    with running(name, argv, ground, core) as program:
        yield program


def _user() -> str:
    """Started by root, a worker would run as somebody who cannot read the folder."""
    return "user root root;" if os.geteuid() == 0 else ""


def _spoken(dialect: Dialect) -> str:
    """What a format has for the upstream, as a field of a table in Lua."""
    pieces = ", ".join(_lua(dialect.piece(chunks.piece(each))) for each in range(len(chunks.WORDS)))
    opening, closing = _lua("".join(dialect.opening)), _lua("".join(dialect.closing))
    fields = f"opening = {opening}, closing = {closing}, pieces = {{ {pieces} }}"
    return f"  {dialect.name} = {{ {fields} }},\n"


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
