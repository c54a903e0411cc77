"""The ticker: one thread for everything that ticks, and none when nothing does."""

import threading

import pytest

from holdfast.watch import _ticker
from holdfast.watch._ticker import Ticker

WAIT = 10.0


class Ticked:
    """Notes its ticks, and may block in one."""

    def __init__(self, interval=1.0):
        self.interval = interval
        self.ticks = threading.Semaphore(0)
        self.count = 0
        self.threads = set()
        self.gate = None

    def tick(self):
        self.count += 1
        self.threads.add(threading.current_thread())
        self.ticks.release()
        if self.gate is not None:
            self.gate.acquire()
        return self.interval

    def wait(self):
        assert self.ticks.acquire(timeout=WAIT)


@pytest.fixture
def ticker():
    ticker = Ticker()
    yield ticker
    ticker.stop()


def test_it_ticks_at_its_interval_by_the_clock_in_use(ticker, fake_clock):
    """Nothing happens while no time passes."""
    one = Ticked(interval=5.0)
    ticker.add(one, 0.0)
    one.wait()

    for _ in range(3):
        fake_clock.wait_for_waiters(1)
        fake_clock.advance(5.0)
        one.wait()

    assert one.count == 4


def test_ticks_that_were_missed_are_not_made_up_for(ticker, fake_clock):
    """After an hour asleep there is one."""
    one = Ticked()
    ticker.add(one, 0.0)
    one.wait()

    fake_clock.wait_for_waiters(1)
    fake_clock.advance(3600.0)
    one.wait()
    fake_clock.wait_for_waiters(1)

    assert one.count == 2


def test_all_share_one_thread(ticker, fake_clock):
    """However many there are."""
    every = [Ticked() for _ in range(5)]
    for one in every:
        ticker.add(one, 0.0)
    for one in every:
        one.wait()

    assert len(set().union(*(one.threads for one in every))) == 1
    assert all(one in ticker for one in every)


def test_the_thread_ends_with_the_last_of_them(ticker):
    """And another one starts with the next."""
    one = Ticked()
    ticker.add(one, 0.0)
    one.wait()

    assert ticker.remove(one, WAIT)
    (thread,) = one.threads
    thread.join(WAIT)
    assert not thread.is_alive()

    ticker.add(one, 0.0)
    one.wait()
    assert len(one.threads) == 2


def test_removing_waits_for_a_tick_that_is_under_way(ticker):
    """Or says that it has not ended."""
    one = Ticked()
    one.gate = threading.Semaphore(0)
    ticker.add(one, 0.0)
    one.wait()

    assert not ticker.remove(one, 0.01)
    one.gate.release()
    assert ticker.remove(one, WAIT)
    assert one not in ticker


def test_a_tick_can_remove_itself(ticker):
    """It does not wait for itself."""
    done = threading.Event()

    class Once(Ticked):
        def tick(self):
            assert ticker.remove(self)
            done.set()
            return 0.0

    ticker.add(Once(), 0.0)

    assert done.wait(WAIT)


def test_a_refused_thread_leaves_nothing_behind(ticker, monkeypatch):
    """It can be tried again."""

    def refuse(*_):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    one = Ticked()
    with monkeypatch.context() as patch:
        patch.setattr(_ticker, "start_thread", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            ticker.add(one, 0.0)
    assert one not in ticker

    ticker.add(one, 0.0)
    one.wait()


def test_adding_and_removing_from_many_threads_ends_with_no_thread(ticker):
    """Whatever the order in which they come."""
    errors = []

    def work():
        try:
            for _ in range(30):
                one = Ticked(interval=0.0001)
                ticker.add(one, 0.0)
                one.wait()
                assert ticker.remove(one, WAIT)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
