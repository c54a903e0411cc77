"""With ``promote``, a caller that waits takes over the work of a leader that was aborted."""

import asyncio
import gc
import threading

import pytest

from holdfast.errors import Aborted, CallTimeout
from holdfast.flow.single_flight import SingleFlight
from holdfast.testing import FakeClock

PATIENCE = 20.0


class Work:
    """Notes who runs it; waits until it is let go."""

    def __init__(self):
        self.ran = []
        self.tasks = []
        self.release = asyncio.Event()

    async def __call__(self, name):
        self.ran.append(name)
        self.tasks.append(asyncio.current_task())
        await self.release.wait()
        return f"by {name}"


async def settle():
    """Let everything that is ready run."""
    for _ in range(6):
        await asyncio.sleep(0)


async def begin(flight, work, *names):
    callers = [asyncio.ensure_future(flight.run("k", work, name)) for name in names]
    await settle()
    return callers


async def test_a_joiner_takes_over_with_its_own_call():
    """The first that came; the others wait on, and the leader's caller with them."""
    flight, work = SingleFlight(promote=True), Work()
    callers = await begin(flight, work, "first", "second", "third")

    work.tasks[0].cancel()
    await settle()
    assert work.ran == ["first", "second"]
    late = await begin(flight, work, "late")
    work.release.set()

    assert await asyncio.gather(*callers, *late) == ["by second"] * 4
    stats = flight.stats()
    assert (stats.promotions, stats.leaders, stats.joiners, stats.aborts) == (1, 1, 3, 0)


async def test_the_key_is_taken_while_the_work_is_handed_over():
    """Nobody begins a second run meanwhile."""
    flight, work = SingleFlight(promote=True), Work()
    callers = await begin(flight, work, "first", "second")

    work.tasks[0].cancel()
    others = [asyncio.ensure_future(flight.run("k", work, "other")) for _ in range(3)]
    await settle()
    work.release.set()

    await asyncio.gather(*callers, *others)
    assert work.ran == ["first", "second"]
    assert flight.stats().leaders == 1


async def test_each_takes_over_at_most_once():
    """When the last of them is aborted, all are told; whose call it was gets the cancellation."""
    flight, work = SingleFlight(promote=True), Work()
    callers = await begin(flight, work, "first", "second", "third")

    for _ in range(3):
        work.tasks[-1].cancel()
        await settle()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert work.ran == ["first", "second", "third"]
    assert [type(error) for error in ended] == [Aborted, Aborted, asyncio.CancelledError]
    assert (flight.stats().promotions, flight.stats().aborts) == (2, 1)


@pytest.mark.parametrize("joiner_first", [True, False])
async def test_who_has_left_does_not_take_over(joiner_first):
    """Cancelled in the same moment in which the leader is aborted, just before or just after."""
    flight, work = SingleFlight(promote=True), Work()
    _, second, third = await begin(flight, work, "first", "second", "third")

    for task in (second, work.tasks[0]) if joiner_first else (work.tasks[0], second):
        task.cancel()
    await settle()
    assert work.ran == ["first", "third"]

    work.release.set()
    assert await third == "by third"


async def test_the_work_that_was_taken_over_ends_with_the_last_caller():
    """As that of any leader."""
    flight, work = SingleFlight(promote=True), Work()
    callers = await begin(flight, work, "first", "second")
    work.tasks[0].cancel()
    await settle()

    for caller in callers:
        caller.cancel()
    await settle()

    assert work.tasks[1].cancelled()
    assert (flight.stats().in_flight, flight.stats().ending) == (0, 0)


async def test_an_error_is_no_reason_to_take_over():
    """The work has had its outcome."""
    flight = SingleFlight(promote=True)
    ran = []

    async def fail(name):
        ran.append(name)
        await asyncio.sleep(0)
        raise KeyError

    ended = await asyncio.gather(*await begin(flight, fail, "a", "b"), return_exceptions=True)

    assert [type(error) for error in ended] == [KeyError, KeyError]
    assert ran == ["a"]


async def test_what_is_taken_over_runs_in_the_context_of_who_takes_it():
    """And is known as the run there too."""
    import contextvars

    variable = contextvars.ContextVar("variable")
    flight, work = SingleFlight(promote=True), Work()

    async def look(_):
        return variable.get(), await flight.run("another key", asyncio.sleep, 0, "fine")

    async def caller(fn, name):
        variable.set(name)
        return await flight.run("k", fn, name)

    callers = [
        asyncio.ensure_future(caller(fn, name)) for fn, name in ((work, "first"), (look, "second"))
    ]
    await settle()
    work.tasks[0].cancel()

    assert await asyncio.gather(*callers) == [("second", "fine")] * 2


async def test_a_caller_that_can_not_begin_passes_it_on():
    """A loop's task factory may raise; the next in line is asked."""
    flight, work = SingleFlight(promote=True), Work()
    loop = asyncio.get_running_loop()
    callers = await begin(flight, work, "first", "second", "third")
    refusals = []

    def broken_once(loop, coro, **options):
        loop.set_task_factory(None)
        refusals.append(coro)
        raise RuntimeError

    work.tasks[0].cancel()
    loop.set_task_factory(broken_once)
    await settle()

    assert len(refusals) == 1
    assert work.ran == ["first", "third"]
    work.release.set()
    assert await asyncio.gather(*callers) == ["by third"] * 3


async def test_a_ticket_that_aborts_hands_the_run_to_a_caller_that_can_run_it():
    """Tickets wait on: they have no function."""
    flight, work = SingleFlight(promote=True), Work()
    lead, place = flight.begin("k"), flight.begin("k")
    (caller,) = await begin(flight, work, "caller")

    assert lead.abort() is True
    await settle()
    assert work.ran == ["caller"]
    assert lead.settle("too late") is False
    work.release.set()

    assert await asyncio.gather(caller, place.join()) == ["by caller"] * 2


async def test_tickets_alone_can_not_take_over():
    """So they are told."""
    flight = SingleFlight(promote=True)
    lead, place = flight.begin("k"), flight.begin("k")

    lead.abort("gone")

    with pytest.raises(Aborted, match="gone"):
        await place.join()


# ---------------------------------------------------------------- over threads and loops


class Caller(threading.Thread):
    """A thread that makes one call and keeps what came of it."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.value = self.error = None
        self._call = call
        self.start()

    def run(self):
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.error = error

    def outcome(self):
        self.join(PATIENCE)
        assert not self.is_alive(), "a caller hangs"
        if self.error is not None:
            raise self.error
        return self.value


def wait_for(condition):
    """Give other threads real moments until ``condition`` is true."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to be")


def test_a_coroutine_in_another_loop_takes_over():
    """The leader's loop is shut down, with a joiner in it."""
    flight = SingleFlight(promote=True)
    started = threading.Event()

    async def slow():
        started.set()
        await asyncio.sleep(3600)

    async def quick():
        return threading.get_ident()

    async def shut_down():
        callers = [asyncio.ensure_future(flight.run("k", slow)) for _ in range(2)]
        await asyncio.to_thread(wait_for, lambda: flight.stats().waiting == 4)
        return callers

    async def wait():
        return await asyncio.gather(*(flight.run("k", quick) for _ in range(2)))

    first = Caller(lambda: asyncio.run(shut_down()))
    assert started.wait(PATIENCE)
    second = Caller(lambda: asyncio.run(wait()))

    assert all(caller.cancelled() for caller in first.outcome())
    assert second.outcome() == [second.ident] * 2
    assert flight.stats().promotions == 1


def test_a_thread_takes_over():
    """It runs its own function where it stands."""
    flight = SingleFlight(promote=True)
    lead = flight.begin("k")
    callers = [
        Caller(lambda i=i: flight.run_sync("k", lambda: (i, threading.get_ident())))
        for i in range(3)
    ]
    wait_for(lambda: flight.stats().waiting == 3)

    lead.abort()

    found = {caller.outcome() for caller in callers}
    ((who, where),) = found
    assert where == callers[who].ident
    assert (flight.stats().promotions, flight.stats().waiting) == (1, 0)


def test_a_thread_that_is_elected_as_its_time_is_up_passes_it_on():
    """It has not been woken when it looks, but it finds out."""
    with FakeClock() as clock:
        flight = SingleFlight(promote=True)
        lead = flight.begin("k")
        hurried = Caller(lambda: flight.options(timeout=5).run_sync("k", lambda: "hurried"))
        wait_for(lambda: flight.stats().waiting == 1)
        patient = Caller(lambda: flight.run_sync("k", lambda: "patient"))
        wait_for(lambda: flight.stats().waiting == 2)
        waiter = next(iter(flight._core.runs["k"].groups))
        real, waiter.latch = waiter.latch, _Deaf()

        lead.abort()  # elects the hurried one, which does not hear it
        clock.wait_for_waiters(1)
        clock.advance(6)

        with pytest.raises(CallTimeout):
            hurried.outcome()
        assert patient.outcome() == "patient"
        assert flight.stats().promotions == 1
        del real


class _Deaf:
    """A latch whose release goes unheard."""

    def release(self):
        pass


def test_a_leaders_caller_shares_the_error_of_a_thread_that_took_over():
    """Its own work was aborted, so it is a joiner now, and gets an error of its own."""
    flight = SingleFlight(promote=True)
    original = KeyError("k")
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    def fail():
        raise original

    async def main():
        caller = asyncio.ensure_future(flight.run("k", work))
        await asyncio.to_thread(wait_for, lambda: flight.stats().waiting == 2)
        tasks[0].cancel()
        await asyncio.wait([caller])
        return caller.exception()

    loop = Caller(lambda: asyncio.run(main()))
    wait_for(lambda: tasks)
    thread = Caller(lambda: flight.run_sync("k", fail))

    error = loop.outcome()
    with pytest.raises(KeyError) as caught:
        thread.outcome()
    assert caught.value is original
    assert error is not original
    assert error.__cause__ is original


def test_a_run_that_is_being_handed_over_does_not_end_when_others_leave():
    """Its former work is no longer what is stopped; whoever was elected runs it."""
    flight = SingleFlight(promote=True)
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    async def main():
        caller = asyncio.ensure_future(flight.run("k", work))
        await asyncio.to_thread(wait_for, lambda: flight.stats().waiting == 2)
        place = flight.begin("k")
        caller.cancel()
        await asyncio.wait([caller])
        waiter = next(one for one in flight._core.runs["k"].groups if hasattr(one, "latch"))
        real, waiter.latch = waiter.latch, _Deaf()
        tasks[0].cancel()
        await asyncio.wait(tasks)
        place.leave()
        real.release()

    loop = Caller(lambda: asyncio.run(main()))
    wait_for(lambda: tasks)
    thread = Caller(lambda: flight.run_sync("k", lambda: "by the thread"))

    loop.outcome()
    assert thread.outcome() == "by the thread"
    assert flight.stats().ending == 0


def test_an_elected_thread_whose_flight_closes_does_not_begin():
    """It has been told by then that the run is over."""
    flight = SingleFlight(promote=True)
    lead = flight.begin("k")
    ran = []
    joiner = Caller(lambda: flight.run_sync("k", ran.append, 1))
    wait_for(lambda: flight.stats().waiting == 1)
    waiter = next(iter(flight._core.runs["k"].groups))
    real, waiter.latch = waiter.latch, _Deaf()

    lead.abort()
    flight.close()
    real.release()

    with pytest.raises(Aborted, match="closed"):
        joiner.outcome()
    assert ran == []


def test_a_loop_that_has_closed_is_passed_over():
    """Its callers never come back; the next ones are asked."""
    flight = SingleFlight(promote=True)
    lead = flight.begin("k")
    loop = asyncio.new_event_loop()

    async def wait():
        tasks = [asyncio.ensure_future(flight.run("k", asyncio.sleep, 0)) for _ in range(2)]
        await asyncio.sleep(0)
        return tasks

    abandoned = loop.run_until_complete(wait())
    loop.close()
    thread = Caller(lambda: flight.run_sync("k", lambda: flight.stats().waiting))
    wait_for(lambda: flight.stats().waiting == 3)

    lead.abort()

    assert thread.outcome() == 0
    for task in abandoned:
        task._log_destroy_pending = False
    del task
    abandoned.clear()
    gc.collect()


def test_an_offer_that_reaches_a_loop_as_it_closes_is_passed_on():
    """It was posted in time, but nothing will run there any more."""
    flight = SingleFlight(promote=True)
    lead = flight.begin("k")
    loop = asyncio.new_event_loop()

    async def wait():
        task = asyncio.ensure_future(flight.run("k", asyncio.sleep, 0))
        await asyncio.sleep(0)
        return task

    abandoned = loop.run_until_complete(wait())
    thread = Caller(lambda: flight.run_sync("k", lambda: "by the thread"))
    wait_for(lambda: flight.stats().waiting == 2)

    lead.abort()  # the offer waits in the mailbox of a loop that does not run
    assert not thread.is_alive() or flight.stats().waiting == 2
    loop.close()

    assert thread.outcome() == "by the thread"
    abandoned._log_destroy_pending = False
    del abandoned
    gc.collect()
