"""``holdfast.sense.loop_lag``: by how much a loop is late."""

import asyncio

import pytest

from holdfast.sense import LoopLag


def run(fake_clock, main):
    """Run a coroutine on a loop that lives by the fake clock."""
    with asyncio.Runner(loop_factory=fake_clock.new_event_loop) as runner:
        return runner.run(main())


def test_a_callback_that_blocks_shows_up_as_lag(fake_clock):
    """Three seconds in one callback; the timer was due after one second."""
    lag = LoopLag(1.0)

    async def main():
        lag.start()
        fake_clock.advance(4.0)
        await asyncio.sleep(0)
        lag.stop()
        return lag.take()

    reading = run(fake_clock, main)

    assert (reading.name, reading.value, reading.unit) == ("event loop lag", 3.0, "s")


def test_a_loop_that_is_stuck_counts_with_its_lag_so_far(fake_clock):
    """The timer could not fire yet, and whoever watches from elsewhere sees it nevertheless."""
    lag = LoopLag(1.0)

    async def main():
        lag.start()
        fake_clock.advance(3.5)
        during = lag.take()
        lag.stop()
        return during

    assert run(fake_clock, main).value == 2.5


def test_a_loop_that_keeps_up_has_no_lag(fake_clock):
    """Many looks, none late."""
    lag = LoopLag(0.5)

    async def main():
        lag.start()
        await asyncio.sleep(10)
        lag.stop()
        return lag.take()

    assert run(fake_clock, main).value == 0.0


def test_each_reading_begins_anew(fake_clock):
    """An old lag is told once."""
    lag = LoopLag(1.0)

    async def main():
        lag.start()
        fake_clock.advance(4.0)
        await asyncio.sleep(1)
        first = lag.take()
        await asyncio.sleep(5)
        second = lag.take()
        lag.stop()
        return first.value, second.value

    assert run(fake_clock, main) == (3.0, 0.0)


def test_before_the_first_look_there_is_no_figure(fake_clock):
    """None, and why."""
    lag = LoopLag(1.0)

    async def main():
        idle = lag.take()
        lag.start()
        young = lag.take()
        lag.stop()
        return idle, young, lag.take()

    for reading in run(fake_clock, main):
        assert reading.value is None
        assert "no look has been due" in reading.note


def test_starting_twice_is_starting_once(fake_clock):
    """One timer, and stopping ends it."""
    lag = LoopLag(1.0)
    calls = []

    async def main():
        loop = asyncio.get_running_loop()
        real = loop.call_later
        loop.call_later = lambda *args: calls.append(args[0]) or real(*args)
        lag.start()
        lag.start()
        lag.stop()
        lag.stop()
        lag.start()
        lag.stop()

    run(fake_clock, main)

    assert calls == [1.0, 1.0]


def test_after_a_stop_nothing_is_left_on_the_loop(fake_clock):
    """Time may pass, and nobody looks."""
    lag = LoopLag(1.0)

    async def main():
        lag.start()
        lag.stop()
        await asyncio.sleep(100)
        return lag.take()

    assert run(fake_clock, main).value is None


def test_it_starts_on_a_running_loop_only():
    """Elsewhere there is nothing to measure."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        LoopLag().start()


@pytest.mark.parametrize(
    ("interval", "kind"), [(0, ValueError), (-1, ValueError), ("1", TypeError)]
)
def test_the_interval_is_above_zero(interval, kind):
    """Or it would take the whole loop."""
    with pytest.raises(kind, match="interval must be"):
        LoopLag(interval)
