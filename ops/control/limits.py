"""What operators and a changed configuration do to the limits of callers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from sluice.actors.settings import LimitSettings
from sluice.ops.config.mistakes import Refused as RefusedValue
from sluice.ops.config.rules import Context, Rule, rate

from .protocol import LimitKind, Refused

KINDS: Final[tuple[LimitKind, ...]] = ("ip", "user", "token")
CONFIGURED: Final = "configured"
"""An operator's word for what the configuration says."""

_NOWHERE: Final = Context(Path(), {})
"""Where no path starts, and no variable is."""
_RULES: Final[dict[LimitKind, Rule]] = {
    "ip": rate("minute"),
    "user": rate("hour"),
    "token": rate("hour"),
}


def told(limits: LimitSettings) -> dict[LimitKind, str]:
    """``limits`` as people and programs are told them."""
    return {kind: str(getattr(limits, kind) or "off") for kind in KINDS}


def changed(
    limits: LimitSettings, configured: LimitSettings, kind: LimitKind, word: str
) -> LimitSettings:
    """``limits`` with what an operator said of ``kind``. Raises `Refused`."""
    rule = _RULES[kind]
    if word == CONFIGURED:
        return replace(limits, **{kind: getattr(configured, kind)})
    try:
        value: Any = rule.read(rule.decode(word), _NOWHERE)
    except RefusedValue as problem:
        allowed = f'{rule.allowed}, or "{CONFIGURED}"'
        raise Refused("invalid", f"limit {kind}: {problem}; allowed: {allowed}") from problem
    return replace(limits, **{kind: value})


def adopted(limits: LimitSettings, new: LimitSettings, keys: Sequence[str]) -> LimitSettings:
    """``limits`` after a configuration with ``new`` ones, of which ``keys`` have changed.

    What an operator said stays in force until the configuration says something else of it.
    """
    names = [key.removeprefix("limits.") for key in keys if key.startswith("limits.")]
    return replace(limits, **{name: getattr(new, name) for name in names})
