"""``/v1/models``: what is configured, in OpenAI's shape or in Anthropic's.

Patterns (``sim-*``) are not listed, since nobody can ask for one; a model that matches one can
be looked up by its name.
"""

from __future__ import annotations

from typing import Any

from sluice.actors.settings import ModelSettings, Routing

CREATED = 0
"""When a model was made, in seconds since 1970: not known here, and neither SDK does without."""
CREATED_AT = "1970-01-01T00:00:00Z"


def openai_model(name: str, model: ModelSettings) -> dict[str, Any]:
    """One model, as ``openai.types.Model`` has it. The provider stands as its owner."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": model.provider}


def anthropic_model(name: str) -> dict[str, Any]:
    """One model, as Anthropic's ``ModelInfo`` has it."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED_AT,
        "lifecycle": "active",
    }


def model(routing: Routing, name: str, *, anthropic: bool) -> dict[str, Any] | None:
    """The model called ``name``, or None."""
    found = routing.find(name)
    if found is None:
        return None
    return anthropic_model(name) if anthropic else openai_model(name, found)


def listing(routing: Routing, *, anthropic: bool) -> dict[str, Any]:
    """All models that have a name of their own, on one page."""
    named = [model for model in routing.models.values() if not model.name.endswith("*")]
    if not anthropic:
        return {"object": "list", "data": [openai_model(model.name, model) for model in named]}
    names = [model.name for model in named]
    return {
        "data": [anthropic_model(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
