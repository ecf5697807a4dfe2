"""``sluice token``: makes an API token, and the lines that let it in."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
from pathlib import Path
from typing import Final

import msgspec

from sluice.ops.config.mistakes import Refused, dotted
from sluice.ops.config.rules import Context
from sluice.ops.config.schema import TOKEN_NAME as NAME

PREFIX: Final = "sk-sluice-"
"""By which scanners of published code can know one."""
_BYTES: Final = 32

_SAYS: Final = """\
Makes an API token of 256 random bits and prints it, this once, with the lines that belong in the
configuration. They hold its SHA-256 only: the token itself is kept nowhere. A client sends it as
`Authorization: Bearer TOKEN` or `x-api-key: TOKEN`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sluice token``."""
    parser.description = _SAYS
    parser.add_argument("name", metavar="NAME", help="what limits and logs call its bearer")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0; 1 if the configuration would not take the name."""
    try:
        NAME.read(arguments.name, Context(Path(), {}))
    except Refused as problem:
        print(f"sluice: {problem}; allowed: {NAME.allowed}", file=sys.stderr)
        return 1
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    digest = hashlib.sha256(token.encode()).hexdigest()
    made = {"name": arguments.name, "token": token, "sha256": digest}
    if arguments.json:
        print(msgspec.json.encode(made).decode())
        return 0
    table = dotted(("auth", "tokens", arguments.name))
    print(f'{token}\n\n[{table}]\nsha256 = "{digest}"')
    return 0
