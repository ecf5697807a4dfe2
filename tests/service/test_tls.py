"""The same faults over TLS, towards the provider and towards the client."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trustme
from msgspec.structs import replace
from tests.service.operators_world import until
from tests.service.telling import outcome_of, text_of
from tests.service.world import HANGS, Certificate, World, open_world


def issue(folder: Path, *names: str) -> Certificate:
    """A certificate for ``names``, its authority beside it."""
    authority = trustme.CA()
    certificate = authority.issue_cert(*names)
    chain, key, ca = (str(folder / name) for name in ("chain.pem", "key.pem", "ca.pem"))
    certificate.private_key_pem.write_to_path(key)
    for part in certificate.cert_chain_pems:
        part.write_to_path(chain, append=True)
    authority.cert_pem.write_to_path(ca)
    return Certificate(chain, key, ca)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return issue(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


ENDS = [
    ("sim-ok", 200, "whole"),
    ("sim-long", 200, "whole"),
    ("sim-trickle", 200, "whole"),
    ("sim-429", 429, "provider_rate_limited"),
    ("sim-cut", 200, "provider_cut"),
    ("sim-refuse", 502, "provider_cut"),
    ("sim-garbage", 200, "malformed_chunk"),
    ("sim-huge-frame", 200, "provider_frame_too_large"),
    ("sim-no-end", 200, "provider_no_end"),
]
ends = pytest.mark.parametrize(("model", "status", "code"), ENDS, ids=[model for model, *_ in ENDS])


@ends
async def test_a_provider_on_tls_succeeds_and_fails_like_any_other(
    certificate: Certificate, model: str, status: int, code: str
) -> None:
    async with open_world(provider_tls=certificate) as world:
        answer = await world.ask(model)
        assert (answer.status, outcome_of(answer)) == (status, code)


@ends
async def test_a_client_on_tls_hears_the_same(
    certificate: Certificate, model: str, status: int, code: str
) -> None:
    async with open_world(client_tls=certificate) as world:
        answer = await world.ask(model)
        assert (answer.status, outcome_of(answer)) == (status, code)


async def test_a_connection_to_a_provider_on_tls_is_used_again(certificate: Certificate) -> None:
    async with open_world(provider_tls=certificate) as world:
        for stream in (True, False) * 5:
            assert outcome_of(await world.ask("sim-ok", stream=stream)) == "whole"
        assert world.simulator.statistics.accepted == 1


async def test_a_provider_whose_certificate_is_not_trusted_is_told_nothing(
    certificate: Certificate, tmp_path: Path
) -> None:
    other = issue(tmp_path, "localhost")
    async with open_world(provider_tls=replace(certificate, authority=other.authority)) as world:
        answer = await world.ask("sim-ok")
        assert (answer.status, outcome_of(answer)) == (502, "provider_tls")
        assert world.simulator.statistics.requests == 0


async def test_a_provider_whose_certificate_is_for_another_is_told_nothing(tmp_path: Path) -> None:
    async with open_world(provider_tls=issue(tmp_path, "elsewhere.example")) as world:
        answer = await world.ask("sim-ok")
        assert (answer.status, outcome_of(answer)) == (502, "provider_tls")
        assert world.simulator.statistics.requests == 0


async def leave_before_and_after_the_first_byte(world: World) -> None:
    client = await world.begin("sim-silent")
    await world.simulator.wait(lambda now: now.open == 1)
    await client.leave()
    await world.simulator.wait(lambda now: now.disconnects == 1)
    await world.slots_are(0)
    client = await world.begin(HANGS)
    await until(lambda: any(each.head_sent for each in world.live))
    await client.leave()
    await world.simulator.wait(lambda now: now.disconnects == 2)
    await world.slots_are(0)
    world.expected.update(["success", "before_first_chunk left"])
    world.expected.update(["success", "left streaming"])


async def test_a_client_that_leaves_frees_a_provider_on_tls(certificate: Certificate) -> None:
    async with open_world(provider_tls=certificate) as world:
        await leave_before_and_after_the_first_byte(world)


async def test_a_client_on_tls_that_leaves_frees_its_provider(certificate: Certificate) -> None:
    async with open_world(client_tls=certificate) as world:
        await leave_before_and_after_the_first_byte(world)


async def test_a_client_on_tls_that_stops_reading_loses_its_slot(certificate: Certificate) -> None:
    async with open_world(client_tls=certificate, client_write=0.4) as world:
        client = await world.begin("sim-ok?chunks=50000&chunk_size=20", receive_buffer=4096)
        await until(lambda: bool(world.live))
        await until(lambda: not world.live)
        world.expected.update(["timeout", "timeout_error streaming", "stalled streaming"])
        await trio.aclose_forcefully(client.stream)


async def test_heartbeats_and_timeouts_hold_on_tls_on_both_sides(certificate: Certificate) -> None:
    async with open_world(
        client_tls=certificate, provider_tls=certificate, heartbeat=0.05, idle=0.8
    ) as world:
        answer = await world.ask("sim-ok?chunks=4&delay=0.2&head_delay=0.2")
        assert outcome_of(answer) == "whole"
        assert len(text_of(answer).split()) == 4
        assert answer.body.count(b": hb\n") >= 4
        assert outcome_of(await world.ask(HANGS)) == "idle_timeout"
