"""What a single-flight promises to coroutines: one test for each sentence of its docstring."""

import asyncio
import contextvars
import inspect
import logging
import math
import threading

import pytest

from holdfast.errors import Aborted, CallTimeout, PoolClosed, QueueFull
from holdfast.flow.single_flight import SingleFlight
from holdfast.pools import AsyncPool
from holdfast.pools._timer import TIMER
from holdfast.testing import FakeClock


class Work:
    """A coroutine function that waits until it is let go, and notes its calls and how they ended."""

    def __init__(self):
        self.calls = 0
        self.ended = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, value=None):
        self.calls += 1
        self.started.set()
        try:
            await self.release.wait()
        except BaseException as error:
            self.ended.append(type(error))
            raise
        if isinstance(value, BaseException):
            raise value
        return value


async def settle():
    """Let everything that is ready run."""
    for _ in range(6):
        await asyncio.sleep(0)


async def begin(flight, work, *values, key="k", count=None):
    """Start callers of one key and let each come to where it waits; the first one leads."""
    values = values or (None,) * (count or 1)
    callers = [asyncio.ensure_future(flight.run(key, work, value)) for value in values]
    await settle()
    return callers


# ---------------------------------------------------------------- joining


async def test_callers_of_one_key_share_one_run():
    """The function is called once, and all get the very object that it returned."""
    flight, work = SingleFlight(), Work()
    value = object()
    callers = await begin(flight, work, value, *["ignored"] * 9)

    work.release.set()
    results = await asyncio.gather(*callers)

    assert work.calls == 1
    assert all(result is value for result in results)


async def test_callers_of_different_keys_do_not_wait_for_each_other():
    """A key is compared as in a dictionary."""
    flight, slow, quick = SingleFlight(), Work(), Work()
    (waiting,) = await begin(flight, slow, 1, key="a")
    quick.release.set()

    assert await flight.run("b", quick, 2) == 2
    assert not waiting.done()

    slow.release.set()
    assert await waiting == 1


async def test_arguments_go_to_the_function():
    """Positional ones and ones by name, whatever their names."""

    async def echo(*args, **kwargs):
        return args, kwargs

    found = await SingleFlight().run("k", echo, 1, key=2, fn=3, timeout=4)

    assert found == ((1,), {"key": 2, "fn": 3, "timeout": 4})


async def test_nothing_is_cached():
    """The next call after the end runs anew."""
    flight, work = SingleFlight(), Work()
    work.release.set()

    assert await flight.run("k", work, 1) == 1
    assert await flight.run("k", work, 2) == 2

    assert work.calls == 2


async def test_the_key_is_free_before_anybody_is_told():
    """A caller that comes in the same pass in which the run settles begins its own."""
    flight, work = SingleFlight(), Work()
    (first,) = await begin(flight, work, "old")

    async def at_the_end():
        await work.release.wait()
        await asyncio.sleep(0)  # the work has returned by now, its callers have not
        assert flight.stats().in_flight == 0
        return await flight.run("k", work, "new")

    late = asyncio.ensure_future(at_the_end())
    await settle()
    work.release.set()

    assert await asyncio.gather(first, late) == ["old", "new"]


async def test_the_work_has_the_context_of_its_leader():
    """A copy of it: what it sets stays with it."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def look():
        found = variable.get()
        variable.set("by the work")
        return found

    variable.set("by the leader")

    assert await SingleFlight().run("k", look) == "by the leader"
    assert variable.get() == "by the leader"


async def test_a_pool_can_run_the_work():
    """The flight bounds the runs of a key, the pool bounds how many keys run at once."""
    flight, work = SingleFlight(), Work()

    async with AsyncPool(1) as pool:
        callers = [
            asyncio.ensure_future(flight.run(i % 2, pool.run, work, i % 2)) for i in range(6)
        ]
        await settle()
        assert (work.calls, pool.stats().queued, flight.stats().in_flight) == (1, 1, 2)
        work.release.set()

        assert await asyncio.gather(*callers) == [0, 1, 0, 1, 0, 1]
    assert work.calls == 2


async def test_what_can_not_be_awaited_is_an_error_of_all_callers():
    """A blocking function would hold the loop; the message says what to do with it."""
    with pytest.raises(TypeError, match=r"pool\.wrap"):
        await SingleFlight().run("k", len, "abc")


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("key", [math.nan, complex(math.nan, 0)])
async def test_a_key_that_does_not_equal_itself_is_refused(key):
    """Nobody could join its run, and nobody could ever clear it."""
    flight = SingleFlight()

    with pytest.raises(ValueError, match="does not equal itself"):
        await flight.run(key, asyncio.sleep, 0)
    with pytest.raises(ValueError, match="does not equal itself"):
        flight.begin(key)
    with pytest.raises(ValueError, match="does not equal itself"):
        flight.run_sync(key, len, "")

    assert flight.stats().in_flight == 0


async def test_a_key_has_to_be_hashable():
    """The refusal comes before anything runs."""
    flight, work = SingleFlight(), Work()

    with pytest.raises(TypeError, match="unhashable"):
        await flight.run(["list"], work)

    assert work.calls == 0


async def test_a_long_key_is_cut_in_messages():
    """A prompt as a key does not fill the log."""
    flight = SingleFlight(mode="reject")

    with flight.begin("x" * 10_000) as lead, pytest.raises(QueueFull) as caught:
        flight.begin("x" * 10_000)
        lead.abort()

    assert len(str(caught.value)) < 500


# ---------------------------------------------------------------- leaving


async def test_a_cancelled_joiner_touches_nobody():
    """Neither the work nor the other callers."""
    flight, work = SingleFlight(), Work()
    leader, joiner, other = await begin(flight, work, "value", None, None)

    joiner.cancel()
    await settle()

    assert joiner.cancelled()
    assert (flight.stats().waiting, flight.stats().left) == (2, 1)
    work.release.set()
    assert await asyncio.gather(leader, other) == ["value", "value"]


async def test_the_work_goes_on_when_its_leader_is_cancelled():
    """As long as somebody waits for it."""
    flight, work = SingleFlight(), Work()
    leader, joiner = await begin(flight, work, "value", None)

    leader.cancel()
    await settle()
    assert leader.cancelled()
    assert work.ended == []

    work.release.set()
    assert await joiner == "value"
    assert work.calls == 1
    assert flight.stats().shared == 1


async def test_the_last_one_that_leaves_takes_the_work_with_it():
    """In whatever order they leave."""
    flight, work = SingleFlight(), Work()
    callers = await begin(flight, work, count=5)

    for caller in callers[:-1]:
        caller.cancel()
        await settle()
        assert work.ended == []
    callers[-1].cancel()
    await settle()

    assert work.ended == [asyncio.CancelledError]
    stats = flight.stats()
    assert (stats.in_flight, stats.waiting, stats.ending, stats.aborts) == (0, 0, 0, 1)


async def test_a_lone_caller_that_is_cancelled_cancels_its_work():
    """The leader is the last one."""
    flight, work = SingleFlight(), Work()
    (leader,) = await begin(flight, work)

    leader.cancel()
    await settle()

    assert work.ended == [asyncio.CancelledError]


async def test_who_comes_after_the_last_one_left_begins_afresh():
    """Nobody joins a run that is being cancelled, however long its clean-up takes."""
    flight, fresh = SingleFlight(), Work()
    cleaned = asyncio.Event()

    async def slow_to_die():
        try:
            await asyncio.sleep(3600)
        finally:
            await cleaned.wait()

    dying = asyncio.ensure_future(flight.run("k", slow_to_die))
    await settle()
    dying.cancel()
    await settle()
    assert (flight.stats().in_flight, flight.stats().ending) == (0, 1)

    (late,) = await begin(flight, fresh, "fresh")
    assert fresh.calls == 1
    cleaned.set()
    fresh.release.set()

    assert await late == "fresh"
    await settle()
    assert flight.stats().ending == 0


async def test_the_end_of_a_dying_run_does_not_touch_its_successor():
    """A value that comes after all is dropped."""
    flight, fresh = SingleFlight(), Work()
    refuses = asyncio.Event()

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await refuses.wait()
        return "too late"

    dying = asyncio.ensure_future(flight.run("k", stubborn))
    await settle()
    dying.cancel()
    await settle()
    (late,) = await begin(flight, fresh, "fresh")

    refuses.set()
    await settle()
    assert not late.done()

    fresh.release.set()
    assert await late == "fresh"


async def test_an_error_that_nobody_waits_for_is_logged(caplog):
    """It was raised after everyone had left."""
    flight = SingleFlight(name="x")

    async def fails_at_the_end():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise KeyError("lost") from None

    caller = asyncio.ensure_future(flight.run("k", fails_at_the_end))
    await settle()
    caller.cancel()
    with caplog.at_level(logging.WARNING, "holdfast.flow"):
        await settle()

    assert "after everyone who waited for it had left" in caplog.text
    assert "KeyError" in caplog.text


async def test_many_that_come_and_go_leave_nothing_behind():
    """The list of a group is cleaned as they leave."""
    flight, work = SingleFlight(max_joiners=100_000), Work()
    (leader,) = await begin(flight, work, "value")

    for _ in range(20):
        callers = await begin(flight, work, count=100)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)

    group = flight._core.runs["k"].latest
    assert group.size == 1
    assert len(group._waiting) < 200
    work.release.set()
    assert await leader == "value"
    assert flight.stats().left == 2000


async def test_a_caller_that_is_cancelled_as_the_run_settles_is_cancelled():
    """The outcome had been sent to it, and is not heard."""
    flight, work = SingleFlight(), Work()
    leader, joiner = await begin(flight, work, "value", None)

    work.release.set()
    await asyncio.sleep(0)  # the work returns, and both are told
    joiner.cancel()
    await settle()

    assert joiner.cancelled()
    assert await leader == "value"
    assert flight.stats().waiting == 0


async def test_a_caller_that_is_cancelled_as_its_time_is_up_leaves_once():
    """It has been told, and does not hear it; its place is given back one time."""
    flight, work = SingleFlight(timeout=60), Work()
    leader, joiner = await begin(flight.options(timeout=None), work, "value", None)
    hurried = asyncio.ensure_future(flight.run("k", work))
    await settle()
    group = flight._core.runs["k"].latest

    group.expire()  # nobody more is let in
    group.expire()  # its time is up
    hurried.cancel()
    await settle()

    assert hurried.cancelled()
    stats = flight.stats()
    assert (stats.waiting, stats.left, stats.timeouts) == (2, 0, 1)
    work.release.set()
    assert await asyncio.gather(leader, joiner) == ["value", "value"]


async def test_groups_that_are_empty_go():
    """A long run does not collect those of the callers that came and went."""
    flight, work = SingleFlight(timeout=60), Work()

    with flight.begin("k"):
        for _ in range(5):
            callers = await begin(flight, work, count=3)
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers)

        run = flight._core.runs["k"]
        assert (len(run.groups), len(run.filling), run.places) == (0, 0, 0)


async def test_a_caller_may_be_collected_while_the_flight_is_locked():
    """The collector runs between any two instructions, those under the lock among them."""
    flight, work = SingleFlight(), Work()
    (leader,) = await begin(flight, work, "value")
    thrown_away = flight.run("k", work)
    thrown_away.send(None)

    with flight._core.lock:
        thrown_away.close()

    assert until(lambda: flight.stats().waiting == 1)
    work.release.set()
    assert await leader == "value"


async def test_work_may_be_collected_while_the_flight_is_locked():
    """Its callers are told when the lock is free."""
    flight = SingleFlight()
    caller = asyncio.ensure_future(flight.run("k", asyncio.get_running_loop().create_future))
    await settle()
    (work,) = asyncio.all_tasks() - {caller, asyncio.current_task()}

    with flight._core.lock:
        work.get_coro().close()

    with pytest.raises(Aborted, match="GeneratorExit"):
        await caller
    work.cancel()
    await asyncio.wait([work])


async def test_a_caller_whose_coroutine_is_closed_gives_its_place_back():
    """Not cancelled, but thrown away."""
    flight, work = SingleFlight(), Work()
    (leader,) = await begin(flight, work, "value")
    thrown_away = flight.run("k", work)
    thrown_away.send(None)
    assert flight.stats().waiting == 2

    thrown_away.close()

    assert flight.stats().waiting == 1
    work.release.set()
    assert await leader == "value"


# ---------------------------------------------------------------- errors


async def test_the_leader_gets_the_error_and_each_joiner_its_own():
    """Of the same class and content, with the original as its cause."""
    flight, work = SingleFlight(), Work()
    original = OSError(2, "no such thing", "file")
    callers = await begin(flight, work, original, None, None)

    work.release.set()
    first, *others = await asyncio.gather(*callers, return_exceptions=True)

    assert first is original
    assert len({id(error) for error in others}) == 2
    for error in others:
        assert type(error) is FileNotFoundError
        assert str(error) == str(original)
        assert error.__cause__ is original


async def test_an_error_settles_the_key():
    """The next call runs anew."""
    flight, work = SingleFlight(), Work()
    work.release.set()

    with pytest.raises(KeyError):
        await flight.run("k", work, KeyError())

    assert await flight.run("k", work, "fine") == "fine"


async def test_work_that_is_cancelled_by_somebody_else_aborts_its_joiners():
    """The leader's caller gets the cancellation, as if it had awaited the work itself."""
    flight = SingleFlight(name="x")
    tasks = []

    async def work():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    leader, joiner = await begin(flight, lambda _: work(), None, None)

    tasks[0].cancel()
    await settle()

    assert leader.cancelled()
    with pytest.raises(Aborted, match="CancelledError"):
        await joiner
    assert flight.stats().aborts == 1


@pytest.mark.parametrize("kind", [GeneratorExit, asyncio.CancelledError])
async def test_work_that_raises_its_end_aborts_its_joiners(kind):
    """An end is no error of the work that a joiner could handle."""
    flight, work = SingleFlight(), Work()
    callers = await begin(flight, work, kind(), None)

    work.release.set()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    of_leader = asyncio.CancelledError if kind is asyncio.CancelledError else Aborted
    assert [type(error) for error in ended] == [of_leader, Aborted]
    assert type(ended[1].__cause__) is kind


async def test_work_that_is_cancelled_before_its_first_step_aborts_its_joiners():
    """Its coroutine never runs, so only the task can tell."""
    flight, work = SingleFlight(), Work()
    before = asyncio.all_tasks()
    callers = [asyncio.ensure_future(flight.run("k", work)) for _ in range(2)]
    ours = before | set(callers)
    await asyncio.sleep(0)  # the leader has begun, its work has not

    for task in asyncio.all_tasks() - ours:
        task.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(error) for error in ended] == [asyncio.CancelledError, Aborted]
    assert work.calls == 0


async def test_work_that_can_not_be_started_strands_nobody():
    """A loop's task factory may raise."""
    flight, work = SingleFlight(), Work()
    loop = asyncio.get_running_loop()

    def broken(*_args, **_kwargs):
        msg = "no more tasks"
        raise RuntimeError(msg)

    loop.set_task_factory(broken)
    try:
        with pytest.raises(RuntimeError, match="no more tasks"):
            await flight.run("k", work)
    finally:
        loop.set_task_factory(None)

    assert flight.stats().in_flight == 0
    work.release.set()
    assert await flight.run("k", work, 1) == 1


# ---------------------------------------------------------------- deadlines


def in_fake_time(scenario):
    """Run a coroutine function on a loop whose time is a fake clock's."""
    with FakeClock() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        return runner.run(scenario())


def test_a_joiner_whose_time_is_up_touches_nobody():
    """Each caller has its own timeout."""

    async def scenario():
        flight, work = SingleFlight(), Work()
        leader, other = await begin(flight, work, "value", None)

        with pytest.raises(CallTimeout, match="goes on") as caught:
            await flight.options(timeout=5).run("k", work)

        assert caught.value.stopped is False
        assert not leader.done()
        assert not other.done()
        work.release.set()
        assert await asyncio.gather(leader, other) == ["value", "value"]
        assert flight.stats().timeouts == 1

    in_fake_time(scenario)


@pytest.mark.parametrize("timeout", [0.001, 0.25, 60, 3600])
def test_a_deadline_is_never_early_and_at_most_a_sixteenth_late(timeout):
    """For those, too, that come while a group is being filled."""

    async def scenario():
        flight, work = SingleFlight(timeout=timeout), Work()
        loop = asyncio.get_running_loop()
        waited = []

        async def caller(pause):
            await asyncio.sleep(pause)
            start = loop.time()
            with pytest.raises(CallTimeout):
                await flight.run("k", work)
            waited.append(loop.time() - start)

        with flight.begin("k"):
            await asyncio.gather(*(caller(timeout * i / 200) for i in range(30)))

        assert len(waited) == 30
        assert min(waited) >= timeout
        assert max(waited) <= timeout * 17 / 16 + 0.005

    in_fake_time(scenario)


def test_work_that_nobody_waits_for_any_more_is_cancelled():
    """The leader's caller was the only one, and its time is up."""

    async def scenario():
        flight, work = SingleFlight(timeout=5), Work()

        with pytest.raises(CallTimeout, match="told to stop"):
            await flight.run("k", work)
        await settle()

        assert work.ended == [asyncio.CancelledError]
        assert flight.stats().ending == 0

    in_fake_time(scenario)


def test_the_work_goes_on_when_the_time_of_its_leader_is_up():
    """A joiner with more patience waits for it."""

    async def scenario():
        flight, work = SingleFlight(), Work()
        leader = asyncio.ensure_future(flight.options(timeout=1).run("k", work, "value"))
        await settle()
        joiner = asyncio.ensure_future(flight.run("k", work))

        with pytest.raises(CallTimeout):
            await leader
        assert not joiner.done()

        work.release.set()
        assert await joiner == "value"
        assert flight.stats().shared == 1

    in_fake_time(scenario)


def test_an_error_reaches_those_who_are_left():
    """The leader's caller has gone, so all who wait are joiners."""

    async def scenario():
        flight, work = SingleFlight(), Work()
        original = KeyError("k")
        leader = asyncio.ensure_future(flight.options(timeout=1).run("k", work, original))
        await settle()
        joiner = asyncio.ensure_future(flight.run("k", work))
        with pytest.raises(CallTimeout):
            await leader

        work.release.set()
        with pytest.raises(KeyError) as caught:
            await joiner

        assert caught.value is not original
        assert caught.value.__cause__ is original

    in_fake_time(scenario)


# ---------------------------------------------------------------- bounds, modes


async def test_no_more_than_max_joiners_may_join():
    """One more is refused, and told the figures; whoever leaves makes room."""
    flight, work = SingleFlight(max_joiners=2, name="x"), Work()
    leader, joiner, other = await begin(flight, work, "value", None, None)

    with pytest.raises(QueueFull, match="max_joiners=2") as caught:
        await flight.run("k", work)
    joiner.cancel()
    await settle()
    (another,) = await begin(flight, work)

    work.release.set()
    assert await asyncio.gather(leader, other, another) == ["value"] * 3
    assert caught.value.stats.waiting == 3
    assert flight.stats().rejected == {"full": 1}


async def test_max_joiners_0_lets_nobody_join():
    """0 means none."""
    flight, work = SingleFlight(max_joiners=0), Work()
    (leader,) = await begin(flight, work, "value")

    with pytest.raises(QueueFull):
        await flight.run("k", work)

    work.release.set()
    assert await leader == "value"


async def test_mode_reject_refuses_a_second_call_of_the_key():
    """Another key is free to run."""
    flight, work = SingleFlight(mode="reject"), Work()
    (leader,) = await begin(flight, work, "value")

    with pytest.raises(QueueFull, match="in flight"):
        await flight.run("k", work)
    (other,) = await begin(flight, work, "other", key="another")

    work.release.set()
    assert await asyncio.gather(leader, other) == ["value", "other"]


async def test_scope_object_refuses_a_second_key():
    """One run at a time in the whole object; calls of its key join it."""
    flight, work = SingleFlight(scope="object"), Work()
    leader, joiner = await begin(flight, work, "value", None)

    with pytest.raises(QueueFull, match="one thing at a time"):
        await flight.run("another", work)

    work.release.set()
    assert await asyncio.gather(leader, joiner) == ["value", "value"]
    assert await flight.run("another", work, "now") == "now"


async def test_scope_object_waits_for_the_end_of_work_that_was_cancelled():
    """It is still running, though nobody waits for it."""
    flight, work = SingleFlight(scope="object"), Work()
    cleaned = asyncio.Event()

    async def slow_to_die():
        try:
            await asyncio.sleep(3600)
        finally:
            await cleaned.wait()

    caller = asyncio.ensure_future(flight.run("k", slow_to_die))
    await settle()
    caller.cancel()
    await settle()

    with pytest.raises(QueueFull):
        await flight.run("k", work)
    cleaned.set()
    await settle()
    work.release.set()
    assert await flight.run("k", work, 1) == 1


async def test_mode_reject_with_scope_object_refuses_everything_while_one_runs():
    """The same key too."""
    flight, work = SingleFlight(mode="reject", scope="object"), Work()
    (leader,) = await begin(flight, work, "value")

    for key in ("k", "another"):
        with pytest.raises(QueueFull):
            await flight.run(key, work)

    work.release.set()
    assert await leader == "value"


async def test_mode_off_runs_every_call_by_itself():
    """Its callers still have timeouts, and show in the statistics under their keys."""
    flight, work = SingleFlight(mode="off"), Work()
    callers = await begin(flight, work, 1, 2, 3)

    stats = flight.stats()
    work.release.set()

    assert await asyncio.gather(*callers) == [1, 2, 3]
    assert [run.key for run in stats.runs] == ["k"] * 3
    assert (stats.leaders, stats.joiners) == (3, 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mode": "maybe"}, ValueError),
        ({"scope": "world"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"max_joiners": -1}, ValueError),
        ({"max_joiners": 1.5}, TypeError),
        ({"stall_after": math.inf}, ValueError),
    ],
)
def test_bad_options_are_refused(options, error):
    """When the flight is made."""
    with pytest.raises(error):
        SingleFlight(**options)


# ---------------------------------------------------------------- the end


async def test_close_tells_everyone_and_stops_the_work():
    """Nobody is let in any more."""
    flight, work = SingleFlight(), Work()
    callers = await begin(flight, work, count=3)

    flight.close()
    flight.close()
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(error) for error in ended] == [Aborted] * 3
    assert work.ended == [asyncio.CancelledError]
    for refused in (flight.run("k", work), flight.run("other", work)):
        with pytest.raises(PoolClosed):
            await refused
    assert flight.stats().ending == 0


async def test_work_that_outlives_the_flight_is_counted():
    """Until its clean-up is over."""
    flight, cleaned = SingleFlight(), asyncio.Event()

    async def slow_to_die():
        try:
            await asyncio.sleep(3600)
        finally:
            await cleaned.wait()

    (caller,) = await begin(flight, lambda _: slow_to_die())
    flight.close()
    with pytest.raises(Aborted):
        await caller
    assert flight.stats().ending == 1

    cleaned.set()
    await settle()
    assert flight.stats().ending == 0


async def test_a_flight_that_closes_as_its_work_begins_stops_it():
    """The task is made, and is not wanted any more."""
    flight, work = SingleFlight(), Work()
    loop = asyncio.get_running_loop()
    made = []

    def closes(loop, coro, **options):
        flight.close()
        made.append(asyncio.Task(coro, loop=loop, **options))
        return made[0]

    loop.set_task_factory(closes)
    try:
        with pytest.raises(Aborted):
            await flight.run("k", work)
    finally:
        loop.set_task_factory(None)
    await settle()

    assert made[0].cancelled()
    assert flight.stats().ending == 0


async def test_work_may_close_its_own_flight():
    """It is cancelled at its next step."""
    flight = SingleFlight()

    async def work():
        flight.close()
        await asyncio.sleep(3600)

    with pytest.raises(Aborted):
        await flight.run("k", work)


# ---------------------------------------------------------------- statistics


async def test_statistics_show_keys_with_their_age():
    """On the flight's clock."""
    with FakeClock() as clock:
        flight, work = SingleFlight(name="x"), Work()
        old = await begin(flight, work, count=2, key="old")
        clock.advance(10)
        new = await begin(flight, work, key="new")
        clock.advance(5)

        stats = flight.stats()

    assert [(run.key, run.age_s, run.waiting) for run in stats.runs] == [
        ("old", 15, 2),
        ("new", 5, 1),
    ]
    assert (stats.name, stats.in_flight, stats.waiting) == ("x", 2, 3)
    assert "x" in repr(flight)
    assert "2 in flight, 3 waiting" in repr(flight)
    work.release.set()
    await asyncio.gather(*old, *new)


async def test_statistics_count_what_became_of_every_caller():
    """Leaders and joiners; shared, left and timed out."""
    flight, work = SingleFlight(), Work()
    first = await begin(flight, work, count=4)
    first[1].cancel()
    await settle()
    work.release.set()
    await asyncio.gather(*first, return_exceptions=True)
    await asyncio.gather(
        *(flight.run("k", work, KeyError()) for _ in range(3)), return_exceptions=True
    )

    stats = flight.stats()

    assert (stats.leaders, stats.joiners, stats.shared, stats.left) == (2, 5, 4, 1)
    assert (stats.waiting, stats.in_flight, stats.aborts) == (0, 0, 0)


async def test_the_statistics_of_a_refusal_carry_no_keys():
    """They travel with the error, perhaps to another process."""
    flight = SingleFlight(mode="reject")

    with flight.begin("k") as lead, pytest.raises(QueueFull) as caught:
        flight.begin("k")
        lead.abort()

    assert caught.value.stats.runs == ()
    assert caught.value.stats.in_flight == 1


def test_a_leader_that_stalls_is_reported_once(caplog):
    """In the log and in the statistics; it is not stopped."""
    with FakeClock() as clock, caplog.at_level(logging.WARNING, "holdfast.flow"):
        flight = SingleFlight(name="x", stall_after=30)
        with flight.begin("slow") as slow, flight.begin("quick") as quick:
            clock.wait_for_waiters(1)
            quick.settle(None)
            clock.advance(31)
            reported = until(lambda: caplog.records)
            clock.advance(100)

            stats = flight.stats()
            assert reported
            assert len(TIMER._wheel) == 0  # the quick one was forgotten, and the slow one reported
            assert (stats.stalls, stats.runs[0].stalled) == (1, True)
            assert slow.settle(1)
    assert flight.stats().stalls == 1
    told = (
        "flight 'x': the run for 'slow' has been in flight for 31 s and 0 callers wait for it; see what "
        "its leader is waiting for"
    )
    assert [r.getMessage() for r in caplog.records if "in flight for" in r.msg] == [told]


def until(condition):
    """Give another thread real moments to make ``condition`` true."""
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return True
        pause.wait(0.001)
    return False


def test_a_run_that_ends_as_it_is_reported_has_not_stalled():
    """The timer had taken its entry out before it was forgotten."""
    flight = SingleFlight(stall_after=30)
    lead = flight.begin("k")
    stall, _ = lead._run.watch
    lead.settle(None)

    stall.expire()

    assert flight.stats().stalls == 0


async def test_a_stall_that_can_not_be_watched_does_not_stop_the_work(monkeypatch):
    """No thread to be had for the timer: the report is missed, not the run."""

    def refuse(*_):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(TIMER, "watch", refuse)
    work = Work()
    work.release.set()

    assert await SingleFlight(stall_after=1).run("k", work, 1) == 1


# ---------------------------------------------------------------- decorator


async def test_a_wrapped_coroutine_function_shares_runs_of_equal_arguments():
    """It keeps its name, and is a coroutine function still."""
    flight, calls = SingleFlight(), []

    @flight.wrap
    async def profile(user, *, full=False):
        """Fetch it."""
        calls.append((user, full))
        await asyncio.sleep(0)
        return user.upper()

    found = await asyncio.gather(profile("a"), profile("a"), profile("b"), profile("a", full=True))

    assert found == ["A", "A", "B", "A"]
    assert sorted(calls) == [("a", False), ("a", True), ("b", False)]
    assert (profile.__name__, profile.__doc__) == ("profile", "Fetch it.")
    assert inspect.iscoroutinefunction(profile)


async def test_a_key_function_says_what_is_the_same_call():
    """From the same arguments."""
    flight, calls = SingleFlight(), []

    @flight.wrap(key=lambda user, **_: user["id"])
    async def profile(user, *, full=False):
        calls.append(full)
        await asyncio.sleep(0)
        return user["id"]

    assert await asyncio.gather(profile({"id": 1}), profile({"id": 1}, full=True)) == [1, 1]
    assert calls == [False]


async def test_functions_that_share_a_flight_do_not_share_runs():
    """The same arguments of another function are another call."""
    flight = SingleFlight()

    @flight.wrap
    async def one(x):
        await asyncio.sleep(0)
        return "one", x

    @flight.wrap
    async def two(x):
        await asyncio.sleep(0)
        return "two", x

    assert await asyncio.gather(one(1), two(1)) == [("one", 1), ("two", 1)]


def test_a_wrapped_blocking_function_blocks():
    """It goes through run_sync."""
    flight = SingleFlight()

    assert flight.wrap(len)("abc") == 3
    assert flight.stats().leaders == 1


def test_what_can_not_be_called_can_not_be_wrapped():
    """Neither as a function nor as a key."""
    with pytest.raises(TypeError):
        SingleFlight().wrap(3)
    with pytest.raises(TypeError):
        SingleFlight().wrap(len, key="k")
