"""The size of a stream's window where the stream may choose it."""

import threading

from hypothesis import given, strategies as st

from holdfast.pools import ThreadPool
from holdfast.pools._window import QUICK, WIDEST, Window


def _window(size=32):
    return Window(size, ordered=True, outcomes=False, feed=lambda: None, cut_off=lambda: None)


def _pass_through(window, items, seconds, now):
    """``items`` go through the full window in ``seconds``; returns the time."""
    window.next += items
    window.adapt(now + seconds)
    return now + seconds


def test_a_window_grows_while_items_rush_through_it():
    """Up to its bound, in a few steps."""
    window, now, sizes = _window(), 1.0, []
    window.adapt(now)
    for _ in range(5):
        now = _pass_through(window, window.size, window.size * QUICK / 2, now)
        sizes.append(window.size)

    assert sizes == [128, 512, WIDEST, WIDEST, WIDEST]


def test_a_window_is_taken_back_when_items_slow_down():
    """The consumer or the calls are slow now: nothing is gained by a wide one."""
    window, now = _window(), 1.0
    window.adapt(now)
    now = _pass_through(window, 32, 32 * QUICK / 2, now)
    now = _pass_through(window, 128, 128 * QUICK * 2, now)

    assert window.size == 32


def test_a_window_stays_as_it_is_while_nothing_passes():
    """A consumer that has not come yet says nothing about its pace."""
    window, now = _window(), 1.0
    window.adapt(now)
    now = _pass_through(window, 32, 32 * QUICK / 2, now)
    for _ in range(3):
        now = _pass_through(window, 0, 1.0, now)

    assert window.size == 128


@given(
    st.integers(1, 3000),
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 10)), max_size=50),
)
def test_a_window_is_never_narrower_than_asked_nor_wider_than_its_bound(size, passes):
    """Whatever passes through it, and however fast."""
    window, now = _window(size), 1.0
    for items, seconds in passes:
        now = _pass_through(window, items, seconds, now)

        assert size <= window.size <= max(size, WIDEST)


def test_a_buffer_that_was_given_is_kept_to_the_item():
    """Items of microseconds, and a consumer that has stopped: no more than asked for have run."""
    ran, enough = [], threading.Event()

    def note(item):
        ran.append(item)
        if len(ran) >= 3000 - 8:
            enough.set()
        return item

    with ThreadPool(4) as pool:
        stream = pool.stream(note, range(100_000), buffer=4)
        taken = [value for _, value in zip(range(3000), stream, strict=False)]
        assert enough.wait(20)
        stream.close()

    assert taken == list(range(3000))
    assert len(ran) <= 3000 + 8
