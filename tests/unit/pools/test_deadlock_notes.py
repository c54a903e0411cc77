"""When the waits of a pool are looked at: not while it goes on."""

import asyncio

import pytest

from holdfast import AsyncPool
from holdfast.pools import _deadlock_notes as notes


@pytest.fixture
def looks(monkeypatch):
    """The waits of each look."""
    seen = []
    monkeypatch.setattr(notes, "look", lambda _notes, waits, _number: seen.append(len(waits)))
    return seen


async def _item(item):
    await asyncio.sleep(0)
    return item


def _level(pool):
    return asyncio.get_running_loop()._holdfast_looks[id(pool._admission)].fresh


def test_a_stream_whose_items_end_is_not_looked_at(looks):
    """Its pool counts no call meanwhile, but goes on."""

    async def main():
        async with AsyncPool(2) as pool:
            async for item in pool.stream(_item, range(8)):
                if item in (2, 5):
                    _level(pool).expire()  # the pause is over

    asyncio.run(main())

    assert looks == []


def test_a_stream_whose_items_do_not_end_is_looked_at_once_in_each_pause(looks):
    """And stays noted where the look puts it."""

    async def main():
        async with AsyncPool(1) as pool:
            go_on = asyncio.Event()

            async def stuck(item):
                await go_on.wait()
                return item

            async def consume():
                return [item async for item in pool.stream(stuck, range(2))]

            consumer = asyncio.create_task(consume())
            while not pool.stats().in_flight:
                await asyncio.sleep(0)
            _level(pool).expire()
            go_on.set()
            return await consumer

    assert asyncio.run(main()) == [0, 1]
    assert looks == [1]


def test_progress_is_the_same_before_and_after_a_stream_hands_its_figures_over():
    """A stream that has ended is no sign of one that goes on."""

    async def main():
        async with AsyncPool(2) as pool:
            stream = pool.stream(_item, range(4))
            before = pool._admission.progress()
            async with stream:
                items = [item async for item in stream]
            return items, pool._admission.progress() - before

    assert asyncio.run(main()) == ([0, 1, 2, 3], 4)
