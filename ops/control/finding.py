"""Where the service is that an operator means: of the configuration, only what tells that.

An operator's shell has no API keys, so that the whole configuration could not be read there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from sluice.ops.config import ConfigurationError, Mistake, ServerSettings
from sluice.ops.config.addresses import control_address
from sluice.ops.config.load import control_values
from sluice.ops.config.mistakes import Refused
from sluice.ops.config.rules import Context

from .place import Place, default_address

VARIABLE: Final = "SLUICE_CONTROL"


def find(control: str | None, file: str | None, environment: Mapping[str, str]) -> Place:
    """The place that ``control`` (an address) names, else the configuration ``file``'s.

    The token is always the configuration's. Raises `ConfigurationError` with every mistake.
    """
    values: dict[str, dict[str, Any]] = control_values(file, environment)
    data_dir = values.get("server", {}).get("data_dir", ServerSettings().data_dir)
    settings = values.get("control", {})
    address = settings.get("address") if control is None else _checked(control, environment)
    token = settings.get("token")
    place = Place(address or default_address(data_dir))
    if place.path is None and token is not None:
        return msgspec.structs.replace(place, token=token.value)
    return place


def _checked(control: str, environment: Mapping[str, str]) -> str:
    path = "/" in control and ":" not in control
    written = f"unix:{Path(control).absolute()}" if path else control
    rule = control_address()
    try:
        return str(rule.read(written, Context(Path.cwd(), environment)))
    except Refused as problem:
        mistake = Mistake("--control", "", str(problem), rule.allowed)
        raise ConfigurationError([mistake]) from problem
