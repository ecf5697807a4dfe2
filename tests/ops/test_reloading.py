"""Reading the configuration again: what a service takes, and what it is offered again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sluice.actors.settings import ProviderSettings
from sluice.engine import NotPossible
from sluice.ops.config import Config, load
from sluice.ops.notify import Notifier
from sluice.ops.reload import Plan
from sluice.ops.reloading import Reloader, _prints


class Stubborn:
    """A service that takes nothing at first."""

    several = True

    def __init__(self, config: Config) -> None:
        self.config = config
        self.offered: list[Plan] = []

    async def adopt(self, found: Plan) -> None:
        self.offered.append(found)
        if len(self.offered) == 1:
            raise NotPossible("worker-1 was not ready")


async def test_a_file_that_changed_is_offered_until_it_was_taken(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("one")
    provider = ProviderSettings("a", "https://a", ca_file=str(authority))
    config = msgspec.structs.replace(load(None, {}), providers={"a": provider})
    service = Stubborn(config)
    reloader = Reloader(lambda: config, Notifier(None))
    reloader._prints = _prints(config)
    authority.write_text("two")
    for _ in range(3):
        await reloader._reload(service)
    refused, taken, nothing_new = service.offered
    assert refused.workers == taken.workers != ()
    assert nothing_new.workers == ()
