"""References to actors of other processes promise what local ones do."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from tests.engine.cast import Crash, Nap, Pass, PassInTasks, Refuse, Say, Tell
from tests.engine.pair import NOT_REGISTERED, pair
from trio.testing import wait_all_tasks_blocked

from sluice.engine import (
    ActorCrashed,
    ActorStatistics,
    ActorStopped,
    AskTimeout,
    FrameTooLarge,
    LinkOptions,
    Mailbox,
    MailboxFull,
    ProcessGone,
    RemoteActorCrashed,
    RemoteActorError,
    System,
    UnknownMessage,
    UnknownPath,
)


def facts(system: System, path: str) -> ActorStatistics:
    found = system.inspect(path)
    assert isinstance(found, ActorStatistics)
    return found


async def test_an_ask_over_a_link_returns_the_handlers_reply() -> None:
    async with pair() as both:
        assert await both.host.ref("b@worker").ask(Say("hello")) == "b#1: hello"
        assert await both.worker.ref("a@host").ask(Nap(1)) == "rested"


async def test_an_address_with_ones_own_process_is_local() -> None:
    async with pair() as both:
        assert both.host.ref("a@host").path == "a"
        assert await both.host.ref("a@host").ask(Say("x")) == "a#1: x"


async def test_a_process_that_is_not_a_peer_is_an_unknown_path() -> None:
    async with pair() as both:
        with pytest.raises(UnknownPath, match="no process 'moon'; there are: host, worker"):
            both.host.ref("b@moon")
        with pytest.raises(UnknownPath, match="names no actor"):
            both.host.ref("@worker")


async def test_an_ask_over_a_link_ends_at_its_deadline_and_its_late_reply_is_dropped() -> None:
    async with pair() as both:
        began = trio.current_time()
        with pytest.raises(AskTimeout, match="b@worker: no reply to Nap within 2 s"):
            await both.host.ref("b@worker").ask(Nap(5), timeout=2)
        assert trio.current_time() - began == pytest.approx(2)
        assert both.facts().timeouts == 1
        await both.host.ref("b@worker").ask(Say("after"))
        assert facts(both.worker, "b").late_replies == 1


async def test_an_answer_that_crosses_the_cancellation_is_late_and_counted() -> None:
    async with pair() as both:
        with trio.move_on_after(1):
            await both.host.ref("b@worker").ask(Nap(1))
        await wait_all_tasks_blocked()
        assert both.facts().late_replies + facts(both.worker, "b").late_replies <= 1
        assert both.facts().in_flight == 0
        assert not both.host_link.ended.is_set()


async def test_a_message_whose_far_asker_has_gone_is_not_handled() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        ref.tell_nowait(Nap(10))
        with pytest.raises(AskTimeout):
            await ref.ask(Say("timed out"), timeout=1)
        with trio.move_on_after(1):
            await ref.ask(Say("cancelled"))
        await ref.ask(Say("waited"), timeout=20)
        said = [line for line in both.far_stage.journal if "said" in line]
        assert said == ["b said waited"]
        assert facts(both.worker, "b").abandoned == 2


async def test_errors_of_the_far_side_come_back_as_what_they_are() -> None:
    async with pair(mailbox=Mailbox(1)) as both:
        ref = both.host.ref("b@worker")
        with pytest.raises(UnknownPath, match="'nobody' does not exist; actors are: b"):
            await both.host.ref("nobody@worker").ask(Say(""))
        ref.tell_nowait(Nap(5))
        await wait_all_tasks_blocked()
        ref.tell_nowait(Say("fills"))
        with pytest.raises(MailboxFull, match="b: the mailbox is full") as full:
            await ref.ask(Say("too much"))
        assert full.value.path == "b@worker"
        await trio.sleep(6)
        await both.worker.stop("b")
        with pytest.raises(ActorStopped, match="b: is stopped"):
            await ref.ask(Say("too late"))


async def test_a_message_outside_the_protocol_is_refused_to_its_sender() -> None:
    async with pair() as both:
        with pytest.raises(UnknownMessage, match="Watch is not in the links' protocol"):
            await both.host.ref("b@worker").ask(NOT_REGISTERED("a"))
        assert not both.host_link.ended.is_set()


async def test_a_declared_exception_comes_with_type_traceback_path_and_process() -> None:
    async with pair() as both:
        with pytest.raises(RemoteActorError) as caught:
            await both.host.ref("b@worker").ask(Refuse())
        error = caught.value
        assert not isinstance(error, ActorCrashed)
        assert (error.path, error.process, error.type_name) == ("b@worker", "worker", "Refused")
        assert 'raise Refused("no")' in error.traceback
        assert await both.host.ref("b@worker").ask(Say("goes on")) == "b#1: goes on"


async def test_a_far_crash_is_a_crash_with_its_report() -> None:
    async with pair() as both:
        with pytest.raises(ActorCrashed, match="RuntimeError: boom") as caught:
            await both.host.ref("b@worker").ask(Crash())
        error = caught.value
        assert isinstance(error, RemoteActorCrashed)
        assert error.type_name == "RuntimeError"
        assert "Traceback" in error.traceback
        assert error.report is not None
        assert error.report.path == "b"


async def test_what_is_told_arrives_in_its_order() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        for n in range(3):
            ref.tell_nowait(Say(f"{n}"))
        await ref.tell(Say("3"))
        await ref.ask(Say("4"))
        said = [line for line in both.far_stage.journal if "said" in line]
        assert said == [f"b said {n}" for n in range(5)]


async def test_a_tell_waits_for_room_in_the_far_mailbox() -> None:
    async with pair(mailbox=Mailbox(1)) as both:
        ref = both.host.ref("b@worker")
        await ref.tell(Nap(5))
        await wait_all_tasks_blocked()
        await ref.tell(Say("fits"))
        began = trio.current_time()
        with trio.move_on_after(1) as gave_up:
            await ref.tell(Say("never"))
        assert gave_up.cancelled_caught
        await ref.tell(Say("waits"))
        assert trio.current_time() - began == pytest.approx(5)
        await ref.ask(Say("last"))
        said = [line for line in both.far_stage.journal if "said" in line]
        assert said == ["b said fits", "b said waits", "b said last"]


async def test_what_is_told_to_a_full_far_mailbox_without_waiting_is_a_dead_letter_there() -> None:
    async with pair(mailbox=Mailbox(1)) as both:
        ref = both.host.ref("b@worker")
        await ref.tell(Nap(5))
        await wait_all_tasks_blocked()
        for n in range(3):
            ref.tell_nowait(Say(str(n)))
        await wait_all_tasks_blocked()
        assert len(both.worker.dead_letters) == 2
        assert "host told this" in both.worker.dead_letters[0].reason


async def test_when_the_link_ends_all_asks_in_flight_fail_at_once() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        failed: list[str] = []

        async def ask() -> None:
            with pytest.raises(ProcessGone) as caught:
                await ref.ask(Nap(60), timeout=100)
            failed.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            began = trio.current_time()
            assert both.facts().in_flight == 1000
            both.worker_link.end("test")
        assert trio.current_time() == began
        assert len(failed) == 1000
        assert failed[0] == "b@worker: the link to worker has ended: the peer closed it"
        assert both.facts().in_flight == 0
        await both.worker.restart("b")
        await both.worker.ref("b").ask(Say("next"), timeout=100)
        assert facts(both.worker, "b").abandoned >= 998


async def test_without_a_link_asks_fail_at_once_and_tells_are_dead_letters() -> None:
    async with pair() as both:
        both.host_link.end("test")
        ref = both.host.ref("b@worker")
        with pytest.raises(ProcessGone, match="there is no link to worker"):
            await ref.ask(Say("x"))
        await ref.tell(Say("one"))
        ref.tell_nowait(Say("two"))
        assert [letter.path for letter in both.host.dead_letters] == ["b@worker"] * 2
        assert both.facts().dead_letters == 2
        assert not both.facts().is_up


async def test_a_handler_tells_over_a_link_and_goes_on_without_one() -> None:
    async with pair(("a",), ("b", "c")) as both:
        a = both.host.ref("a")
        assert await a.ask(Tell("b@worker", "x")) == "told"
        assert "b said x" in both.far_stage.journal
        with pytest.raises(ActorCrashed, match="UnknownPath: 'nobody' does not exist"):
            await a.ask(Tell("nobody@worker", "x"))
        both.host.ref("nobody@worker").tell_nowait(Say("x"))
        await wait_all_tasks_blocked()
        assert [letter.path for letter in both.worker.dead_letters] == ["nobody"]
        both.host_link.end("test")
        assert await a.ask(Tell("b@worker", "y")) == "told"
        assert [letter.path for letter in both.host.dead_letters] == ["b@worker"]
        assert len(both.host_links.waits) == 0


async def test_an_address_outlives_the_process_behind_it() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        both.host_link.end("test")
        await both.worker_link.ended.wait()
        await both.join()
        assert await ref.ask(Say("again")) == "b#1: again"


async def test_asking_in_a_circle_across_processes_is_an_error() -> None:
    async with pair() as both:
        circle = Pass(("b@worker", "a@host"), "x", timeout=60)
        began = trio.current_time()
        with pytest.raises(ActorCrashed, match="AskCycle"):
            await both.host.ref("a").ask(circle)
        assert trio.current_time() == began
        assert len(both.host_links.waits) == len(both.worker_links.waits) == 0


async def test_a_circle_through_several_actors_of_both_processes_is_an_error() -> None:
    async with pair(("a", "d"), ("b", "c")) as both:
        circle = Pass(("b@worker", "c", "d@host", "a"), "x", timeout=60)
        began = trio.current_time()
        with pytest.raises(ActorCrashed, match="AskCycle"):
            await both.host.ref("a").ask(circle)
        assert trio.current_time() == began


async def test_a_far_circle_that_a_link_closes_is_an_error() -> None:
    async with pair(("a",), ("b", "c")) as both:
        circle = Pass(("b@worker", "c", "a@host"), "x", timeout=60)
        began = trio.current_time()
        with pytest.raises(ActorCrashed, match="AskCycle"):
            await both.host.ref("a").ask(circle)
        assert trio.current_time() == began


async def test_two_handlers_that_ask_each_other_at_the_same_time_are_an_error() -> None:
    async with pair() as both:
        errors: list[str] = []

        async def go(system: System, path: str, to: str) -> None:
            try:
                await system.ref(path).ask(Pass((to,), "x", first_nap=1, timeout=60), timeout=90)
            except (ActorCrashed, ProcessGone) as error:
                errors.append(str(error))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(go, both.host, "a", "b@worker"))
            nursery.start_soon(partial(go, both.worker, "b", "a@host"))
        assert trio.current_time() - began < 5
        assert errors
        assert "AskCycle" in errors[0]


async def test_a_task_that_a_handler_waits_for_asks_as_the_handler_does() -> None:
    async with pair() as both:
        assert await both.host.ref("a").ask(PassInTasks("b@worker")) == "done"
        assert len(both.host_links.waits) == 0


async def test_no_false_circle_when_an_actor_asks_back_after_the_reply() -> None:
    async with pair(("a", "d"), ("b",)) as both:
        assert await both.host.ref("a").ask(Pass(("b@worker", "d@host"), "x")) == "x"
        assert await both.worker.ref("b").ask(Pass(("a@host",), "y")) == "y"


async def test_too_large_a_message_is_an_error_to_its_sender_only() -> None:
    async with pair(options=LinkOptions(max_frame=1000)) as both:
        ref = both.host.ref("b@worker")
        with pytest.raises(FrameTooLarge, match="Say is a frame of"):
            await ref.ask(Say("x" * 1000))
        with pytest.raises(FrameTooLarge):
            ref.tell_nowait(Say("x" * 1000))
        with pytest.raises(FrameTooLarge):
            await ref.tell(Say("x" * 1000))
        assert await ref.ask(Say("x")) == "b#1: x"
        assert both.facts().in_flight == 0


async def test_too_large_a_reply_is_an_error_to_its_asker_only() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        both.worker_link.options = LinkOptions(max_frame=200)
        with pytest.raises(FrameTooLarge, match="the reply to Say is a frame of"):
            await ref.ask(Say("x" * 300))
        assert await ref.ask(Say("x")) == "b#1: x"


async def test_asks_past_the_links_bound_are_refused_and_counted() -> None:
    async with pair(options=LinkOptions(in_flight=2)) as both:
        ref = both.host.ref("b@worker")
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(partial(ref.ask, Nap(3), timeout=60))
            await wait_all_tasks_blocked()
            with pytest.raises(MailboxFull, match="the link to worker is full"):
                await ref.ask(Say("x"))
            began = trio.current_time()
            await ref.tell(Say("waits for room on the link"))
            assert trio.current_time() - began == pytest.approx(3)
        assert both.facts().refused == 1


async def test_tells_past_the_links_bound_are_refused() -> None:
    async with pair(options=LinkOptions(backlog=3)) as both:
        ref = both.host.ref("b@worker")
        for n in range(3):
            ref.tell_nowait(Say(str(n)))
        with pytest.raises(MailboxFull):
            ref.tell_nowait(Say("no"))
        await wait_all_tasks_blocked()
        assert await ref.ask(Say("x")) == "b#1: x"


async def test_an_ask_of_a_system_that_has_ended_is_an_error_and_not_without_a_deadline() -> None:
    async with pair() as both:
        ref = both.host.ref("b@worker")
        both.host_links.unbind()
        with pytest.raises(ActorStopped, match="b@worker: the system that asks is not open"):
            await ref.ask(Say("x"))
        both.host_links.bind(both.host._runtime)


async def test_the_peers_asks_are_refused_when_no_system_is_open() -> None:
    async with pair() as both:
        both.worker_links.unbind()
        with pytest.raises(ActorStopped, match="the system of worker is not open"):
            await both.host.ref("b@worker").ask(Say("x"))
        both.worker_links.bind(both.worker._runtime)
