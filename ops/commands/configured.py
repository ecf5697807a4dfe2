"""What commands with a configuration share: ``--config``, and how its mistakes are told."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sluice.ops.config import Config, ConfigurationError, load
from sluice.ops.words import counted

VARIABLE: Final = "SLUICE_CONFIG"
DEFAULT: Final = "sluice.toml"

EPILOG: Final = """\
Every key can be overridden by an environment variable, with two underscores
between table and key:

  SLUICE_CONNECTIONS__LIMIT=200
  SLUICE_PROVIDERS__OPENAI__API_KEY=env:OPENAI_API_KEY
  SLUICE_MODELS__GPT_4O_MINI__PROVIDER=openai
"""


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """``--config``, alike for all commands."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration, in TOML (default: ${VARIABLE}, else ./{DEFAULT} if it exists,"
        " else only defaults and environment variables)",
    )


def configuration(
    arguments: argparse.Namespace,
    options: Mapping[str, tuple[tuple[str, ...], str]] | None = None,
) -> Config | None:
    """The configuration that ``arguments`` name; None after its mistakes went to stderr."""
    file = arguments.config or os.environ.get(VARIABLE) or _default()
    try:
        return load(file, os.environ, options)
    except ConfigurationError as problem:
        for mistake in problem.mistakes:
            print(mistake, file=sys.stderr)
        count = counted(len(problem.mistakes), "mistake")
        print(f"{count} in the configuration", file=sys.stderr)
        return None


def _default() -> str | None:
    return DEFAULT if Path(DEFAULT).exists() else None
