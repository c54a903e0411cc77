"""The line before a client: bounded, fair, and it names who holds what."""

import asyncio
import threading

import pytest

import holdfast
from holdfast.track._http.gate import Gate


def gate(limit=2, *, max_queue=100, queue_timeout=5.0):
    return Gate("llm", limit, max_queue=max_queue, queue_timeout=queue_timeout)


async def test_no_more_than_the_limit_are_out():
    """Fifty ask for three: never four at once, and each gets its turn."""
    here = gate(3)
    most = 0

    async def one(n):
        nonlocal most
        ticket = await here.enter(f"GET {n}")
        most = max(most, len(here.out()))
        await asyncio.sleep(0)
        ticket.give_back()

    await asyncio.gather(*map(one, range(50)))

    assert most == 3
    assert here.stats("x").requests == 50
    assert not here.out()


async def test_who_came_first_is_served_first():
    """Nobody overtakes, not even who comes at the moment when a ticket is given back."""
    here = gate(1)
    order = []

    async def one(n):
        ticket = await here.enter(str(n))
        order.append(n)
        ticket.give_back()

    first = await here.enter("first")
    tasks = [asyncio.create_task(one(n)) for n in range(5)]
    await asyncio.sleep(0)
    first.give_back()
    late = asyncio.create_task(one("late"))
    await asyncio.gather(*tasks, late)

    assert order == [0, 1, 2, 3, 4, "late"]


async def test_a_cancelled_one_leaves_the_line():
    """And what was handed to it just before goes to the next."""
    here = gate(1)
    first = await here.enter("first")
    tasks = [asyncio.create_task(here.enter(str(n))) for n in range(3)]
    await asyncio.sleep(0)

    tasks[0].cancel()
    await asyncio.sleep(0)
    assert here.stats("x").queued == 2

    first.give_back()  # handed to the second, which does not know it yet
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    ticket = await tasks[2]

    assert here.out() == [ticket]


async def test_a_wait_that_is_too_long_names_the_holders():
    """What is under way, since when, and the line that asked for it."""
    here = gate(1, queue_timeout=0.01)
    ticket = await here.enter("POST model.example")

    with pytest.raises(holdfast.QueueTimeout) as refusal:
        await here.enter("POST model.example")

    assert "POST model.example since" in str(refusal.value)
    assert "test_http_gate.py" in str(refusal.value)
    ticket.give_back()
    (await here.enter("GET")).give_back()


async def test_a_deadline_bounds_the_wait():
    """The inherited one, where it is nearer."""
    here = gate(1)
    ticket = await here.enter("first")

    with holdfast.deadline(0.01), pytest.raises(holdfast.QueueTimeout):
        await here.enter("second")

    ticket.give_back()


async def test_a_full_line_refuses():
    """``max_queue`` wait, one more does not."""
    here = gate(1, max_queue=1)
    ticket = await here.enter("first")
    waiting = asyncio.create_task(here.enter("second"))
    await asyncio.sleep(0)

    with pytest.raises(holdfast.QueueFull, match="max_queue is 1"):
        await here.enter("third")

    ticket.give_back()
    (await waiting).give_back()
    assert here.stats("x").refused == 1


async def test_a_ticket_can_be_given_back_from_any_thread_once():
    """The collector runs where it likes."""
    here = gate(1)
    ticket = await here.enter("first")
    waiting = asyncio.create_task(here.enter("second"))
    await asyncio.sleep(0)

    for _ in range(2):
        thread = threading.Thread(target=ticket.give_back)
        thread.start()
        thread.join()

    second = await waiting
    assert here.out() == [second]


async def test_a_closed_gate_refuses_what_waits_and_what_comes():
    """Its loop ends: nobody would ever be served."""
    here = gate(1)
    await here.enter("first")
    waiting = asyncio.create_task(here.enter("second"))
    await asyncio.sleep(0)

    here.close()

    with pytest.raises(holdfast.PoolClosed, match="before the request was sent"):
        await waiting
    with pytest.raises(holdfast.PoolClosed):
        await here.enter("third")
