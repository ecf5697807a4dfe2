"""The routes there are, and what a request's path is called in reports."""

from __future__ import annotations

from typing import Final

ROUTES: Final = (
    "POST /v1/chat/completions",
    "POST /v1/messages",
    "POST /v2/chat",
    "GET /v1/models",
    "GET /stream",
    "POST /stream",
    "GET /metrics",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
)
"""What a 404 tells that there is."""

OTHER: Final = "other"
"""Provider, model and route of a request that named none that we know (``decision 7``)."""

_PATHS: Final = frozenset(route.partition(" ")[2] for route in ROUTES)
_MODELS: Final = "/v1/models"


def canonical(path: str) -> str:
    """``path`` with one slash at its beginning and without one at its end.

    It is answered so, without a redirect. Quart takes several slashes for one by itself: here those
    who decide before it, about who may see what, read the same path as it does.
    """
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


def is_listing(path: str) -> bool:
    """Whether ``path`` tells what models there are."""
    return path == _MODELS or path.startswith(f"{_MODELS}/")


def route_of(path: str) -> str:
    """One of our own words for ``path``, which is a stranger's: no other text is reported."""
    path = canonical(path)
    if is_listing(path):
        return _MODELS
    return path if path in _PATHS else OTHER
