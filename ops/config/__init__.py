"""The configuration: one TOML file, environment variables, command-line options.

`load` gives a `Config` or raises a `ConfigurationError` with every mistake, each with its
line (or its variable), its key and what is allowed. The parts: `toml_lines` (which key
stands on which line), `environment` (which variable means which key), `schema` (every key
and its rule), `rules`, `addresses` and `pem` (what a value may be), `reading` (the walk along
the schema), `crosscheck` and `contradictions` (what concerns several keys), `sections` (the
result).
"""

from __future__ import annotations

from .load import load
from .mistakes import ConfigurationError, Mistake, Notice
from .sections import Config, ControlSettings, CorsSettings, EdgeLimits, ServerSettings

__all__ = [
    "Config",
    "ConfigurationError",
    "ControlSettings",
    "CorsSettings",
    "EdgeLimits",
    "Mistake",
    "Notice",
    "ServerSettings",
    "load",
]
