"""The low-level form: begin, settle, join, for those who drive the work themselves."""

import asyncio
import gc
import threading

import pytest

from holdfast.errors import Aborted, CallTimeout, QueueFull, WouldDeadlock
from holdfast.flow.single_flight import SingleFlight
from holdfast.testing import FakeClock


async def settle():
    """Let everything that is ready run."""
    for _ in range(6):
        await asyncio.sleep(0)


async def test_the_first_ticket_leads_and_the_others_wait():
    """Each joiner gets what the leader settles with."""
    flight = SingleFlight()
    lead, *places = [flight.begin("k") for _ in range(4)]
    value = object()

    waiting = [asyncio.ensure_future(place.join()) for place in places]
    await settle()
    assert flight.stats().waiting == 3
    assert lead.settle(value) is True

    assert [lead.leads, *(place.leads for place in places)] == [True, False, False, False]
    assert all(found is value for found in await asyncio.gather(*waiting))


async def test_a_ticket_that_was_not_joined_yet_misses_nothing():
    """The outcome waits for it, also if the run was over long before."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")

    lead.settle("value")
    assert flight.begin("k").leads
    assert place.settled

    assert await place.join() == "value"


async def test_callers_of_run_join_a_run_that_is_driven_by_hand():
    """And a ticket joins one that is not."""
    flight = SingleFlight()
    lead = flight.begin("k")
    caller = asyncio.ensure_future(flight.run("k", asyncio.sleep, 0))
    await settle()
    lead.settle("by hand")
    assert await caller == "by hand"

    release = asyncio.Event()
    caller = asyncio.ensure_future(flight.run("k", release.wait))
    await settle()
    place = flight.begin("k")
    release.set()
    assert not place.leads
    assert await asyncio.gather(caller, place.join()) == [True, True]


async def test_the_first_outcome_counts():
    """Later ones do nothing, and say so."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")

    assert lead.settle("first") is True
    assert lead.settle("second") is False
    assert lead.fail(KeyError()) is False
    assert lead.abort() is False

    assert await place.join() == "first"


async def test_a_late_outcome_does_not_touch_the_next_run():
    """It belongs to the ticket, not to the key."""
    flight = SingleFlight()
    old = flight.begin("k")
    old.settle("old")
    new, place = flight.begin("k"), flight.begin("k")

    assert old.settle("late") is False

    assert not place.settled
    new.settle("new")
    assert await place.join() == "new"


async def test_fail_gives_each_joiner_an_error_of_its_own():
    """With the original as its cause."""
    flight = SingleFlight()
    lead, *places = [flight.begin("k") for _ in range(3)]
    original = ValueError("why")

    lead.fail(original)
    errors = await asyncio.gather(*(place.join() for place in places), return_exceptions=True)

    assert len({id(error) for error in errors}) == 2
    assert all(type(error) is ValueError and error.__cause__ is original for error in errors)


async def test_to_fail_with_an_end_is_to_abort():
    """A cancellation of the leader is no error of the work."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")

    lead.fail(asyncio.CancelledError())

    with pytest.raises(Aborted):
        await place.join()


async def test_abort_says_why():
    """In the words of whoever drives."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")

    lead.abort("the consumer hung up")

    with pytest.raises(Aborted, match="the consumer hung up"):
        await place.join()


async def test_a_block_that_ends_without_an_outcome_aborts():
    """Nobody is left waiting for a driver that has gone."""
    flight = SingleFlight()

    with flight.begin("k") as lead:
        place = flight.begin("k")

    assert lead.settled
    with pytest.raises(Aborted, match="without settling"):
        await place.join()


async def test_a_block_that_raises_fails():
    """With the error that ended it."""
    flight = SingleFlight()
    place = None

    with pytest.raises(KeyError), flight.begin("k"):
        place = flight.begin("k")
        raise KeyError

    with pytest.raises(KeyError):
        await place.join()


async def test_a_stream_that_is_closed_early_aborts():
    """The generator's end is not an error of the work."""
    flight = SingleFlight()

    async def stream():
        with flight.begin("k") as lead:
            yield 1
            yield 2
            lead.settle("all of it")

    running = stream()
    await anext(running)
    place = flight.begin("k")
    await running.aclose()

    with pytest.raises(Aborted, match="GeneratorExit"):
        await place.join()


async def test_a_lead_that_is_forgotten_aborts():
    """Collected while open."""
    flight = SingleFlight()
    lead = flight.begin("k")
    place = flight.begin("k")

    del lead
    gc.collect()

    with pytest.raises(Aborted, match="forgotten"):
        await place.join()


async def test_a_lead_may_be_collected_while_the_flight_is_locked():
    """The collector runs between any two instructions, those under the lock among them."""
    flight = SingleFlight()
    lead = flight.begin("k")
    place = flight.begin("k")

    with flight._core.lock:
        del lead
        gc.collect()

    with pytest.raises(Aborted, match="forgotten"):
        await place.join()


async def test_a_place_that_is_forgotten_or_left_is_given_back():
    """The run goes on for the others, and ends with the last."""
    flight, ended = SingleFlight(), []

    async def work():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    caller = asyncio.ensure_future(flight.run("k", work))
    await settle()
    left, forgotten, closed = (flight.begin("k") for _ in range(3))
    caller.cancel()
    await settle()
    assert flight.stats().waiting == 3

    left.leave()
    left.leave()
    del forgotten
    gc.collect()
    assert flight.stats().waiting == 1
    assert ended == []
    with closed:
        pass
    await settle()

    assert ended == [True]


async def test_a_place_keeps_the_work_going_before_it_is_joined():
    """It was taken, so it counts."""
    flight, release = SingleFlight(), asyncio.Event()
    caller = asyncio.ensure_future(flight.run("k", release.wait))
    await settle()
    place = flight.begin("k")
    caller.cancel()
    await settle()

    release.set()

    assert await place.join() is True


async def test_a_joiner_that_is_cancelled_gives_its_place_back():
    """The others wait on."""
    flight = SingleFlight()
    lead, place, other = (flight.begin("k") for _ in range(3))
    joining = [asyncio.ensure_future(ticket.join()) for ticket in (place, other)]
    await settle()

    joining[0].cancel()
    await settle()

    assert flight.stats().waiting == 1
    lead.settle("value")
    assert await joining[1] == "value"


async def test_a_joiner_that_is_thrown_away_gives_its_place_back():
    """Its coroutine is closed, not cancelled."""
    flight = SingleFlight()
    with flight.begin("k"):
        joining = flight.begin("k").join()
        joining.send(None)
        assert flight.stats().waiting == 1

        joining.close()

        assert flight.stats().waiting == 0


def test_a_joiner_has_the_flights_timeout():
    """Or that of the view."""

    async def scenario():
        flight = SingleFlight(timeout=5)
        with flight.begin("k"):
            with pytest.raises(CallTimeout, match="5 s"):
                await flight.begin("k").join()
            with pytest.raises(CallTimeout, match="2 s"):
                await flight.options(timeout=2).begin("k").join()
            assert flight.stats().waiting == 0

    with FakeClock() as clock, asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        runner.run(scenario())


def test_a_blocking_joiner_waits_in_its_thread():
    """The run may be settled elsewhere than it was begun."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")
    settler = threading.Thread(target=lead.settle, args=("value",))

    settler.start()

    assert place.join_sync() == "value"
    settler.join()


async def test_max_joiners_holds_for_tickets():
    """A place is taken when the ticket is."""
    flight = SingleFlight(max_joiners=1)
    lead, _place = flight.begin("k"), flight.begin("k")

    with pytest.raises(QueueFull):
        flight.begin("k")

    lead.settle(None)


async def test_a_ticket_is_used_in_its_role_and_once():
    """Whatever else would hang, or be told twice."""
    flight = SingleFlight()
    lead, place = flight.begin("k"), flight.begin("k")

    with pytest.raises(RuntimeError, match="this one leads"):
        await lead.join()
    with pytest.raises(RuntimeError, match="this one leads"):
        lead.join_sync()
    for use in (lambda: place.settle(1), lambda: place.fail(KeyError()), place.abort):
        with pytest.raises(RuntimeError, match="this one waits"):
            use()
    lead.settle("value")
    assert await place.join() == "value"
    with pytest.raises(RuntimeError, match="was used"):
        await place.join()
    assert "waits for 'k'" in repr(place)
    assert "leads 'k'" in repr(lead)


async def test_a_lead_can_claim_its_context():
    """Then a call from inside of the run is recognised; after the run it means nothing."""
    flight = SingleFlight(name="x")
    lead = flight.begin("k")
    lead.running_here()
    place = flight.begin("k")

    with pytest.raises(WouldDeadlock):
        await flight.run("k", asyncio.sleep, 0)
    with pytest.raises(WouldDeadlock):
        await asyncio.create_task(place.join())

    assert flight.stats().waiting == 0
    lead.settle(1)
    assert await flight.run("k", asyncio.sleep, 0, 2) == 2
