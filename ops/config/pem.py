"""Rules for PEM files: what TLS will load when it is needed is loaded here, to be told in time.

OpenSSL's own words are "PEM lib" for most of what can be wrong, so what it was is found out
here. No word of a file's content is ever told.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

from .mistakes import Refused, shown
from .rules import Context, Rule, resolved, text_of

UNENCRYPTED_KEY: Final = "the path of a PEM file with the private key, without a passphrase"
_BYTES: Final = 16 * 1024 * 1024
_KEY: Final = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", re.MULTILINE)
_ENCRYPTED: Final = re.compile(rb"^(-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED)", re.MULTILINE)

_FOREIGN: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""What OpenSSL calls a key of another certificate; the last, one of another algorithm."""


def certificates(what: str) -> Rule:
    """The path of a PEM file whose certificates OpenSSL loads, at least one."""

    def read(value: object, context: Context) -> str:
        place = place_of(value, context)
        content_of(place, value)
        try:
            store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            store.load_verify_locations(cafile=place)
        except ssl.SSLError as problem:
            if problem.reason != "NO_CERTIFICATE_OR_CRL_FOUND":
                raise Refused(f"{shown(value)} has a part that OpenSSL cannot read") from problem
        if not store.cert_store_stats()["x509"]:
            raise Refused(f"there is no PEM certificate in {shown(value)}")
        return str(place)

    return Rule(what, read)


def private_key() -> Rule:
    """The path of a PEM file with a private key that no passphrase hides.

    Whether OpenSSL loads it shows with its certificate: see `refused_key`.
    """

    def read(value: object, context: Context) -> str:
        place = place_of(value, context)
        content = content_of(place, value)
        if _KEY.search(content) is None:
            raise Refused(f"there is no PEM private key in {shown(value)}")
        if _ENCRYPTED.search(content) is not None:
            raise Refused(f"the key in {shown(value)} is encrypted with a passphrase")
        return str(place)

    return Rule(UNENCRYPTED_KEY, read)


def refused_key(cert: str, key: str) -> str | None:
    """Why TLS cannot serve with the files ``cert`` and ``key``, each valid by its rule."""
    try:
        # An empty passphrase: without one, OpenSSL would ask for it at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, lambda: "")
    except ssl.SSLError as problem:
        if problem.reason in _FOREIGN:
            return "it is not the key of the first certificate in tls_cert"
        why = f": {problem.reason.lower().replace('_', ' ')}" if problem.reason else ""
        return f"OpenSSL refuses it together with tls_cert{why}"
    except OSError as problem:  # one of them has changed since its rule read it
        return f"it cannot be read with tls_cert: {problem.strerror}"
    return None


def place_of(value: object, context: Context) -> Path:
    """Where the file is that ``value`` names."""
    return resolved(text_of(value), context)


def content_of(place: Path, value: object) -> bytes:
    """What a regular file holds: opening a pipe, or reading a device, might never end."""
    try:
        if place.exists() and not place.is_file() and not place.is_dir():
            raise Refused(f"{shown(value)} is not a regular file")
        with place.open("rb") as file:
            content = file.read(_BYTES + 1)
    except OSError as problem:
        raise Refused(f"{shown(value)} cannot be read: {problem.strerror}") from problem
    if len(content) > _BYTES:
        raise Refused(f"{shown(value)} is too large for a PEM file")
    return content
