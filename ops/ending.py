"""How long an end may take, beyond the drain that the configuration gives streams."""

from __future__ import annotations

from typing import Final

GRACE: Final = 5.0
"""Seconds beyond the drain that the edge and the streams have to end what drained."""
FORCE: Final = 2.0
"""Seconds that everything has when it must end now."""
LEAVING: Final = 1.0
"""Seconds beyond `FORCE` in which a worker that must end now, ends by itself."""
