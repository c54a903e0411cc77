"""What a single-flight holds: little while callers wait, and nothing afterwards."""

import asyncio
import gc
import threading
import traceback
import weakref

import pytest

from holdfast.flow.single_flight import SingleFlight


@pytest.fixture(autouse=True)
def no_collector():
    """What is in a ring of references stays, so that it is seen."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Thing:
    """Something that can be watched."""


class ThingError(Exception):
    """Something that can be raised and watched."""


async def settle():
    """Let everything that is ready run."""
    for _ in range(6):
        await asyncio.sleep(0)


async def make(kind):
    await asyncio.sleep(0)
    if issubclass(kind, Exception):
        raise kind
    return kind()


@pytest.mark.parametrize("timeout", [None, 3600])
@pytest.mark.parametrize("promote", [False, True])
async def test_a_result_goes_when_its_callers_let_it_go(timeout, promote):
    """Neither the flight nor a ring of references keeps it."""
    flight = SingleFlight(timeout=timeout, promote=promote)

    results = await asyncio.gather(*(flight.run("k", make, Thing) for _ in range(3)))
    seen = weakref.ref(results[0])
    results.clear()
    await settle()

    assert seen() is None


@pytest.mark.parametrize("timeout", [None, 3600])
async def test_errors_go_when_their_callers_let_them_go(timeout):
    """The leader's, and each joiner's own."""
    flight = SingleFlight(timeout=timeout)

    errors = await asyncio.gather(
        *(flight.run("k", make, ThingError) for _ in range(3)), return_exceptions=True
    )
    seen = [weakref.ref(error) for error in errors]
    errors.clear()
    await settle()

    assert [error() for error in seen] == [None] * 3


async def test_an_error_of_a_ticket_goes_when_it_is_let_go():
    """Of the one that was joined in time, and of the one that came late."""
    flight = SingleFlight()
    lead, early, late = (flight.begin("k") for _ in range(3))
    joining = asyncio.ensure_future(early.join())
    await settle()
    lead.fail(ThingError())

    errors = await asyncio.gather(joining, late.join(), return_exceptions=True)
    seen = [weakref.ref(error) for error in errors]
    errors.clear()
    del lead, early, late, joining
    await settle()

    assert [error() for error in seen] == [None] * 2


def test_an_error_of_a_thread_goes_when_it_is_let_go():
    """Of the one that leads and of the one that waits."""
    flight = SingleFlight()
    seen, started, release = [], threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(20)
        raise ThingError

    def call():
        try:
            flight.run_sync("k", work)
        except ThingError as error:
            seen.append(weakref.ref(error))

    threads = [threading.Thread(target=call) for _ in range(2)]
    threads[0].start()
    started.wait(20)
    threads[1].start()
    while flight.stats().waiting == 0:
        threads[1].join(0.001)
    release.set()
    for thread in threads:
        thread.join(20)

    assert [error() for error in seen] == [None] * 2


def test_a_result_that_nobody_waits_for_is_not_kept():
    """Whoever has settled may keep the ticket."""
    flight = SingleFlight()
    lead, thing = flight.begin("k"), Thing()
    seen = weakref.ref(thing)

    lead.settle(thing)
    del thing

    assert seen() is None
    assert lead.settled


async def test_what_a_run_leaves_behind_keeps_neither_result_nor_key():
    """A task that it started has its context for as long as it lives."""
    flight, left_behind = SingleFlight(), []

    async def work():
        left_behind.append(asyncio.ensure_future(asyncio.sleep(3600)))
        return Thing()

    class Key(Thing):
        pass

    key = Key()
    keys = weakref.ref(key)
    result = await flight.run(key, work)
    results = weakref.ref(result)
    del result, key
    await settle()

    assert results() is None
    assert keys() is None
    left_behind[0].cancel()
    await asyncio.wait(left_behind)


async def test_a_run_that_was_left_keeps_nothing():
    """Neither its group nor the timer of the loop, whose deadline is far."""
    flight = SingleFlight(timeout=3600)
    key, argument = Thing(), Thing()
    seen = [weakref.ref(key), weakref.ref(argument)]

    async def work(_):
        await asyncio.sleep(3600)

    callers = [asyncio.ensure_future(flight.run(key, work, argument)) for _ in range(3)]
    del key, argument
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    callers.clear()
    del caller
    await settle()

    assert [thing() for thing in seen] == [None, None]


@pytest.mark.parametrize("joiners", [1, 100])
async def test_no_traceback_grows_with_the_number_of_joiners(joiners):
    """Neither that of the original nor that of a copy."""
    flight = SingleFlight()

    errors = await asyncio.gather(
        *(flight.run("k", make, ThingError) for _ in range(1 + joiners)), return_exceptions=True
    )
    lengths = {len(list(traceback.walk_tb(error.__traceback__))) for error in errors[1:]}
    length_of_original = len(list(traceback.walk_tb(errors[0].__traceback__)))

    assert len(lengths) == 1
    assert lengths.pop() < 5
    assert length_of_original < 8


async def test_a_thousand_that_wait_hold_no_thread():
    """A deadline each, and the loop's one thread."""
    flight, release = SingleFlight(timeout=3600), asyncio.Event()
    before = threading.active_count()

    callers = [asyncio.ensure_future(flight.run("k", release.wait)) for _ in range(1000)]
    await settle()
    threads = threading.active_count()
    groups = len(flight._core.runs["k"].groups)
    release.set()

    assert await asyncio.gather(*callers) == [True] * 1000
    assert threads == before
    assert groups == 1
