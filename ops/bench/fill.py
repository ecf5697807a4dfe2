"""The configurations and scripts of the programs that take part, with their blanks filled in."""

from __future__ import annotations

import string
from importlib import resources


class _Template(string.Template):
    """Blanks are ``@{name}``: a ``$`` means something of its own to nginx. ``@@`` is an @."""

    delimiter = "@"


def filled(name: str, /, **blanks: object) -> str:
    """The text of ``templates/<name>`` with every blank filled; a forgotten one is a KeyError."""
    text = resources.files(__package__).joinpath("templates", name).read_text("utf-8")
    return _Template(text).substitute({key: str(value) for key, value in blanks.items()})
