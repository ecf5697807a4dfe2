"""The breakers' actors and those who call, in a real system, on virtual time."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from sluice.actors.breakers.breaker import What
from sluice.actors.breakers.breakers import (
    OTHER,
    AskBulletin,
    Bereaved,
    Breakers,
    Judged,
    Operate,
    Probe,
)
from sluice.actors.breakers.circuits import Bulletin, Change, Circuits, Verdict
from sluice.actors.breakers.permits import REFRESH, Permit, Permits
from sluice.actors.failures import ClientLeft, Failure, UpstreamFault
from sluice.actors.providers.upstream_failures import broken, refused, stopped, too_slow
from sluice.actors.settings import (
    BreakerSettings,
    ModelSettings,
    OwnBreaker,
    ProviderSettings,
    Routing,
)
from sluice.engine import ChildSpec, SupervisorSpec, System, open_system

FIGURES = BreakerSettings(failures=2, window=30, cooldown=60)
GPT = ModelSettings("gpt", "openai")
OWN = ModelSettings("org/llama:70b", "openai", breaker=True)
ROUTING = Routing({"openai": ProviderSettings("openai", "http://a")}, {"gpt": GPT, OWN.name: OWN})


class Replica:
    """Two processes that call, and the breakers of both, as far as they meet."""

    def __init__(self, system: System, circuits: Circuits, callers: list[Permits]) -> None:
        self.system = system
        self.circuits = circuits
        self.one, self.two = callers
        self.changes: list[Change] = []

    async def bulletin(self) -> Bulletin:
        """What any of the actors says of all breakers."""
        return await self.system.ref(f"breakers/{OTHER}").ask(AskBulletin())

    async def fail(self, times: int = 1, model: ModelSettings = GPT) -> None:
        for _ in range(times):
            end(await self.one.take(model), refused(503, None, b""))
        await trio.testing.wait_all_tasks_blocked()

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(change.name, change.after) for change in self.changes]

    def nothing_is_left(self) -> None:
        assert self.one.held == self.two.held == 0
        assert self.circuits.probes == ()


def end(permit: Permit, reason: object = None, *, well: bool = False) -> None:
    if reason is not None:
        permit.failed(reason)
    permit.over(well=well)


@asynccontextmanager
async def replica() -> AsyncIterator[Replica]:
    callers = [Permits("one"), Permits("two")]
    changes: list[Change] = []

    def tell(bulletin: Bulletin) -> None:
        for caller in callers:
            caller.learn(bulletin)

    circuits = Circuits(ROUTING.circuits(FIGURES), changes.append, tell)
    breakers = [
        ChildSpec(name, functools.partial(Breakers, circuits, name)) for name in ("openai", OTHER)
    ]
    async with (
        open_system(SupervisorSpec("root", [SupervisorSpec("breakers", breakers)])) as system,
        trio.open_nursery() as nursery,
    ):
        made = Replica(system, circuits, callers)
        made.changes = changes
        for each in callers:
            each.reach(system.ref)
            nursery.start_soon(each.tell_for_ever)
        yield made
        await trio.testing.wait_all_tasks_blocked()
        made.nothing_is_left()
        nursery.cancel_scope.cancel()


async def refusal(permits: Permits, model: ModelSettings = GPT) -> Failure:
    with pytest.raises(Failure) as raised:
        await permits.take(model)
    assert (raised.value.code, raised.value.status) == ("breaker_open", 503)
    return raised.value


async def test_a_breaker_at_rest_is_told_nothing_and_there_is_nothing_to_say_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        before = at.system.statistics()
        for _ in range(20):
            permit = await at.one.take(GPT)
            permit.answered()
            end(permit, well=True)
        assert await at.bulletin() == Bulletin()
        found = at.system.inspect("breakers/openai")
        assert found.handled == 0  # type: ignore[union-attr]
        assert at.system.statistics().dead_letters == before.dead_letters


async def test_an_open_breaker_is_open_for_all_processes_at_once_and_says_for_how_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        for caller in (at.one, at.two):
            assert (await refusal(caller)).retry_after == pytest.approx(60)
        await trio.sleep(20)
        assert (await refusal(at.two)).retry_after == pytest.approx(40)
        late = Permits("late")
        late.learn(await at.bulletin())
        assert (await refusal(late)).retry_after == pytest.approx(40)
        assert late.state("openai") == "open"
        assert at.history == [("openai", "open")]
        assert at.one.refused == {"openai": 1}
        assert at.circuits.failures == {"openai": 2}


async def test_successes_are_told_only_where_failures_are_known_and_once_each(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail()
        assert [view.state for view in (await at.bulletin()).views] == ["closed"]
        for _ in range(5):
            permit = await at.two.take(GPT)
            permit.answered()
            permit.answered()
            end(permit, well=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (await at.bulletin()).views == ()
        await at.fail()
        assert at.history == []


async def test_calls_that_fail_between_others_that_answer_do_not_open_it_whatever_broke_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        long = [await at.one.take(GPT) for _ in range(5)]
        long[0].answered()
        end(long[0], broken(UpstreamFault("cut")))
        await trio.testing.wait_all_tasks_blocked()
        for each in long[1:]:  # of which none has come to its end
            await at.fail()
            each.answered()
            await trio.testing.wait_all_tasks_blocked()
        assert at.history == []
        for each in long[1:]:
            end(each, well=True)


async def test_time_alone_makes_it_half_open_and_the_first_content_of_one_probe_closes_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        await trio.sleep(60.001)
        assert at.history == [("openai", "open"), ("openai", "half_open")]
        permits: list[Permit] = []
        failures: list[Failure] = []

        async def ask(caller: Permits) -> None:
            try:
                permits.append(await caller.take(GPT))
            except Failure as failure:
                failures.append(failure)

        async with trio.open_nursery() as nursery:
            for caller in [at.one, at.two] * 10:
                nursery.start_soon(ask, caller)
        assert (len(permits), len(failures)) == (1, 19)
        asked = at.system.inspect("breakers/openai").handled  # type: ignore[union-attr]
        await refusal(at.one)
        await refusal(at.two)
        assert at.system.inspect("breakers/openai").handled == asked  # type: ignore[union-attr]
        permits[0].answered()
        await trio.testing.wait_all_tasks_blocked()
        assert at.history[-1] == ("openai", "closed")
        end(await at.two.take(GPT), well=True)
        end(permits[0], well=True)


async def test_a_probe_that_fails_opens_it_again(autojump_clock: trio.testing.MockClock) -> None:
    async with replica() as at:
        await at.fail(2)
        await trio.sleep(61)
        await at.fail()
        assert at.history == [("openai", each) for each in ("open", "half_open", "open")]
        assert (await refusal(at.two)).retry_after == pytest.approx(60)


@pytest.mark.parametrize("reason", [ClientLeft(), stopped(), refused(400, None, b"")], ids=repr)
async def test_a_probe_whose_end_says_nothing_of_the_provider_makes_room_at_once(
    reason: Exception, autojump_clock: trio.testing.MockClock
) -> None:
    async with replica() as at:
        await at.fail(2)
        await trio.sleep(61)
        end(await at.one.take(GPT), reason)
        await trio.testing.wait_all_tasks_blocked()
        assert at.history[-1] == ("openai", "half_open")
        probe = await at.two.take(GPT)
        probe.answered()
        end(probe, well=True)
        await trio.testing.wait_all_tasks_blocked()
        assert at.history[-1] == ("openai", "closed")


async def test_a_probe_dies_with_its_process(autojump_clock: trio.testing.MockClock) -> None:
    async with replica() as at:
        await at.fail(2)
        await trio.sleep(61)
        await at.one.take(GPT)
        await refusal(at.two)
        at.system.ref(f"breakers/{OTHER}").tell_nowait(Bereaved("one"))
        await trio.testing.wait_all_tasks_blocked()
        at.one.held = 0  # it has ended, and all that it held
        end(await at.two.take(GPT), well=True)


async def test_a_probe_that_was_asked_for_and_not_awaited_is_given_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        await trio.sleep(61)
        with trio.CancelScope() as scope:
            scope.cancel()
            await at.one.take(GPT)
        await at.system.pause("breakers/openai")
        assert (await refusal(at.one)).retry_after == 1.0  # it does not answer
        await at.system.resume("breakers/openai")
        await trio.testing.wait_all_tasks_blocked()
        assert at.circuits.probes == ()
        end(await at.two.take(GPT), well=True)


@pytest.mark.parametrize("how", ["restart", "stop and restart"])
async def test_a_restart_neither_closes_it_nor_lets_a_second_probe_through(
    how: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with replica() as at:
        await at.fail(2)
        if how != "restart":
            await at.system.stop("breakers/openai")
        await at.system.restart("breakers/openai")
        await refusal(at.two)
        await trio.sleep(61)
        probe = await at.one.take(GPT)
        await at.system.restart("breakers/openai")
        reply = await at.system.ref("breakers/openai").ask(Probe("openai", "another", "two"))
        assert not reply.admitted
        probe.answered()
        end(probe, well=True)
        await trio.testing.wait_all_tasks_blocked()
        assert at.history[-1] == ("openai", "closed")


async def test_one_that_an_operator_stopped_guards_no_more_after_its_cooldown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        await at.system.stop("breakers/openai")
        await refusal(at.one)
        await trio.sleep(61)
        end(await at.one.take(GPT), well=True)


async def test_a_model_with_a_breaker_of_its_own_is_judged_by_that_alone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2, OWN)
        assert at.history == [("openai/org/llama:70b", "open")]
        await refusal(at.two, OWN)
        end(await at.two.take(GPT), well=True)
        assert at.circuits.failures == {"openai": 2}


async def test_an_operator_opens_closes_and_resets_it_live(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        actor = at.system.ref("breakers/openai")
        (told,) = await actor.ask(Operate(["openai"], "open"))
        assert (told.state, told.held, told.seconds) == ("open", True, None)
        await trio.sleep(10_000)
        assert (await refusal(at.one)).retry_after == 60.0
        (told,) = await actor.ask(Operate(["openai"], "close"))
        assert (told.state, told.held) == ("closed", False)
        await at.fail()
        (told,) = await actor.ask(Operate(["openai"]))
        assert told.failing == 1
        (told,) = await actor.ask(Operate(["openai"], "reset"))
        assert told.failing == 0
        assert [change.by for change in at.changes] == ["an operator", "an operator"]


async def test_other_figures_hold_at_once_and_what_is_open_stays_open(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        at.circuits.configure(ROUTING.circuits(BreakerSettings(cooldown=5)))
        await trio.sleep(4)
        await refusal(at.two)
        await trio.sleep(2)
        assert at.history[-1] == ("openai", "half_open")
        probe = await at.two.take(GPT)
        probe.answered()
        end(probe, well=True)
        await trio.testing.wait_all_tasks_blocked()
        await at.fail(4)
        assert at.history[-1] == ("openai", "closed")
        await at.fail(1)
        assert at.history[-1] == ("openai", "open")


async def test_a_breaker_that_is_configured_no_more_is_forgotten_by_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2, OWN)
        at.circuits.configure({"openai": FIGURES})
        at.one.learn(await at.bulletin())
        assert at.one.state(OWN.circuit) == "closed"
        end(await at.one.take(OWN), too_slow("idle"))


async def test_an_order_to_one_that_is_configured_no_more_harms_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        actor = at.system.ref("breakers/openai")
        at.circuits.configure({"openai": FIGURES})
        (left,) = await actor.ask(Operate(["openai", OWN.circuit], "open"))
        assert (left.name, left.state) == ("openai", "open")
        assert await actor.ask(Operate([OWN.circuit])) == []


async def test_when_they_are_switched_off_what_is_open_closes_at_once_and_all_know_why(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.fail(2)
        at.circuits.configure(ROUTING.circuits(replace(FIGURES, enabled=False)))
        await trio.testing.wait_all_tasks_blocked()
        assert at.history == [("openai", "open"), ("openai", "closed")]
        assert at.changes[-1].by == "circuit breakers are switched off"
        for caller in (at.one, at.two):
            assert caller.state("openai") == "closed"
            end(await caller.take(GPT), well=True)


async def test_older_news_change_nothing() -> None:  # noqa: ASYNC124 -- it needs trio's clock
    permits = Permits()
    circuits = Circuits({"a": BreakerSettings(failures=1)})
    old = circuits.bulletin(0.0)
    circuits.hear(Verdict("a", "failed"), 0.0)
    permits.learn(circuits.bulletin(0.0))
    permits.learn(old)
    assert permits.state("a") == "open"


async def test_verdicts_are_told_in_order_and_by_provider(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[tuple[str, list[str]]] = []

    class FakeRef:
        def __init__(self, name: str) -> None:
            self.name = name

        async def tell(self, message: Judged) -> None:
            provider = self.name.removeprefix("breakers/")
            told.append((provider, [each.what for each in message.verdicts]))
            await trio.lowlevel.checkpoint()

    permits = Permits()
    permits.reach(FakeRef)  # type: ignore[arg-type]
    words: list[tuple[str, What]] = [("a", "failed"), ("a/m", "broke"), ("b", "failed")]
    for name, what in [*words, ("a", "answered")]:
        permits.tell(Verdict(name, what))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(permits.tell_for_ever)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert told == [("a", ["failed", "broke"]), ("b", ["failed"]), ("a", ["answered"])]


async def test_where_breakers_are_off_every_call_is_permitted_and_none_is_told() -> None:
    permits = Permits(enabled=False)
    for _ in range(10):
        end(await permits.take(GPT), refused(503, None, b""))
    assert permits.held == 0


async def test_what_a_lost_push_would_have_told_is_asked_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        late = Permits("late")
        late.reach(at.system.ref)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(late.look_for_ever)
            await trio.testing.wait_all_tasks_blocked()
            await at.fail(2)
            assert late.state("openai") == "closed"
            await at.system.pause(f"breakers/{OTHER}")
            await trio.sleep(2 * REFRESH)
            assert late.state("openai") == "closed"
            await at.system.resume(f"breakers/{OTHER}")
            await trio.sleep(2 * REFRESH)
            assert late.state("openai") == "open"
            nursery.cancel_scope.cancel()


async def test_a_provider_that_came_later_is_minded_by_an_actor_for_all_such(
    autojump_clock: trio.testing.MockClock,
) -> None:
    later = ModelSettings("m", "later")
    async with replica() as at:
        at.circuits.configure({**ROUTING.circuits(FIGURES), "later": FIGURES})
        await at.fail(2, later)
        assert at.history == [("later", "open")]
        await trio.sleep(61)
        permits = Permits("fresh")
        permits.reach(at.system.ref)
        permits.learn(await at.bulletin())
        probe = await permits.take(later)
        await refusal(at.two, later)
        at.one.tell(Verdict("later", "released", "one:9"))
        probe.over(well=False)
        assert at.circuits.probes != ()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(permits.tell_for_ever)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_what_nobody_takes_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.actors.breakers.permits.UNTOLD", 2)
    permits = Permits()
    for _ in range(5):
        end(await permits.take(GPT), refused(503, None, b""))
    assert permits.lost == 3


async def test_failures_of_a_provider_whose_breaker_is_stopped_harm_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with replica() as at:
        await at.system.stop("breakers/openai")
        await at.fail(5)
        await at.system.restart("breakers/openai")
        await at.fail(2)
        assert at.history == [("openai", "open")]


def test_a_provider_may_have_figures_of_its_own() -> None:
    provider = ProviderSettings("a", "http://a", breaker=OwnBreaker(failures=9, cooldown=3))
    found = Routing({"a": provider}, {}).circuits(BreakerSettings())
    assert found == {"a": BreakerSettings(failures=9, window=60, cooldown=3)}
