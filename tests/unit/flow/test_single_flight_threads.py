"""What a single-flight promises to blocking callers, and to callers in many threads and loops."""

import asyncio
import gc
import os
import signal
import threading

import pytest
import uvloop

from holdfast.errors import Aborted, CallTimeout, QueueFull, WouldDeadlock
from holdfast.flow._flight_ring import ring_lock
from holdfast.flow._flight_run import VALUE
from holdfast.flow.single_flight import SingleFlight
from holdfast.pools import ThreadPool
from holdfast.testing import FakeClock

PATIENCE = 20.0


@pytest.fixture(scope="module", autouse=True)
def uvloop_is_warm():
    """Let libuv open what it keeps for the life of the process, before anybody counts."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        made.run(asyncio.sleep(0))


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


class Work:
    """A blocking function that waits until it is let go."""

    def __init__(self):
        self.calls = 0
        self.started = threading.Event()
        self.release = threading.Event()

    def __call__(self, value=None):
        self.calls += 1
        self.started.set()
        assert self.release.wait(PATIENCE)
        if isinstance(value, BaseException):
            raise value
        return value


def wait_for(condition):
    """Give other threads real moments until ``condition`` is true."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to be")


def leader_and_joiners(flight, work, value, count):
    leader = Caller(lambda: flight.run_sync("k", work, value))
    assert work.started.wait(PATIENCE)
    joiners = [Caller(lambda: flight.run_sync("k", work)) for _ in range(count)]
    wait_for(lambda: flight.stats().waiting == count)
    return leader, joiners


# ---------------------------------------------------------------- blocking callers


def test_blocking_callers_share_one_run():
    """The leader runs it in its own thread, the others block theirs."""
    flight, work = SingleFlight(), Work()
    value = object()
    leader, joiners = leader_and_joiners(flight, work, value, 12)

    work.release.set()

    assert all(caller.outcome() is value for caller in (leader, *joiners))
    assert work.calls == 1


def test_the_leader_runs_in_its_own_thread():
    """No thread is started."""
    assert SingleFlight().run_sync("k", threading.get_ident) == threading.get_ident()


def test_the_leader_raises_the_error_and_each_joiner_its_own():
    """As for coroutines."""
    flight, work = SingleFlight(), Work()
    original = KeyError("k")
    leader, joiners = leader_and_joiners(flight, work, original, 3)

    work.release.set()

    with pytest.raises(KeyError) as caught:
        leader.outcome()
    assert caught.value is original
    for joiner in joiners:
        with pytest.raises(KeyError) as caught:
            joiner.outcome()
        assert caught.value is not original
        assert caught.value.__cause__ is original


def test_a_joiner_that_times_out_touches_nobody():
    """It leaves, and the others wait on."""
    with FakeClock() as clock:
        flight, work = SingleFlight(), Work()
        leader, (other,) = leader_and_joiners(flight, work, "value", 1)
        hurried = Caller(lambda: flight.options(timeout=5).run_sync("k", work))
        clock.wait_for_waiters(1)

        clock.advance(6)
        with pytest.raises(CallTimeout, match="goes on"):
            hurried.outcome()

        assert (flight.stats().timeouts, flight.stats().waiting) == (1, 1)
        work.release.set()
        assert leader.outcome() == other.outcome() == "value"


def test_an_outcome_that_came_with_the_timeout_wins():
    """The latch is released too late, but the run is over when the thread looks."""
    with FakeClock() as clock:
        flight = SingleFlight(timeout=5)
        lead = flight.begin("k")
        joiner = Caller(lambda: flight.run_sync("k", len, ""))
        clock.wait_for_waiters(1)
        with flight._core.lock:  # the thread wakes from its timeout, and waits for this lock
            clock.advance(6)
            groups = flight._core.finish(lead._run, VALUE, "value", None)
            wait_for(lambda: not clock._waiting)
        for group in groups:
            group.announce()

        assert joiner.outcome() == "value"
        assert flight.stats().timeouts == 0


def test_an_interrupted_joiner_leaves():
    """Ctrl-C in the thread that waits; the others are not touched."""
    flight, work = SingleFlight(), Work()
    leader = Caller(lambda: flight.run_sync("k", work, "value"))
    assert work.started.wait(PATIENCE)

    def interrupt():
        wait_for(lambda: flight.stats().waiting == 1)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = Caller(interrupt)
    with pytest.raises(KeyboardInterrupt):
        flight.run_sync("k", work)

    interrupter.outcome()
    assert (flight.stats().left, flight.stats().waiting) == (1, 0)
    work.release.set()
    assert leader.outcome() == "value"


def test_an_interrupted_leader_aborts_its_joiners():
    """Its own caller gets the interrupt as it is."""
    flight, work = SingleFlight(), Work()
    leader, (joiner,) = leader_and_joiners(flight, work, KeyboardInterrupt(), 1)

    work.release.set()

    with pytest.raises(KeyboardInterrupt):
        leader.outcome()
    with pytest.raises(Aborted, match="KeyboardInterrupt"):
        joiner.outcome()


def test_a_coroutine_function_is_refused():
    """It would return a coroutine that nobody awaits."""

    async def work():
        pass

    with pytest.raises(TypeError, match="coroutine function"):
        SingleFlight().run_sync("k", work)


async def test_a_loop_is_never_blocked():
    """To lead is a plain call; to wait would keep the loop from running, so it is refused."""
    flight = SingleFlight()

    assert flight.run_sync("free", len, "abc") == 3
    with flight.begin("taken") as lead:
        with pytest.raises(WouldDeadlock, match="event loop") as caught:
            flight.run_sync("taken", len, "abc")
        place = flight.begin("taken")
        with pytest.raises(WouldDeadlock):
            place.join_sync()
        lead.settle(None)

    assert len(caught.value.cycle) == 2
    assert (flight.stats().joiners, flight.stats().rejected) == (1, {"deadlock": 2})


async def test_a_mode_that_rejects_says_so_in_a_loop_too():
    """Nobody would have waited."""
    flight = SingleFlight(mode="reject")

    with flight.begin("k") as lead:
        with pytest.raises(QueueFull):
            flight.run_sync("k", len, "")
        lead.settle(None)


# ---------------------------------------------------------------- threads and loops together


def run_in_loop(main, new_loop=asyncio.new_event_loop):
    """Run a coroutine function in a loop of a thread of its own."""

    def call():
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main())

    return Caller(call)


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_joiners_in_other_loops_and_threads_get_the_outcome(new_loop):
    """The work runs in one loop; coroutines in three others and four threads wait."""
    flight = SingleFlight(timeout=PATIENCE)
    value, release, calls = object(), threading.Event(), []

    async def work():
        calls.append(threading.get_ident())
        await asyncio.to_thread(release.wait, PATIENCE)
        return value

    async def crowd():
        return await asyncio.gather(*(flight.run("k", work) for _ in range(5)))

    loops = [run_in_loop(crowd, new_loop)]
    wait_for(lambda: calls)
    loops += [run_in_loop(crowd, new_loop) for _ in range(3)]
    threads = [Caller(lambda: flight.run_sync("k", list)) for _ in range(4)]
    wait_for(lambda: flight.stats().waiting == 24)
    release.set()

    found = [one for loop in loops for one in loop.outcome()] + [t.outcome() for t in threads]
    assert all(one is value for one in found)
    assert len(found) == 24
    assert len(calls) == 1


def test_coroutines_wait_for_a_blocking_leader():
    """Without holding their loop."""
    flight, work = SingleFlight(), Work()
    leader = Caller(lambda: flight.run_sync("k", work, "value"))
    assert work.started.wait(PATIENCE)

    async def crowd():
        callers = [asyncio.ensure_future(flight.run("k", asyncio.sleep, 0)) for _ in range(5)]
        await asyncio.sleep(0)
        work.release.set()
        return await asyncio.gather(*callers)

    assert run_in_loop(crowd).outcome() == ["value"] * 5
    assert leader.outcome() == "value"


def test_a_blocking_leader_goes_on_when_its_joiners_leave():
    """Nothing can stop it, and it is still the run of its key."""
    flight, work = SingleFlight(), Work()
    leader = Caller(lambda: flight.run_sync("k", work, "value"))
    assert work.started.wait(PATIENCE)

    async def come_and_go():
        caller = asyncio.ensure_future(flight.run("k", asyncio.sleep, 0))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait([caller])

    run_in_loop(come_and_go).outcome()

    assert flight.stats().in_flight == 1
    work.release.set()
    assert leader.outcome() == "value"


def test_the_last_one_stops_work_in_another_loop():
    """The leader's caller has gone; a joiner elsewhere goes last."""
    flight = SingleFlight()
    started, ended, joined, leave = (threading.Event() for _ in range(4))

    async def work():
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    async def leads():
        caller = asyncio.ensure_future(flight.run("k", work))
        await asyncio.to_thread(joined.wait, PATIENCE)
        caller.cancel()
        await asyncio.wait([caller])
        leave.set()
        await asyncio.to_thread(ended.wait, PATIENCE)
        return ended.is_set()

    async def joins():
        await asyncio.to_thread(started.wait, PATIENCE)
        caller = asyncio.ensure_future(flight.run("k", work))
        await asyncio.sleep(0)
        joined.set()
        await asyncio.to_thread(leave.wait, PATIENCE)
        assert not ended.is_set()
        caller.cancel()
        await asyncio.wait([caller])

    first, second = run_in_loop(leads), run_in_loop(joins)

    second.outcome()
    assert first.outcome() is True
    wait_for(lambda: flight.stats().ending == 0)


def test_the_last_thread_that_times_out_stops_the_work():
    """A blocking joiner may be the last one to leave."""
    with FakeClock() as clock:
        flight = SingleFlight()
        started, ended, left = (threading.Event() for _ in range(3))

        async def work():
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        async def leads():
            caller = asyncio.ensure_future(flight.run("k", work))
            await asyncio.to_thread(left.wait, PATIENCE)
            caller.cancel()
            await asyncio.wait([caller])
            await asyncio.to_thread(ended.wait, PATIENCE)

        loop = run_in_loop(leads)
        assert started.wait(PATIENCE)
        joiner = Caller(lambda: flight.options(timeout=5).run_sync("k", list))
        wait_for(lambda: flight.stats().waiting == 2)
        left.set()
        wait_for(lambda: flight.stats().waiting == 1)
        clock.wait_for_waiters(1)
        assert not ended.is_set()

        clock.advance(6)
        with pytest.raises(CallTimeout, match="told to stop"):
            joiner.outcome()
        loop.outcome()
        assert ended.is_set()


def test_a_loop_that_closes_under_its_joiners_harms_nobody():
    """They are never told, and all others are."""
    flight = SingleFlight()
    loop = asyncio.new_event_loop()
    lead = flight.begin("k")

    async def join():
        tasks = [asyncio.ensure_future(flight.run("k", asyncio.sleep, 0)) for _ in range(3)]
        await asyncio.sleep(0)
        return tasks

    abandoned = loop.run_until_complete(join())
    loop.close()
    thread = Caller(lambda: flight.run_sync("k", list))

    async def other():
        return await flight.run("k", asyncio.sleep, 0)

    coroutine = run_in_loop(other)
    wait_for(lambda: flight.stats().waiting == 5)
    assert lead.settle("value")

    assert thread.outcome() == coroutine.outcome() == "value"
    forget(abandoned)


def forget(tasks):
    """Let tasks of a closed loop go without a complaint."""
    for task in tasks:
        task._log_destroy_pending = False
    tasks.clear()
    gc.collect()


def test_a_loop_that_closes_under_its_leader_aborts_the_work():
    """It is simply closed, which cancels nothing; those who wait elsewhere are told."""
    flight = SingleFlight()
    loop = asyncio.new_event_loop()

    async def lead():
        task = asyncio.ensure_future(flight.run("k", asyncio.sleep, 3600))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [task, *(asyncio.all_tasks() - {task, asyncio.current_task()})]

    abandoned = loop.run_until_complete(lead())
    joiner = Caller(lambda: flight.run_sync("k", list))
    wait_for(lambda: flight.stats().waiting == 2)
    loop.close()

    with pytest.raises(Aborted, match="event loop that ran its work was closed"):
        joiner.outcome()
    assert flight.stats().in_flight == 0
    forget(abandoned)


def test_a_loop_that_is_shut_down_aborts_the_work():
    """``asyncio.run`` cancels all tasks, those of the runs among them."""
    flight = SingleFlight()
    started = threading.Event()

    async def work():
        started.set()
        await asyncio.sleep(3600)

    async def leave_early():
        task = asyncio.ensure_future(flight.run("k", work))
        await asyncio.to_thread(wait_for, lambda: flight.stats().waiting == 2)
        return task

    loop = run_in_loop(leave_early)
    assert started.wait(PATIENCE)
    joiner = Caller(lambda: flight.run_sync("k", list))

    assert loop.outcome().cancelled()
    with pytest.raises(Aborted):
        joiner.outcome()


def test_a_task_that_is_thrown_away_aborts_the_work():
    """The collector closes its coroutine."""
    flight = SingleFlight()
    loop = asyncio.new_event_loop()

    async def lead():
        caller = asyncio.ensure_future(flight.run("k", loop.create_future))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (work,) = asyncio.all_tasks() - {caller, asyncio.current_task()}
        return caller, work

    caller, work = loop.run_until_complete(lead())
    joiner = Caller(lambda: flight.run_sync("k", list))
    wait_for(lambda: flight.stats().waiting == 2)

    work.get_coro().close()

    with pytest.raises(Aborted, match="GeneratorExit"):
        joiner.outcome()
    loop.run_until_complete(asyncio.wait([caller]))
    assert isinstance(caller.exception(), Aborted)
    work._log_destroy_pending = False
    del work
    loop.close()


def test_a_run_survives_the_close_of_a_loop_that_is_running():
    """Which the loop refuses."""
    flight = SingleFlight()

    async def work():
        with pytest.raises(RuntimeError, match="running"):
            asyncio.get_running_loop().close()
        return "value"

    async def main():
        return await flight.run("k", work)

    assert run_in_loop(main).outcome() == "value"


def test_work_in_a_thread_pool_holds_no_thread_for_its_duplicates():
    """The famous failure: duplicates parked in the pool that the work itself needs."""
    flight = SingleFlight()

    async def storm():
        async with ThreadPool(1, name="only one") as pool:
            callers = [flight.run("k", pool.run, len, "abc") for _ in range(100)]
            return await asyncio.gather(*callers), pool.stats().submitted

    assert run_in_loop(storm).outcome() == ([3] * 100, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_child_nothing_is_in_flight():
    """The leader stayed with the parent; so did a thread that held the lock."""
    flight = SingleFlight()
    place = flight.begin("k"), flight.begin("k")

    def nested():
        return flight.run_sync("another", len, "abc")

    flight._core.lock.acquire()
    ring_lock().acquire()

    child = os.fork()
    if child == 0:
        signal.alarm(20)  # it must not outlive a test that finds it hanging
        try:
            ok = flight.stats().in_flight == 0 and flight.run_sync("k", nested) == 3
            ok = ok and place[0].settled and not place[0].settle(1)
        except BaseException:  # noqa: BLE001 - the child must end here
            ok = False
        os._exit(0 if ok else 1)
    flight._core.lock.release()
    ring_lock().release()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert place[0].settle("value")
    assert place[1].join_sync() == "value"
